//! `pointsman import`: the imported policy passes its check, and a switch with it answers as nginx and
//! HAProxy do with the original.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::program;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn nginx_and_what_is_imported_from_it_answer_the_same() {
    let stage = Stage::new();
    let original = stage.text("job.nginx", stage.theirs);
    let file = stage.write("nginx.conf", &original);
    let words = ["-p", stage.folder.path().to_str().unwrap(), "-c"];
    let Some(theirs) = stage.start("nginx", &words, &file) else {
        return skip(
            "nginx_and_what_is_imported_from_it_answer_the_same",
            "nginx",
        );
    };
    stage.compare("nginx", "job.nginx", Some(theirs));
}

#[test]
fn haproxy_and_what_is_imported_from_it_answer_the_same() {
    let stage = Stage::new();
    let original = stage.text("job.haproxy", stage.theirs);
    let file = stage.write("haproxy.cfg", &original);
    let Some(theirs) = stage.start("haproxy", &["-db", "-f"], &file) else {
        return skip(
            "haproxy_and_what_is_imported_from_it_answer_the_same",
            "haproxy",
        );
    };
    stage.compare("haproxy", "job.haproxy", Some(theirs));
}

#[test]
fn caddy_and_what_is_imported_from_it_answer_the_same() {
    let stage = Stage::new();
    let original = stage.text("job.caddy", stage.theirs);
    let file = stage.write("Caddyfile", &original);
    let words = ["run", "--adapter", "caddyfile", "--config"];
    let theirs = stage.start("caddy", &words, &file);
    if theirs.is_none() {
        skip(
            "caddy_and_what_is_imported_from_it_answer_the_same",
            "caddy: the imported policy alone is asked",
        );
    }
    stage.compare("caddy", "job.caddy", theirs);
}

#[test]
fn the_files_that_debian_ships_are_imported_and_pass() {
    let files = [
        ("nginx", "/etc/nginx/nginx.conf"),
        ("nginx", "/etc/nginx/sites-available/default"),
        (
            "haproxy",
            "/usr/share/doc/haproxy/examples/basic-config-edge.cfg",
        ),
        (
            "haproxy",
            "/usr/share/doc/haproxy/examples/content-sw-sample.cfg",
        ),
        ("haproxy", "/usr/share/doc/haproxy/examples/quick-test.cfg"),
    ];
    let stage = Stage::new();
    for (dialect, file) in files {
        if Path::new(file).exists() {
            stage.import(dialect, Path::new(file));
        } else {
            skip("the_files_that_debian_ships_are_imported_and_pass", file);
        }
    }
}

/// Host and path of a request, and what the job asks: status, where to, who answers and with which path.
const JOB: [(&str, &str, u16, &str); 9] = [
    ("shop.example.com", "/", 200, "shop / -"),
    ("shop.example.com", "/x?q=1", 200, "shop /x?q=1 -"),
    ("shop.example.com", "/api/v1", 200, "api /api/v1 prod"),
    ("shop.example.com", "/apis", 200, "shop /apis -"),
    ("shop.example.com", "/ping", 200, "pong"),
    (
        "shop.example.com",
        "/old/a?b=c",
        301,
        "https://www.example.com/old/a?b=c",
    ),
    ("shop.example.com", "/admin/x", 403, ""),
    ("other.example.com", "/", 404, ""),
    ("other.example.com", "/api/v1", 404, ""),
];

/// Backends, and ports for a foreign program and for the switch.
struct Stage {
    folder: TempDir,
    shop: u16,
    api: u16,
    theirs: u16,
    ours: u16,
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    fn new() -> Self {
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            shop: backend("shop"),
            api: backend("api"),
            theirs: free(),
            ours: free(),
        }
    }

    fn text(&self, name: &str, port: u16) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/import")
            .join(name);
        fs::read_to_string(path)
            .unwrap()
            .replace("PORT", &port.to_string())
            .replace("SHOP", &self.shop.to_string())
            .replace("API", &self.api.to_string())
            .replace("FOLDER", self.folder.path().to_str().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Starts a foreign program, if it is installed.
    fn start(&self, name: &str, words: &[&str], file: &Path) -> Option<Running> {
        let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];
        let found = places
            .iter()
            .map(|place| Path::new(place).join(name))
            .find(|file| file.exists())?;
        let child = Command::new(found)
            .args(words)
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(self.theirs);
        Some(Running(child))
    }

    /// The policy that is imported, which must pass its check.
    fn import(&self, dialect: &str, file: &Path) -> PathBuf {
        let pointsman = program("pointsman");
        let made = Command::new(&pointsman)
            .args(["import", dialect])
            .arg(file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{}: {said}", file.display());
        let policy = self.write("imported.toml", &String::from_utf8_lossy(&made.stdout));
        let checked = Command::new(&pointsman)
            .arg("check")
            .arg(&policy)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{}: {said}", file.display());
        let laid_out = Command::new(&pointsman)
            .args(["fmt", "--check"])
            .arg(&policy)
            .status()
            .unwrap();
        assert!(laid_out.success());
        policy
    }

    fn compare(&self, dialect: &str, name: &str, theirs: Option<Running>) {
        let file = self.write(name, &self.text(name, self.ours));
        let policy = self.import(dialect, &file);
        let text = fs::read_to_string(&policy).unwrap();
        let admin = self.folder.path().join("admin.sock");
        let admin = format!("\n[admin]\nlisten = \"unix:{}\"\n", admin.display());
        fs::write(&policy, text.clone() + &admin).unwrap();
        let switch = Command::new(program("pointsman"))
            .args(["--log", "error", "run"])
            .arg(&policy)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let _switch = Running(switch);
        wait_for(self.ours);
        for (host, path, status, wanted) in JOB {
            let ours = ask(self.ours, host, path);
            assert_eq!(ours.status, status, "{host}{path}\n{text}");
            assert_eq!(ours.essence(), wanted, "{host}{path}\n{text}");
            if theirs.is_some() {
                let theirs = ask(self.theirs, host, path);
                assert_eq!(ours.status, theirs.status, "{host}{path}");
                assert_eq!(ours.essence(), theirs.essence(), "{host}{path}");
                if matches!(ours.essence().split(' ').next(), Some("shop" | "api")) {
                    assert_eq!(ours.served_by, theirs.served_by, "{host}{path}\n{text}");
                }
            }
        }
    }
}

struct Answer {
    status: u16,
    location: String,
    served_by: String,
    body: String,
}

impl Answer {
    /// Pages about errors differ from program to program.
    fn essence(&self) -> &str {
        match self.status {
            200 => &self.body,
            301 => &self.location,
            _ => "",
        }
    }
}

fn ask(port: u16, host: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let field = |name: &str| {
        let lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let mut lines = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines
            .next()
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    };
    Answer {
        status: head[9..12].parse().unwrap(),
        location: field("location"),
        served_by: field("x-served-by"),
        body: body.trim().to_owned(),
    }
}

/// A server that tells its name, the path, and `X-Env`.
fn backend(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0; 1];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let env = head.lines().filter_map(|line| line.split_once(": "));
                let mut env = env.filter(|(key, _)| key.eq_ignore_ascii_case("x-env"));
                let env = env.next().map_or("-", |(_, value)| value);
                let body = format!("{name} {path} {env}");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

fn wait_for(port: u16) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Tells that something does not apply here, past the capture of a test's output.
fn skip(test: &str, what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: no {what}");
}
