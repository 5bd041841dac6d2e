use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::*;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Writes a new certificate and key into the folder.
pub fn certify(folder: &Path) -> CertificateDer<'static> {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join("c.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.join("k.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

/// A connection that trusts this certificate alone.
fn open(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn status_line(tls: &mut Tls) -> std::io::Result<String> {
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 1024];
    let length = tls.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn a_new_certificate_comes_into_force_and_closes_no_connection() {
    let one = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    let first = certify(folder.path());
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n[[route]]");
    let policy = policy(&[one.address], "").replace("[[route]]", &tls);
    let switch = Switch::start(&policy);
    let address = switch.address("web");
    let mut kept = open(address, &first).expect("it is trusted");
    assert_eq!(
        status_line(&mut kept).expect("an answer"),
        "HTTP/1.1 200 OK"
    );
    let second = certify(folder.path());
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    assert!(
        open(address, &first).is_err(),
        "the old one is not shown any more"
    );
    let mut new = open(address, &second).expect("it is trusted");
    assert_eq!(status_line(&mut new).expect("an answer"), "HTTP/1.1 200 OK");
    assert_eq!(
        status_line(&mut kept).expect("it stands"),
        "HTTP/1.1 200 OK"
    );
}

#[test]
fn a_certificate_that_cannot_be_used_changes_nothing() {
    let one = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    let first = certify(folder.path());
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n[[route]]");
    let switch = Switch::start(&policy(&[one.address], "").replace("[[route]]", &tls));
    std::fs::write(&cert, "no certificate").expect("written");
    let (status, report) = switch.admin("POST", "/reload");
    assert_eq!(status, 422);
    assert!(report.contains("c.pem"), "{report}");
    let mut still = open(switch.address("web"), &first).expect("it is trusted");
    assert_eq!(
        status_line(&mut still).expect("an answer"),
        "HTTP/1.1 200 OK"
    );
}
