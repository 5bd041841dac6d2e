//! Clients that look at what they are answered.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, PATIENCE};

use crate::stage::SHARED;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The name of the server, if one has answered.
    pub backend: String,
    /// The cookie that was set, without its attributes.
    pub cookie: Option<String>,
}

/// Asks once on a connection of its own, and again where that breaks: a takeover may be under way.
pub fn ask(host: &Host, target: SocketAddr, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let until = Instant::now() + PATIENCE;
    loop {
        match host.enter(|| ask_once(target, headers)) {
            Err(why) if Instant::now() > until => return Err(why),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}

fn ask_once(target: SocketAddr, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = "GET / HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n".to_owned();
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let field = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let find = |name: &str| {
        let named = |line: &&str| line.to_ascii_lowercase().starts_with(name);
        text.lines().find(named).and_then(field)
    };
    let cookie = find("set-cookie:");
    Ok(Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        backend: find("x-backend:").unwrap_or_default(),
        cookie: cookie.map(|line| line.split(';').next().unwrap_or_default().to_owned()),
    })
}

/// Makes a certificate in this folder; the key of a listener that has it.
pub fn certificate(folder: &Path) -> String {
    let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        )
        .args([
            "-subj",
            "/CN=lab.example",
            "-addext",
            "subjectAltName=DNS:lab.example",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n")
}

/// What a client has kept of a connection by TLS.
#[derive(Debug)]
pub struct Session {
    version: String,
    file: PathBuf,
}

impl Session {
    /// Asks, and keeps what the switch gave for the next time.
    pub fn open(host: &Host, version: &str, folder: &Path) -> Self {
        let file = folder.join(version);
        let said = openssl(host, version, &["-sess_out", file.to_str().unwrap()]);
        assert!(said.contains("200 OK"), "{said}");
        assert!(said.contains("New, TLSv"), "{said}");
        let version = version.to_owned();
        Self { version, file }
    }

    /// Whether the switch that answers now goes on with it.
    pub fn resumes(&self, host: &Host) -> bool {
        let said = openssl(
            host,
            &self.version,
            &["-sess_in", self.file.to_str().unwrap()],
        );
        assert!(said.contains("200 OK"), "{said}");
        said.contains("Reused, TLSv")
    }
}

/// Asks once by TLS; what the client printed.
fn openssl(host: &Host, version: &str, more: &[&str]) -> String {
    let mut child = host
        .command("openssl")
        .args([
            "s_client",
            "-ign_eof",
            "-servername",
            "lab.example",
            "-connect",
        ])
        .args([&format!("{SHARED}:443"), &format!("-{version}")])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n\r\n";
    child.stdin.take().unwrap().write_all(request).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
