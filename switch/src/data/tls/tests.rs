use std::fs;
use std::io::{Read, Write};
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection, SignatureScheme, version,
};
use tempfile::TempDir;

use super::*;
use crate::shared::tickets;

/// The server's side with one certificate.
fn server_config(
    files: &TlsFiles,
    tickets: &Arc<TicketKeys>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let tls = Tls {
        certs: vec![files.clone()],
        folder: None,
        clients: None,
    };
    terminator(&tls, tickets).map(|terminator| terminator.http.clone())
}

struct Pair {
    folder: TempDir,
    cert: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["shop.example.com".to_owned()];
        let cert = rcgen::CertificateParams::new(names)
            .and_then(|params| params.self_signed(&key))
            .expect("a certificate");
        let pair = Self { folder, cert, key };
        pair.write("cert.pem", &pair.cert.pem());
        pair.write("key.pem", &pair.key.serialize_pem());
        pair
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).expect("a folder of our own");
    }

    fn files(&self) -> TlsFiles {
        let folder = self.folder.path();
        TlsFiles {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }

    fn error(&self) -> TlsError {
        server_config(&self.files(), &TicketKeys::new()).expect_err("a fault")
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.der().clone()).expect("a certificate");
        client(versions, roots)
    }
}

fn client(
    versions: &[&'static rustls::SupportedProtocolVersion],
    roots: RootCertStore,
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    config
}

fn shake_hands(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> (ServerConnection, ClientConnection) {
    let name = ServerName::try_from("shop.example.com").expect("a name");
    let client = ClientConnection::new(client.clone(), name).expect("a client");
    go_on(
        ServerConnection::new(server.clone()).expect("a server"),
        client,
    )
}

fn go_on(
    mut server: ServerConnection,
    mut client: ClientConnection,
) -> (ServerConnection, ClientConnection) {
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets().expect("a sound client");
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("memory");
        client.read_tls(&mut wire.as_slice()).expect("memory");
        client.process_new_packets().expect("a sound server");
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    (server, client)
}

#[test]
fn tls_1_3_and_1_2_carry_bytes_and_agree_on_http_2() {
    let pair = Pair::new();
    let server = server_config(&pair.files(), &TicketKeys::new()).expect("sound files");
    for versions in [[&version::TLS13], [&version::TLS12]] {
        let (mut server, mut client) = shake_hands(&server, &Arc::new(pair.client(&versions)));
        assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(server.protocol_version(), Some(versions[0].version));
        client.writer().write_all(b"hello").expect("memory");
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets().expect("a sound record");
        let mut got = [0; 5];
        server.reader().read_exact(&mut got).expect("five bytes");
        assert_eq!(&got, b"hello");
    }
}

#[test]
fn a_session_is_resumed_by_its_ticket() {
    let pair = Pair::new();
    let server = server_config(&pair.files(), &TicketKeys::new()).expect("sound files");
    for versions in [[&version::TLS13], [&version::TLS12]] {
        let client = Arc::new(pair.client(&versions));
        let (first, _) = shake_hands(&server, &client);
        assert_eq!(first.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let (second, _) = shake_hands(&server, &client);
        assert_eq!(
            second.handshake_kind(),
            Some(rustls::HandshakeKind::Resumed)
        );
    }
}

/// How a client whose session began at `first` shakes hands with `second`.
fn kind_at(
    first: &Arc<ServerConfig>,
    second: &Arc<ServerConfig>,
    client: ClientConfig,
) -> Option<rustls::HandshakeKind> {
    let client = Arc::new(client);
    let (server, _) = shake_hands(first, &client);
    assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
    shake_hands(second, &client).0.handshake_kind()
}

const VERSIONS: [[&rustls::SupportedProtocolVersion; 1]; 2] =
    [[&version::TLS13], [&version::TLS12]];

#[test]
fn a_session_is_resumed_at_another_switch_that_has_the_keys() {
    let pair = Pair::new();
    let (here, there) = (TicketKeys::new(), TicketKeys::new());
    let config = |keys| server_config(&pair.files(), keys).expect("sound files");
    let (first, second) = (config(&here), config(&there));
    for versions in VERSIONS {
        let kind = kind_at(&first, &second, pair.client(&versions));
        assert_eq!(kind, Some(rustls::HandshakeKind::Full), "other keys");
    }
    there
        .adopt(&here.export(), SystemTime::now())
        .expect("they are keys");
    for versions in VERSIONS {
        let kind = kind_at(&first, &second, pair.client(&versions));
        assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn a_session_whose_key_is_over_begins_anew() {
    let pair = Pair::new();
    let (here, there) = (TicketKeys::new(), TicketKeys::new());
    let told = here.export();
    there
        .adopt(&told, SystemTime::now())
        .expect("they are keys");
    there.rotate(SystemTime::now() + tickets::LIFE);
    let config = |keys| server_config(&pair.files(), keys).expect("sound files");
    let kind = kind_at(
        &config(&here),
        &config(&there),
        pair.client(&[&version::TLS13]),
    );
    assert_eq!(kind, Some(rustls::HandshakeKind::Full));
}

#[test]
fn a_session_of_another_certificate_begins_anew() {
    let (one, two) = (Pair::new(), Pair::new());
    let keys = TicketKeys::new();
    let config = |pair: &Pair| server_config(&pair.files(), &keys).expect("sound files");
    let (first, second) = (config(&one), config(&two));
    for versions in VERSIONS {
        let mut roots = RootCertStore::empty();
        for pair in [&one, &two] {
            roots.add(pair.cert.der().clone()).expect("a certificate");
        }
        let kind = kind_at(&first, &second, client(&versions, roots));
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

/// The certificate that a client is shown which understands these signatures, or all: its host names
/// and the kind of its key.
fn shown(server: &Arc<ServerConfig>, name: &str, only: Option<SignatureScheme>) -> String {
    let provider = aws_lc_rs::default_provider();
    let mut algorithms = provider.signature_verification_algorithms;
    let mut schemes = algorithms.mapping.iter();
    if let Some(place) = schemes.position(|(scheme, _)| Some(*scheme) == only) {
        algorithms.mapping = &algorithms.mapping[place..=place];
    }
    let blind = Arc::new(backends::Anyone(algorithms));
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(blind)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = ClientConnection::new(Arc::new(client), name).expect("a client");
    let (_, client) = go_on(
        ServerConnection::new(server.clone()).expect("a server"),
        client,
    );
    let chain = client.peer_certificates().expect("a certificate").to_vec();
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
    format!(
        "{} {}",
        names(&leaf).join(" "),
        leaf.public_key().algorithm.algorithm
    )
}

const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";

#[test]
fn a_client_is_shown_the_certificate_of_the_host_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = |file: &str, names: &[&str], algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = rcgen::CertificateParams::new(names).expect("names");
        let cert = cert.self_signed(&key).expect("a certificate");
        let path = folder.path().join(file);
        fs::write(path, cert.pem() + &key.serialize_pem()).expect("written");
    };
    let ec = &rcgen::PKCS_ECDSA_P256_SHA256;
    pair("a.pem", &["shop.example.com", "www.example.com"], ec);
    pair("b.pem", &["*.example.com"], ec);
    pair("c.pem", &["shop.example.com"], &rcgen::PKCS_ED25519);
    let tls = Tls {
        certs: Vec::new(),
        folder: Some(folder.path().to_owned()),
        clients: None,
    };
    let made = terminator(&tls, &TicketKeys::new()).expect("sound files");
    let modern = |name: &str| shown(&made.http, name, None);
    let shop = format!("shop.example.com www.example.com {EC}");
    for name in [
        "shop.example.com",
        "WWW.example.com",
        "other.org",
        "a.b.example.com",
    ] {
        assert_eq!(modern(name), shop, "{name}");
    }
    assert_eq!(modern("api.example.com"), format!("*.example.com {EC}"));
    let other = shown(
        &made.http,
        "shop.example.com",
        Some(SignatureScheme::ED25519),
    );
    assert_eq!(other, format!("shop.example.com {ED25519}"));
    let certificates = &made.certificates;
    assert!(certificates.are_one("shop.example.com", "www.example.com"));
    assert!(certificates.are_one("a.example.com", "b.example.com"));
    assert!(!certificates.are_one("a.example.com", "shop.example.com"));
    assert!(
        certificates.are_one("other.org", "shop.example.com"),
        "it was shown that one"
    );
    assert!(!certificates.are_one("shop.example.com", "other.org"));
    assert!(made.strict);
}

#[test]
fn a_folder_without_certificates_and_a_wrong_authority_are_named() {
    let pair = Pair::new();
    let empty = tempfile::tempdir().expect("a folder");
    let mut tls = Tls {
        certs: Vec::new(),
        folder: Some(empty.path().to_owned()),
        clients: None,
    };
    let error = terminator(&tls, &TicketKeys::new()).expect_err("nothing to show");
    assert!(matches!(error.fault, Fault::EmptyFolder), "{error}");
    assert_eq!(error.file, empty.path());
    tls.certs = vec![pair.files()];
    tls.clients = Some(TlsClients {
        ca: pair.files().key,
        crl: Vec::new(),
        optional: false,
    });
    let error = terminator(&tls, &TicketKeys::new()).expect_err("a key is no authority");
    assert!(matches!(error.fault, Fault::NoCertificate), "{error}");
    assert_eq!(error.file, pair.files().key);
}

#[test]
fn a_session_without_a_certificate_of_the_client_is_none_where_one_is_asked_for() {
    let pair = Pair::new();
    let keys = TicketKeys::new();
    let open = server_config(&pair.files(), &keys).expect("sound files");
    let tls = Tls {
        certs: vec![pair.files()],
        folder: None,
        clients: Some(TlsClients {
            ca: pair.files().cert,
            crl: Vec::new(),
            optional: true,
        }),
    };
    let asking = terminator(&tls, &keys).expect("sound files").http.clone();
    for versions in VERSIONS {
        let kind = kind_at(&open, &asking, pair.client(&versions));
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        let kind = kind_at(&asking, &asking, pair.client(&versions));
        assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn no_early_data_is_taken() {
    let pair = Pair::new();
    assert_eq!(
        server_config(&pair.files(), &TicketKeys::new())
            .expect("sound files")
            .max_early_data_size,
        0
    );
}

#[test]
fn a_missing_file_is_named() {
    let pair = Pair::new();
    fs::remove_file(pair.files().cert).expect("there");
    let error = pair.error();
    assert!(matches!(error.fault, Fault::Unreadable(_)));
    assert_eq!(error.file, pair.files().cert);
}

#[test]
fn a_certificate_file_without_a_certificate_hints_at_swapped_files() {
    let pair = Pair::new();
    pair.write("cert.pem", &pair.key.serialize_pem());
    let error = pair.error();
    assert!(matches!(error.fault, Fault::NoCertificate));
    assert!(error.to_string().contains("swapped"), "{error}");
}

#[test]
fn a_key_file_without_a_key_is_at_fault_itself() {
    let pair = Pair::new();
    pair.write("key.pem", &pair.cert.pem());
    let error = pair.error();
    assert!(matches!(error.fault, Fault::NoKey));
    assert_eq!(error.file, pair.files().key);
}

#[test]
fn both_forms_of_encrypted_keys_are_recognised() {
    let pair = Pair::new();
    for content in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n\
         MIIB\n-----END RSA PRIVATE KEY-----\n",
    ] {
        pair.write("key.pem", content);
        let error = pair.error();
        assert!(matches!(error.fault, Fault::EncryptedKey), "{error}");
        assert!(error.to_string().contains("openssl pkey"), "{error}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (pair, other) = (Pair::new(), Pair::new());
    pair.write("key.pem", &other.key.serialize_pem());
    let error = pair.error();
    assert!(matches!(error.fault, Fault::Mismatch { .. }));
    assert!(error.to_string().contains("cert.pem"), "{error}");
}

#[test]
fn broken_pem_and_broken_contents_are_told_apart() {
    let pair = Pair::new();
    pair.write(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    assert!(matches!(pair.error().fault, Fault::NotPem(_)));
    pair.write(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    assert!(matches!(pair.error().fault, Fault::Unusable(_)));
    pair.write("cert.pem", &pair.cert.pem());
    pair.write(
        "key.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    assert!(matches!(pair.error().fault, Fault::UnknownKey(_)));
}
