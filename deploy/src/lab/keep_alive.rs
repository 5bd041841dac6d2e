//! Clients that keep their connections.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Host;
use super::answer::Answer;

/// An answer on a kept connection may take that long: its segments may have to be sent again.
const PATIENCE: Duration = Duration::from_secs(3);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab.example\r\n\r\n";

/// Threads in a host, each with a connection on which it asks now and then.
#[derive(Debug)]
pub struct KeepAlive {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What clients with kept connections saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Answers that came whole.
    pub requests: usize,
    /// Requests that were reset, cut off or not answered, on a connection whose end had not been
    /// announced by `Connection: close`.
    pub broken: usize,
    /// Connections that were opened after the first ones.
    pub reconnections: usize,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    requests: AtomicUsize,
    broken: AtomicUsize,
    connections: AtomicUsize,
    /// Who had answered last on each connection that broke.
    broken_of: Mutex<Vec<String>>,
}

impl KeepAlive {
    /// Opens so many connections from this host, and asks on each with that pause between.
    pub fn start(host: &Host, target: SocketAddr, connections: usize, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let client = || {
            let shared = Arc::clone(&shared);
            host.spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    // Whoever cannot connect is the prober's to count.
                    if let Ok(stream) = TcpStream::connect_timeout(&target, PATIENCE) {
                        shared.connections.fetch_add(1, Ordering::Relaxed);
                        shared.converse(stream, pause);
                    }
                    thread::sleep(pause);
                }
            })
        };
        let threads = (0..connections).map(|_| client()).collect();
        Self { shared, threads }
    }

    /// What they have seen until now.
    pub fn kept(&self) -> Kept {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Kept {
            requests: load(&self.shared.requests),
            broken: load(&self.shared.broken),
            reconnections: load(&self.shared.connections).saturating_sub(self.threads.len()),
        }
    }

    /// Who had answered last on each connection that broke.
    pub fn broken_of(&self) -> Vec<String> {
        let names = self.shared.broken_of.lock();
        names.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, and waits for the answers that are awaited, for some seconds at most.
    ///
    /// # Panics
    ///
    /// When a thread has panicked.
    pub fn stop(mut self) -> Kept {
        self.shared.stop.store(true, Ordering::Relaxed);
        let kept = self.threads.len();
        for thread in self.threads.drain(..) {
            thread.join().expect("the client goes on");
        }
        let connections = self.shared.connections.load(Ordering::Relaxed);
        Kept {
            reconnections: connections.saturating_sub(kept),
            ..self.kept()
        }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Asks until it is enough, or the connection ends.
    fn converse(&self, mut stream: TcpStream, pause: Duration) {
        let mut name = String::new();
        while !self.stop.load(Ordering::Relaxed) {
            match ask(&mut stream) {
                Ok(answer) => {
                    name.clone_from(&answer.name);
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    if answer.close {
                        return;
                    }
                }
                Err(_) => {
                    self.broken.fetch_add(1, Ordering::Relaxed);
                    let names = self.broken_of.lock();
                    names.unwrap_or_else(PoisonError::into_inner).push(name);
                    return;
                }
            }
            thread::sleep(pause);
        }
    }
}

fn ask(stream: &mut TcpStream) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let (mut got, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => got.extend_from_slice(&buffer[..count]),
        }
        if let Some(answer) = Answer::read(&got) {
            return Ok(answer);
        }
    }
}
