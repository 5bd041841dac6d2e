//! Name servers, and clients that ask them without connections.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pointsman_deploy::lab::{Daemon, Host, wait_until};

/// A record of type TXT that says who answers.
const NAME: &str = "who.lab";
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between the questions of a flow.
const PAUSE: Duration = Duration::from_millis(20);

/// dnsmasq, whose record of who answers is its host's name.
pub struct NameServer(Daemon);

impl NameServer {
    /// Starts it at port 53 of all addresses, and waits until it answers.
    pub fn start(host: &Host) -> Self {
        let mut command = host.command("dnsmasq");
        let record = format!("--txt-record={NAME},{}", host.name());
        command.args(["--keep-in-foreground", "--no-resolv", "--no-hosts"]);
        command.args(["--conf-file=/dev/null", "--pid-file=", "--user=root"]);
        command.args(["--log-facility=-", &record]);
        let mut daemon = Daemon::start(&format!("dnsmasq of {}", host.name()), &mut command);
        let own = SocketAddr::from((host.ipv4(), 53));
        wait_until("dnsmasq answers", || {
            assert!(daemon.has_ended().is_none(), "{}", daemon.log());
            host.enter(|| ask(&open(own)?)).is_some()
        });
        Self(daemon)
    }

    /// Ends it in the middle of everything (SIGKILL).
    pub fn kill(&mut self) {
        self.0.kill_all();
    }
}

/// Who answers dig(1).
pub fn dig(host: &Host, target: SocketAddr) -> String {
    let (server, port) = (format!("@{}", target.ip()), target.port().to_string());
    let args = [&server, "-p", &port, "+short", "+tries=1", "+time=2"];
    let told = host.run("dig", &[&args[..], &[NAME, "TXT"]].concat());
    told.trim().trim_matches('"').to_owned()
}

/// Who answers a client that asks for the first time.
pub fn ask_anew(host: &Host, target: SocketAddr) -> Option<String> {
    host.enter(|| ask(&open(target)?))
}

/// Clients, each of which asks over and over again from the same port.
pub struct Flows {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    rounds: AtomicUsize,
    flows: Mutex<Vec<Flow>>,
}

/// What one of them has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow {
    /// Who has answered, each time that it was another one.
    pub answered: Vec<String>,
    /// Whose answer was missed, as far as is known.
    pub missed: Vec<String>,
}

impl Flows {
    pub fn start(host: &Host, target: SocketAddr, count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let sockets = host.enter(|| {
            (0..count)
                .map(|_| open(target).unwrap())
                .collect::<Vec<_>>()
        });
        *lock(&shared) = vec![Flow::default(); count];
        let thread = thread::spawn(move || own.ask(&sockets));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Waits until each of them has asked some times more.
    #[track_caller]
    pub fn go_on(&self) {
        let rounds = || self.shared.rounds.load(Ordering::Relaxed);
        let begin = rounds();
        wait_until("the clients have asked", || rounds() >= begin + 5);
    }

    /// What they have seen.
    pub fn seen(&self) -> Vec<Flow> {
        lock(&self.shared).clone()
    }

    /// How many each server has at last.
    pub fn shares(&self) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for flow in self.seen() {
            *shares
                .entry(flow.answered.last().cloned().unwrap_or_default())
                .or_default() += 1;
        }
        shares
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self, sockets: &[UdpSocket]) {
        while !self.stop.load(Ordering::Relaxed) {
            for (at, socket) in sockets.iter().enumerate() {
                let name = ask(socket);
                let flow = &mut lock(self)[at];
                let last = flow.answered.last().cloned();
                match name {
                    Some(name) if last.as_ref() != Some(&name) => flow.answered.push(name),
                    Some(_) => {}
                    None => flow.missed.push(last.unwrap_or_default()),
                }
            }
            self.rounds.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Vec<Flow>> {
    shared.flows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(target: SocketAddr) -> Option<UdpSocket> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => "0.0.0.0:0".parse().unwrap(),
        SocketAddr::V6(_) => "[::]:0".parse().unwrap(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(socket)
}

/// Asks once (RFC 1035, 4.1); the text of the answer's only record.
fn ask(socket: &UdpSocket) -> Option<String> {
    let mut question = vec![0x4c, 0x42, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NAME.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 16, 0, 1]);
    socket.send(&question).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    // A name that points to the question, type, class, seconds, length, and the text's own length.
    let text = answer[..length].get(question.len() + 12..)?;
    let (size, text) = text.split_first()?;
    String::from_utf8(text.get(..usize::from(*size))?.to_vec()).ok()
}
