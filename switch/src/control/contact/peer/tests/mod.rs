//! Sessions over real sockets of the loopback, driven by a poll loop like the one of the program.

mod door;
mod hostile;
mod messages;
mod sessions;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use super::door::Door;
use super::ended::Ended;
use super::heartbeat::HeartbeatKey;
use super::message::{Hello, Message};
use super::secure::{Psk, psk};
use super::session::Session;

/// Of the switch that connects, and of the one that waits.
const LOW: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const HIGH: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// One end, and all that came out of it.
struct End {
    session: Option<Session>,
    heard: Vec<Message>,
    ended: Option<Ended>,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session: Some(session),
            heard: vec![],
            ended: None,
        }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("it has not ended")
    }

    fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_open)
    }

    fn ready(&mut self, now: Instant) {
        let Some(session) = &mut self.session else {
            return;
        };
        match session.ready(now) {
            Ok(messages) => self.heard.extend(messages),
            Err(ended) => {
                self.session = None;
                self.ended = Some(ended);
            }
        }
    }

    fn word(&self) -> Option<&'static str> {
        self.ended.as_ref().map(Ended::word)
    }
}

/// Turns the loop until `done`; it must be within five seconds.
fn drive(ends: &mut [&mut End], mut done: impl FnMut(&mut [&mut End]) -> bool) {
    let start = Instant::now();
    while !done(ends) {
        assert!(start.elapsed() < Duration::from_secs(5), "it takes forever");
        turn(ends);
    }
}

fn turn(ends: &mut [&mut End]) {
    let now = Instant::now();
    let sessions = || ends.iter().filter_map(|end| end.session.as_ref());
    let mut watched: Vec<_> = sessions()
        .map(|session| {
            let output = match session.wants_write() {
                true => PollFlags::OUT,
                false => PollFlags::empty(),
            };
            PollFd::new(session, PollFlags::IN | output)
        })
        .collect();
    let deadlines = sessions().filter_map(Session::deadline);
    let wait = deadlines.map(|at| at.saturating_duration_since(now)).min();
    let wait = wait.map_or(50, |wait| wait.as_millis().min(50) as i64);
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: wait * 1_000_000,
    };
    poll(&mut watched, Some(&wait)).unwrap();
    for end in ends {
        end.ready(Instant::now());
    }
}

fn hello(node: u64) -> Hello {
    Hello {
        version: "0.1.0".to_owned(),
        node,
        heartbeat_key: HeartbeatKey::random().unwrap().to_base64(),
    }
}

fn secret() -> Option<Psk> {
    Some(psk("long and random"))
}

/// A door at [`HIGH`] that lets [`LOW`] in, and its address.
fn door() -> (Door, SocketAddr) {
    let door = Door::open(&[HIGH], 0, &[LOW]).unwrap();
    let socket = door.sockets().next().unwrap();
    let address = SockRef::from(&socket).local_addr().unwrap();
    let address = address.as_socket().unwrap();
    (door, address)
}

/// What has come to the door.
fn let_in(door: &mut Door) -> (TcpStream, SocketAddr) {
    for _ in 0..1000 {
        if let Some(come) = door.accept(|_| 0) {
            return come;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nobody has come");
}

/// Both ends of a session in its handshake.
fn pair(low: Option<Psk>, high: Option<Psk>) -> (End, End) {
    let (mut door, address) = door();
    let low = Session::connect(Some(LOW), address, low.as_ref(), hello(1)).unwrap();
    let (stream, peer) = let_in(&mut door);
    let high = Session::accept(stream, peer, high.as_ref(), hello(2)).unwrap();
    (End::new(low), End::new(high))
}

/// Both ends of a session that is open.
fn open_pair(secret: Option<Psk>) -> (End, End) {
    let (mut low, mut high) = pair(secret.clone(), secret);
    drive(&mut [&mut low, &mut high], |ends| {
        ends.iter().all(|end| end.is_open())
    });
    (low, high)
}

/// A session that waits for a stranger to say something, and the stranger's end.
fn visited(secret: Option<Psk>) -> (End, TcpStream) {
    let (mut door, address) = door();
    let stranger = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    stranger.bind(&SocketAddr::new(LOW, 0).into()).unwrap();
    stranger.connect(&address.into()).unwrap();
    let (stream, peer) = let_in(&mut door);
    let session = Session::accept(stream, peer, secret.as_ref(), hello(2)).unwrap();
    (End::new(session), stranger.into())
}

/// A session that connects to a stranger, and the stranger's end.
fn visiting(secret: Option<Psk>) -> (End, TcpStream) {
    let (mut door, address) = door();
    let session = Session::connect(Some(LOW), address, secret.as_ref(), hello(1)).unwrap();
    let (stream, _) = let_in(&mut door);
    stream.set_nonblocking(false).unwrap();
    (End::new(session), stream)
}

/// All that arrives before the other side closes or is silent for a moment.
fn all_of(stream: &mut TcpStream) -> Vec<u8> {
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut got = vec![];
    // A timeout or a reset is an end, too.
    let _ = stream.read_to_end(&mut got);
    got
}

fn say(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_nodelay(true).unwrap();
    // It may have been closed already: that is what some tests are about.
    let _ = stream.write_all(bytes);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = message.len() as u16;
    [&length.to_be_bytes(), message].concat()
}
