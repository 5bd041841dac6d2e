//! What clients notice.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, KeepAlive, Outcome, Prober, Switch, wait_until};

/// For a single request: a lost segment is sent again after a second at most.
const PATIENCE: Duration = Duration::from_millis(1500);
/// A busy machine may take that long for an answer. A segment that asks for a connection and is lost
/// is sent again after a second: that is a failure.
const LIMIT: Duration = Duration::from_millis(900);
/// Connections that are being opened or served at once.
const MOST: usize = 16;
/// Answers without a failure among them, after which all is well.
const CALM: usize = 100;
/// Between two looks at what came of thousands of attempts.
const LOOK: Duration = Duration::from_millis(50);

/// Clients that connect all the time, and some that keep their connections.
pub struct Clients {
    prober: Prober,
    kept: KeepAlive,
    begin: Instant,
}

impl Clients {
    /// Starts them, and waits until all is well.
    pub fn start(host: &Host, target: SocketAddr) -> Self {
        let prober = Prober::start_gently(host, target, LIMIT, MOST);
        wait_until("the first answer", || {
            thread::sleep(LOOK);
            prober.record().attempts.iter().any(|one| one.is_ok())
        });
        let kept = KeepAlive::start(host, target, 2, Duration::from_millis(20));
        let clients = Self {
            prober,
            kept,
            begin: Instant::now(),
        };
        clients.wait_until_calm();
        Self {
            begin: Instant::now(),
            ..clients
        }
    }

    /// Waits until all is well, for some time now.
    #[track_caller]
    pub fn wait_until_calm(&self) {
        let begin = Instant::now();
        wait_until("clients are served without a failure", || {
            thread::sleep(LOOK);
            let record = self.prober.record().since(begin);
            let last = record.attempts.iter().rev().take(CALM);
            record.attempts.len() > CALM && last.clone().all(|one| one.is_ok())
        });
    }

    /// Ends them: no request has failed, no kept connection has broken.
    #[track_caller]
    pub fn end_unharmed(self, switches: &[&Switch]) {
        self.wait_until_calm();
        let begin = self.begin;
        let kept = self.kept.stop();
        let record = self.prober.stop().since(begin);
        let failures: Vec<(Duration, &Outcome)> = record
            .attempts
            .iter()
            .filter(|one| one.started >= begin && !one.is_ok())
            .map(|one| (one.started - begin, &one.outcome))
            .collect();
        let by = record.answered_by();
        let by: Vec<_> = by.iter().map(|(at, who)| (*at - begin, who)).collect();
        let logs: Vec<String> = switches.iter().map(|switch| switch.log()).collect();
        assert!(
            failures.is_empty() && kept.broken == 0,
            "{} of {} failed: {failures:?}\n{kept:?}\nanswered by {by:?}\n{}",
            failures.len(),
            record.attempts.len(),
            logs.join("\n---\n")
        );
        assert!(kept.requests > 0);
    }
}

/// Who answers a request on a new connection, if anybody does.
pub fn ask(host: &Host, target: SocketAddr) -> Option<String> {
    let bytes = fetch(host, target, "/", Duration::ZERO)?;
    let text = String::from_utf8_lossy(&bytes);
    let head = text.strip_prefix("HTTP/1.1 200")?;
    let named = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    named("x-switch:").or_else(|| named("x-backend:"))
}

/// Everything that comes on a connection with one request, read with that pause after each 64 KiB.
pub fn fetch(host: &Host, target: SocketAddr, path: &str, pause: Duration) -> Option<Vec<u8>> {
    host.enter(|| {
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE).ok()?;
        stream.set_read_timeout(Some(2 * PATIENCE)).ok()?;
        let head = "Host: lab.example\r\nConnection: close\r\n\r\n";
        write!(stream, "GET {path} HTTP/1.1\r\n{head}").ok()?;
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match stream.read(&mut buffer).ok()? {
                0 => return Some(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
            thread::sleep(pause);
        }
    })
}
