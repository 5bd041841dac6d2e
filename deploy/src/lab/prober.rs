//! A client that opens a new connection every millisecond.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::thread::gettid;

use super::answer::Answer;
use super::run::{attempt, installed};
use super::{Attempt, Host, Outcome, Record};

/// The time between the starts of two attempts.
pub const EVERY: Duration = Duration::from_millis(1);
/// The time that an attempt has.
pub const LIMIT: Duration = Duration::from_millis(150);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n\r\n";
/// An answer is never that long; what is longer has failed.
const MAX_ANSWER: usize = 64 << 10;

/// A thread in a host that asks over and over again, each time on a new connection.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// In the order of their ends.
    attempts: Mutex<Vec<Attempt>>,
}

impl Prober {
    /// Begins to ask `target` from this host.
    pub fn start(host: &Host, target: SocketAddr) -> Self {
        Self::with(host, target, LIMIT, usize::MAX)
    }

    /// The same where only failures count, and the machine may be too busy to serve a connection each
    /// millisecond: an attempt has that much time in place of [`LIMIT`], and none begins while so
    /// many go on.
    pub fn start_gently(host: &Host, target: SocketAddr, limit: Duration, most: usize) -> Self {
        Self::with(host, target, limit, most)
    }

    fn with(host: &Host, target: SocketAddr, limit: Duration, most: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = host.spawn({
            let shared = Arc::clone(&shared);
            move || Work::new(target, limit, most, &shared).run()
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// What it has seen until now, without the attempts that go on.
    pub fn record(&self) -> Record {
        let attempts = &self.shared.attempts;
        let mut attempts = attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        attempts.sort_by_key(|attempt| attempt.started);
        Record { attempts }
    }

    /// Ends it, and waits for the attempts that go on.
    ///
    /// # Panics
    ///
    /// When the thread has panicked.
    pub fn stop(mut self) -> Record {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the prober goes on");
        }
        self.record()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// What its thread works with.
struct Work<'a> {
    target: SocketAddr,
    limit: Duration,
    /// Attempts that go on at once.
    most: usize,
    shared: &'a Shared,
    flights: Vec<Flight>,
}

/// An attempt that goes on.
struct Flight {
    stream: TcpStream,
    started: Instant,
    asked: bool,
    got: Vec<u8>,
    /// Its success is told; what is missing is the server's end of the connection. Whoever closes
    /// first keeps the port occupied for a minute, and it shall not be this side.
    told: bool,
}

impl<'a> Work<'a> {
    fn new(target: SocketAddr, limit: Duration, most: usize, shared: &'a Shared) -> Self {
        Self {
            target,
            limit,
            most,
            shared,
            flights: Vec::new(),
        }
    }

    fn run(mut self) {
        wait_for_nobody();
        let mut next = Instant::now();
        loop {
            let stop = self.shared.stop.load(Ordering::Relaxed);
            if stop && self.flights.is_empty() {
                return;
            }
            let now = Instant::now();
            if !stop && now >= next {
                if self.under_way() < self.most {
                    self.launch();
                }
                // What this thread missed while it did not run is not made up for.
                next = (next + EVERY).max(now);
            }
            if stop {
                next = Instant::now() + EVERY;
            }
            self.wait(next);
            self.expire();
        }
    }

    fn under_way(&self) -> usize {
        self.flights.iter().filter(|flight| !flight.told).count()
    }

    fn launch(&mut self) {
        let started = Instant::now();
        match open(self.target) {
            Ok(stream) => {
                let mut flight = Flight {
                    stream,
                    started,
                    asked: false,
                    got: Vec::new(),
                    told: false,
                };
                // The answer to a SYN is often there at once.
                match flight.go_on() {
                    Some(outcome) => self.tell(started, outcome),
                    None => self.flights.push(flight),
                }
            }
            Err(why) => self.tell(started, outcome_of(why.kind())),
        }
    }

    /// Until something happens or that time has come.
    fn wait(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds: Vec<PollFd<'_>> = self.flights.iter().map(Flight::poll_fd).collect();
        if poll(&mut fds, Some(&timeout)).unwrap_or(0) == 0 {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for index in (0..ready.len()).rev().filter(|index| ready[*index]) {
            let flight = &mut self.flights[index];
            let (started, told) = (flight.started, flight.told);
            let Some(outcome) = flight.go_on() else {
                continue;
            };
            let ok = matches!(outcome, Outcome::Ok(_));
            if !told {
                self.tell(started, outcome);
            }
            match ok && !told {
                true => self.flights[index].told = true,
                false => drop(self.flights.swap_remove(index)),
            }
        }
    }

    fn expire(&mut self) {
        let mut late = Vec::new();
        self.flights.retain(|flight| {
            let over = flight.started.elapsed() >= self.limit;
            if over && !flight.told {
                late.push(flight.started);
            }
            !over
        });
        for started in late {
            self.tell(started, Outcome::Timeout);
        }
    }

    fn tell(&self, started: Instant, outcome: Outcome) {
        let attempts = &self.shared.attempts;
        attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Attempt {
                started,
                took: started.elapsed(),
                outcome,
            });
    }
}

impl Flight {
    fn poll_fd(&self) -> PollFd<'_> {
        let wanted = match self.asked {
            true => PollFlags::IN,
            false => PollFlags::OUT,
        };
        PollFd::new(&self.stream, wanted)
    }

    /// Does what can be done without waiting; how it ended, when it has.
    fn go_on(&mut self) -> Option<Outcome> {
        if !self.asked {
            match self.stream.write(REQUEST) {
                Ok(_) => self.asked = true,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return None,
                Err(why) => return Some(outcome_of(why.kind())),
            }
        }
        let mut buffer = [0; 2048];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(Outcome::Reset),
                Ok(count) => self.got.extend_from_slice(&buffer[..count]),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return None,
                Err(why) => return Some(outcome_of(why.kind())),
            }
            match Answer::read(&self.got) {
                Some(answer) if answer.status == 200 => return Some(Outcome::Ok(answer.name)),
                Some(answer) => return Some(Outcome::Status(answer.status)),
                None if self.got.len() > MAX_ANSWER => return Some(Outcome::Reset),
                None => {}
            }
        }
    }
}

/// Gives this thread priority over all others that are not of real time: it sleeps nearly always,
/// and what it is late by would be taken for a blackout. A nice value means nothing to programs
/// that were started in another session (sched(7), autogroups).
fn wait_for_nobody() {
    let thread = gettid().as_raw_nonzero().to_string();
    let mut command = Command::new(installed("chrt"));
    let _ = attempt(command.args(["--fifo", "--pid", "1", &thread]));
}

/// A connection that is being opened.
fn open(target: SocketAddr) -> std::io::Result<TcpStream> {
    let family = match target {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(why) => Err(why.into()),
    }
}

fn outcome_of(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Outcome::Unreachable,
        ErrorKind::TimedOut => Outcome::Timeout,
        _ => Outcome::Reset,
    }
}
