//! What clients notice.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, KeepAlive, Outcome, Prober, Switch, wait_until};

/// For a single request.
const PATIENCE: Duration = Duration::from_millis(1500);
/// A busy machine may take that long for an answer; a lost SYN is sent again after a second.
const LIMIT: Duration = Duration::from_millis(900);
/// Connections that are being opened or served at once.
const MOST: usize = 16;
/// Connections that are kept.
pub const KEPT: usize = 90;
/// Answers without a failure among them, after which all is well.
const CALM: usize = 100;

/// Who answers `GET /` on a new connection.
pub fn ask(host: &Host, target: SocketAddr) -> Option<String> {
    host.enter(|| {
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(body.trim().to_owned())
    })
}

/// Bytes of a file that is fetched with curl; `more`: arguments of it.
pub fn fetch(host: &Host, target: SocketAddr, path: &str, more: &[&str]) -> u64 {
    let url = format!("http://{target}{path}");
    let mut args = vec![
        "-sS",
        "-o",
        "/dev/null",
        "--max-time",
        "20",
        "-w",
        "%{size_download}",
    ];
    args.extend(more);
    args.push(&url);
    host.run("curl", &args).trim().parse().unwrap()
}

/// Clients that connect all the time, and many that keep their connections.
pub struct Clients {
    prober: Prober,
    kept: KeepAlive,
    begin: Instant,
}

/// What they have noticed.
#[derive(Debug)]
pub struct Noticed {
    pub failed: usize,
    /// Whose connections broke.
    pub broken: Vec<String>,
    /// For messages.
    pub details: String,
}

impl Clients {
    /// Starts them, and waits until all is well.
    pub fn start(host: &Host, target: SocketAddr) -> Self {
        Self::start_with(host, target, MOST)
    }

    /// The same where so many new connections may wait at once.
    pub fn start_with(host: &Host, target: SocketAddr, most: usize) -> Self {
        let kept = KeepAlive::start(host, target, KEPT, Duration::from_millis(50));
        wait_until("all connections stand", || kept.kept().requests > 2 * KEPT);
        let prober = Prober::start_gently(host, target, LIMIT, most);
        let mut clients = Self {
            prober,
            kept,
            begin: Instant::now(),
        };
        clients.wait_until_calm();
        clients.begin = Instant::now();
        clients
    }

    /// Waits until all is well, for some time now.
    #[track_caller]
    pub fn wait_until_calm(&self) {
        let begin = Instant::now();
        wait_until("clients are served without a failure", || {
            thread::sleep(Duration::from_millis(50));
            let record = self.prober.record().since(begin);
            let last = record.attempts.iter().rev().take(CALM);
            record.attempts.len() > CALM && last.clone().all(|one| one.is_ok())
        });
        let requests = self.kept.kept().requests;
        wait_until("kept connections go on", || {
            self.kept.kept().requests > requests + KEPT
        });
    }

    /// Who has answered new connections since.
    pub fn answered_since(&self, begin: Instant) -> Vec<String> {
        let attempts = self.prober.record().attempts;
        let new = attempts.iter().filter(|one| one.started >= begin);
        new.filter_map(|one| match &one.outcome {
            Outcome::Ok(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
    }

    /// Ends them.
    #[track_caller]
    pub fn end(self, switches: &[&Switch]) -> Noticed {
        self.wait_until_calm();
        let broken = self.kept.broken_of();
        self.kept.stop();
        let record = self.prober.stop();
        let new = record
            .attempts
            .iter()
            .filter(|one| one.started >= self.begin);
        let failures: Vec<(Duration, &Outcome)> = new
            .filter(|one| !one.is_ok())
            .map(|one| (one.started - self.begin, &one.outcome))
            .collect();
        let logs: Vec<String> = switches.iter().map(|switch| switch.log()).collect();
        Noticed {
            failed: failures.len(),
            details: format!("{failures:?}\n{}", logs.join("\n---\n")),
            broken,
        }
    }

    /// Ends them: nobody has noticed anything.
    #[track_caller]
    pub fn end_unharmed(self, switches: &[&Switch]) {
        let noticed = self.end(switches);
        let fine = noticed.failed == 0 && noticed.broken.is_empty();
        assert!(fine, "{:?} broke\n{}", noticed.broken, noticed.details);
    }
}
