//! What one side of a session says and hears, without the socket: bytes go in, messages come out,
//! and the other way round.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use pointsman_backend::protocol::frame::Inbox;

use super::ended::Ended;
use super::message::{Hello, MAX_MESSAGE, Message};
use super::secure::{Channel, Ends, HANDSHAKE, Psk};

/// Bytes that may wait to be sent.
pub const MAX_WAITING: usize = 1 << 20;

/// No successor is waited for longer than this, whatever the peer says.
const MAX_SUCCESSOR: Duration = Duration::from_secs(60);
/// Bytes of a frame at most before the peer has said Hello.
const MAX_HELLO: usize = 2048;
/// Sealed at once, so that many short messages are one write.
const BATCH: usize = 16 << 10;

/// One side of a session. It holds at most [`MAX_WAITING`] bytes to send, one [`BATCH`] and message
/// that are sealed, and one frame that is coming.
#[derive(Debug)]
pub struct Talk {
    channel: Channel,
    inbox: Inbox,
    opened: Vec<u8>,
    /// Our own, to know ourselves.
    node: u64,
    peer: Option<Hello>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    out: Vec<u8>,
    written: usize,
}

/// What [`Talk::next`] has found.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing: more bytes are needed.
    Idle,
    /// Something that is no message for the caller.
    Silent,
    /// A message, neither Hello nor Bye nor unknown.
    Heard(Message),
}

impl Talk {
    /// Of the side that opens the session.
    ///
    /// # Errors
    /// There is no secret and an end is not on this host, or the Hello is not within its bounds.
    pub fn initiator(psk: Option<&Psk>, ends: Ends, hello: &Hello) -> io::Result<Self> {
        let (channel, hail) = match psk {
            Some(psk) => Channel::initiator(psk, &ends.prologue())?,
            None => (plain(ends)?, vec![]),
        };
        Self::new(channel, hail, hello)
    }

    /// Of the side that waits for it.
    ///
    /// # Errors
    /// As [`Talk::initiator`].
    pub fn responder(psk: Option<&Psk>, ends: Ends, hello: &Hello) -> io::Result<Self> {
        let channel = match psk {
            Some(psk) => Channel::responder(psk, &ends.prologue()),
            None => plain(ends)?,
        };
        Self::new(channel, vec![], hello)
    }

    fn new(channel: Channel, out: Vec<u8>, hello: &Hello) -> io::Result<Self> {
        let first = Message::Hello(hello.clone()).encode();
        let first = first.map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
        Ok(Self {
            channel,
            inbox: Inbox::default(),
            opened: vec![],
            node: hello.node,
            peer: None,
            waiting_bytes: first.len(),
            waiting: VecDeque::from([first]),
            out,
            written: 0,
        })
    }

    /// Whether each side knows that the other one is a switch of the group, and who it is.
    pub fn is_open(&self) -> bool {
        self.peer.is_some()
    }

    /// What the peer has said of itself.
    pub fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Whether strangers are kept out.
    pub fn is_secret(&self) -> bool {
        !matches!(self.channel, Channel::Plain)
    }

    /// How many bytes [`Talk::take`] may be given now: at least one when [`Talk::next`] is idle.
    pub fn room(&self) -> usize {
        self.inbox.room(self.limit())
    }

    /// What has arrived.
    pub fn take(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
    }

    /// Whether [`Talk::next`] is not idle.
    pub fn is_ready(&self) -> bool {
        self.inbox.is_ready(self.limit())
    }

    /// The next thing that the peer has said.
    ///
    /// # Errors
    /// The session is over. What would come after that is nobody's business.
    pub fn next(&mut self) -> Result<Step, Ended> {
        let limit = self.limit();
        if !self.channel.is_open() {
            // Of a stranger: nothing is told about what exactly was wrong.
            let frame = self.inbox.frame(limit).map_err(|_| Ended::Unauthentic)?;
            let Some(frame) = frame else {
                return Ok(Step::Idle);
            };
            self.channel.shake(frame, &mut self.out)?;
            return Ok(Step::Silent);
        }
        let Some(frame) = self.inbox.frame(limit).map_err(Ended::Protocol)? else {
            return Ok(Step::Idle);
        };
        let bytes = self.channel.open(frame, &mut self.opened)?;
        let message = Message::decode(bytes).map_err(Ended::Protocol)?;
        self.hear(message)
    }

    fn hear(&mut self, message: Message) -> Result<Step, Ended> {
        match message {
            Message::Hello(_) if self.peer.is_some() => Err(Ended::Protocol("a second Hello")),
            Message::Hello(hello) if hello.node == self.node => {
                Err(Ended::Protocol("the peer is this process itself"))
            }
            Message::Hello(hello) => {
                self.peer = Some(hello);
                Ok(Step::Silent)
            }
            _ if self.peer.is_none() => Err(Ended::Protocol("the first message is no Hello")),
            Message::Bye { successor } => Err(Ended::Bye {
                successor: Duration::from_millis(successor.into()).min(MAX_SUCCESSOR),
            }),
            Message::Unknown => Ok(Step::Silent),
            message => Ok(Step::Heard(message)),
        }
    }

    /// Queues a message. It goes out sealed, after the Hello.
    ///
    /// # Errors
    /// [`Ended::Stuck`] when too much waits, [`Ended::Protocol`] when the message is not within its
    /// bounds.
    pub fn send(&mut self, message: &Message) -> Result<(), Ended> {
        let bytes = message.encode().map_err(Ended::Protocol)?;
        if self.waiting() + bytes.len() > MAX_WAITING {
            return Err(Ended::Stuck);
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
        Ok(())
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.waiting_bytes + self.out.len() - self.written
    }

    /// Whether [`Talk::outgoing`] has something.
    pub fn wants_write(&self) -> bool {
        self.written < self.out.len() || (self.channel.is_open() && !self.waiting.is_empty())
    }

    /// What is to be written next; empty: nothing for now.
    ///
    /// # Errors
    /// As [`Channel::seal`].
    pub fn outgoing(&mut self) -> Result<&[u8], Ended> {
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
            self.seal()?;
        }
        Ok(&self.out[self.written..])
    }

    /// So many bytes of [`Talk::outgoing`] were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    fn seal(&mut self) -> Result<(), Ended> {
        while self.channel.is_open() && self.out.len() < BATCH {
            let Some(message) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= message.len();
            self.channel.seal(&message, &mut self.out)?;
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        match (self.channel.is_open(), self.is_open()) {
            (false, _) => HANDSHAKE,
            (true, false) => MAX_HELLO + self.channel.overhead(),
            (true, true) => MAX_MESSAGE + self.channel.overhead(),
        }
    }
}

fn plain(ends: Ends) -> io::Result<Channel> {
    if ends.are_loopback() {
        return Ok(Channel::Plain);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "a session that leaves the host needs a secret",
    ))
}
