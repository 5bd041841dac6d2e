//! A session: the TCP connection between two switches.
//!
//! A poll loop (level-triggered) watches the socket for input always, for output while
//! [`Session::wants_write`], until [`Session::deadline`]; then it calls [`Session::ready`].

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::ended::Ended;
use super::message::{Hello, Message};
use super::secure::{Ends, Psk};
use super::talk::{Step, Talk};

/// Until the peer has said Hello.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
/// Frames that one call of [`Session::ready`] looks at.
pub const MAX_FRAMES: usize = 64;

/// Reads of one call, each of at most [`CHUNK`] bytes: about a millisecond of work.
const MAX_READS: usize = 8;
const CHUNK: usize = 16 << 10;
/// The network may be silent for so long while something is on its way.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(1))
    .with_interval(Duration::from_secs(1))
    .with_retries(3);

/// One end of a session. Before the peer has proved who it is, it holds a few hundred bytes, and
/// ends after [`HANDSHAKE_LIMIT`].
pub struct Session {
    stream: TcpStream,
    peer: SocketAddr,
    talk: Talk,
    opened_here: bool,
    connecting: bool,
    /// A Bye of ours is on its way: nothing follows it.
    leaving: bool,
    started: Instant,
    /// Writing has failed. What the peer has said before may still be read.
    broken: Option<Ended>,
    /// To be told after the messages that came before it.
    ended: Option<Ended>,
    /// The end has been told.
    over: bool,
}

