//! Programs of others. A missing one fails its tests: `./test` installs them all.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{free_address, get, wait_until};

/// A program of the system; servers stand where only root looks by itself.
pub fn program(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
    command
}

/// Runs a program to its end: whether it went well, and all it wrote.
pub fn run(name: &str, args: &[&str]) -> (bool, String) {
    let output = program(name)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{name} does not start ({error}); ./test installs it"));
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), all)
}

/// curl, silent but for what it gets and its errors.
#[track_caller]
pub fn curl(args: &[&str]) -> String {
    let mut all = vec!["--silent", "--show-error", "--max-time", "20"];
    all.extend(args);
    let (well, text) = run("curl", &all);
    assert!(well, "curl {args:?}: {text}");
    text
}

/// A key and a self-signed certificate for `localhost`: `key.pem`, `cert.pem`.
pub fn certificate(folder: &Path) {
    let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
    let (well, text) = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            cert.to_str().unwrap(),
        ],
    );
    assert!(well, "{text}");
}

/// One nginx process that answers every request with its name.
pub struct Nginx {
    pub address: SocketAddr,
    pub folder: TempDir,
    child: Child,
}

impl Nginx {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, free_address())
    }

    /// It listens there, and on the Unix socket `web.sock` of its folder.
    pub fn start_at(name: &str, address: SocketAddr) -> Self {
        Self::start_with(name, address, "")
    }

    /// The same with more servers.
    pub fn start_with(name: &str, address: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().to_str().expect("a path in UTF-8");
        std::fs::write(
            folder.path().join("nginx.conf"),
            configuration(name, own, address, more),
        )
        .expect("written");
        let mut child = program("nginx")
            .args(["-p", own, "-c", "nginx.conf", "-e", "error.log"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("nginx starts; ./test installs it");
        let mut stderr = child.stderr.take().expect("it is piped");
        let nginx = Self {
            address,
            folder,
            child,
        };
        let ready = std::panic::catch_unwind(|| {
            wait_until("nginx answers", || get(address, "/").0 == 200);
        });
        if ready.is_err() {
            drop(nginx);
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            panic!("nginx does not answer: {text}");
        }
        nginx
    }

    /// Its end, without a farewell.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One process in the foreground that touches nothing outside its folder.
fn configuration(name: &str, folder: &str, address: SocketAddr, more: &str) -> String {
    let own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .join("\n  ");
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; keepalive_requests 100000; client_max_body_size 0;\n  {own}\n  \
         server {{ listen {address}; listen unix:{folder}/web.sock;\n    \
         location / {{ default_type text/plain; return 200 \"{name}\\n\"; }} }}\n{more}}}\n"
    )
}