impl Session {
    /// Begins to connect, from `own` or whichever address the system chooses. The Hello is sent
    /// first, by itself.
    ///
    /// # Errors
    /// The system refuses at once; there is no secret and an end is not on this host; the Hello is
    /// not within its bounds.
    pub fn connect(
        own: Option<IpAddr>,
        peer: SocketAddr,
        secret: Option<&Psk>,
        hello: Hello,
    ) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(peer),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        prepare(SockRef::from(&socket))?;
        if let Some(own) = own {
            socket.bind(&SockAddr::from(SocketAddr::new(own, 0)))?;
        }
        let connecting = connect(&socket, peer)?;
        let stream = TcpStream::from(socket);
        let ends = Ends {
            initiator: stream.local_addr()?.ip(),
            responder: peer.ip(),
        };
        let talk = Talk::initiator(secret, ends, &hello)?;
        Ok(Self {
            connecting,
            ..Self::new(stream, peer, talk, true)
        })
    }

    /// Of a connection that the peer has opened.
    ///
    /// # Errors
    /// As [`Session::connect`], or the connection has gone already.
    pub fn accept(
        stream: TcpStream,
        peer: SocketAddr,
        secret: Option<&Psk>,
        hello: Hello,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        prepare(SockRef::from(&stream))?;
        let ends = Ends {
            initiator: peer.ip(),
            responder: stream.local_addr()?.ip(),
        };
        let talk = Talk::responder(secret, ends, &hello)?;
        Ok(Self::new(stream, peer, talk, false))
    }

    fn new(stream: TcpStream, peer: SocketAddr, talk: Talk, opened_here: bool) -> Self {
        Self {
            stream,
            peer,
            talk,
            opened_here,
            connecting: false,
            leaving: false,
            started: Instant::now(),
            broken: None,
            ended: None,
            over: false,
        }
    }

    /// Does what is possible now: connects, shakes hands, writes and reads. The messages are those
    /// that concern the caller: Hello ([`Session::peer_hello`]), Bye ([`Ended::Bye`]) and unknown
    /// ones are not among them. At most [`MAX_FRAMES`] are looked at.
    ///
    /// # Errors
    /// The session is over, and is to be dropped. What came before the end has been returned.
    pub fn ready(&mut self, now: Instant) -> Result<Vec<Message>, Ended> {
        if self.over {
            return Err(Ended::Closed);
        }
        if let Some(ended) = self.ended.take() {
            self.over = true;
            return Err(ended);
        }
        let mut messages = vec![];
        match self.turn(now, &mut messages) {
            Err(ended) if messages.is_empty() => {
                self.over = true;
                Err(ended)
            }
            Err(ended) => {
                self.ended = Some(ended);
                Ok(messages)
            }
            Ok(()) => Ok(messages),
        }
    }

    /// Queues a message, and writes what can be written. Before the session is open it waits. A
    /// [`Message::Bye`] is the last one: keep the session until it [wants to write](Self::wants_write)
    /// nothing more, then drop it.
    ///
    /// # Errors
    /// [`Ended::Stuck`] when 1 MiB waits already; [`Ended::Protocol`] for a message that is not
    /// within its bounds, see [`Message::encode`]. An end that the peer or the network has made
    /// comes out of [`Session::ready`], for what the peer said before is still to be read.
    pub fn send(&mut self, message: &Message) -> Result<(), Ended> {
        if self.leaving {
            return Ok(());
        }
        self.talk.send(message)?;
        self.leaving = matches!(message, Message::Bye { .. });
        self.flush()
    }

    /// Whether the loop shall call [`Session::ready`] when the socket takes output.
    pub fn wants_write(&self) -> bool {
        self.broken.is_none() && (self.connecting || self.talk.wants_write())
    }

    /// Bytes that the socket has not taken yet.
    pub fn waiting(&self) -> usize {
        self.talk.waiting()
    }

    /// Whether the peer has proved to be a switch of the group, and said who it is.
    pub fn is_open(&self) -> bool {
        self.talk.is_open()
    }

    /// What the peer has said of itself.
    pub fn peer_hello(&self) -> Option<&Hello> {
        self.talk.peer()
    }

    /// Whose session it is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// When [`Session::ready`] is to be called even if nothing happens at the socket. It is in the
    /// past while there is more to tell than one call could.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended.is_some() || self.broken.is_some() || self.talk.is_ready() {
            return Some(self.started);
        }
        (!self.is_open()).then(|| self.started + HANDSHAKE_LIMIT)
    }

    fn turn(&mut self, now: Instant, messages: &mut Vec<Message>) -> Result<(), Ended> {
        if self.connecting && !self.is_connected()? {
            return self.in_time(now);
        }
        self.connecting = false;
        self.flush()?;
        // A farewell may have come before writing failed: only who has read since knows.
        let was_broken = self.broken.is_some();
        let drained = self.read(messages)?;
        if was_broken && drained {
            return self.broken.take().map_or(Ok(()), Err);
        }
        // The handshake's answer, and what waited for it.
        self.flush()?;
        self.in_time(now)
    }

    fn is_connected(&self) -> Result<bool, Ended> {
        if let Some(error) = self.stream.take_error().map_err(Ended::Unreachable)? {
            return Err(Ended::Unreachable(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(Ended::Unreachable(error)),
        }
    }

    fn in_time(&self, now: Instant) -> Result<(), Ended> {
        if self.is_open() || now < self.started + HANDSHAKE_LIMIT {
            return Ok(());
        }
        Err(match self.opened_here {
            true => Ended::Unreachable(io::ErrorKind::TimedOut.into()),
            false if self.talk.is_secret() => Ended::Unauthentic,
            false => Ended::Protocol("no Hello has come"),
        })
    }

    /// Whether there was nothing more to read.
    fn read(&mut self, messages: &mut Vec<Message>) -> Result<bool, Ended> {
        let (mut frames, mut reads, mut chunk) = (0, 0, [0; CHUNK]);
        while frames < MAX_FRAMES {
            match self.talk.next()? {
                Step::Heard(message) => messages.push(message),
                Step::Silent => {}
                Step::Idle if reads == MAX_READS => return Ok(false),
                Step::Idle if self.read_once(&mut chunk)? => {
                    reads += 1;
                    continue;
                }
                Step::Idle => return Ok(true),
            }
            frames += 1;
        }
        Ok(false)
    }

    /// Whether there was something.
    fn read_once(&mut self, chunk: &mut [u8; CHUNK]) -> Result<bool, Ended> {
        let room = self.talk.room().min(CHUNK);
        match self.stream.read(&mut chunk[..room]) {
            Ok(0) => Err(self.early(Ended::Closed)),
            Ok(read) => {
                self.talk.take(&chunk[..read]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(self.early(Ended::of(error))),
        }
    }

    /// A peer that goes in the middle of the handshake has not died: it did not like ours.
    fn early(&self, ended: Ended) -> Ended {
        match ended {
            Ended::Closed if self.talk.is_secret() && !self.is_open() => Ended::Unauthentic,
            ended => ended,
        }
    }

    fn flush(&mut self) -> Result<(), Ended> {
        while !self.connecting && self.broken.is_none() {
            let bytes = self.talk.outgoing()?;
            if bytes.is_empty() {
                return self.farewell();
            }
            match self.stream.write(bytes) {
                Ok(written) => self.talk.wrote(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.broken = Some(self.early(Ended::of(error))),
            }
        }
        Ok(())
    }

    /// The end of the stream is on its way before the socket is closed: a close with input unread
    /// would be a reset.
    fn farewell(&mut self) -> Result<(), Ended> {
        if self.leaving && !self.talk.wants_write() && self.is_open() {
            // It has failed: then the peer has gone, and reading tells.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.peer)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// Whether the connection is still on its way.
fn connect(socket: &Socket, peer: SocketAddr) -> io::Result<bool> {
    match socket.connect(&peer.into()) {
        Ok(()) => Ok(false),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => Ok(true),
        Err(error) => Err(error),
    }
}

fn prepare(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_keepalive(&KEEPALIVE)
}
