//! The protocol's machine for one connection: bytes in, requests and output bytes out. It does no
//! I/O and knows no tasks: which streams have news is told by [`Connection::next_touched`].

mod blocks;
mod content;
mod control;
mod response;

use std::collections::VecDeque;

use self::blocks::Block;
use super::flow::{self, Inlet, Outlet};
use super::frame::{self, ErrorCode, Head, Kind, flag};
use super::hpack::Decoder;
use super::limits::{Budget, Nuisance};
use super::output::Output;
use super::request::Draft;
use super::stream::{Key, Past, STREAM_WINDOW, Streams, Wait};
use crate::data::buffer::Buffer;
use crate::data::l7::PREFACE;
use crate::data::l7::head::RequestHead;
use crate::error::Reason;

/// Bytes of a connection's window.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Output that waits for the client before content is no longer taken, in bytes.
pub const FULL: usize = 64 * 1024;
/// What the PING behind the first GOAWAY asks.
const FAREWELL: [u8; 8] = *b"farewell";
/// The highest stream number.
const LAST_STREAM: u32 = 0x7fff_ffff;

/// What a client may do at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Exchanges at once.
    pub streams: u32,
    /// Bytes of a request's head, as RFC 9113 6.5.2 counts them.
    pub head: usize,
    /// Fields of a request.
    pub fields: usize,
}

/// A request that arrived.
#[derive(Debug)]
pub struct Arrival {
    /// Its stream.
    pub key: Key,
    /// Its head, or why it is not served.
    pub head: Result<RequestHead, Reason>,
}

/// What there is of a request's body.
#[derive(Debug)]
pub enum Body {
    /// Content was handed over.
    Content,
    /// Nothing yet.
    Wait,
    /// It is complete; these are its trailer lines.
    End(Vec<u8>),
    /// It will never be complete.
    Gone,
}

/// What became of content that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes were taken.
    Taken(usize),
    /// There is no room; the stream will be touched when there is.
    Wait,
    /// The stream was reset.
    Gone,
}

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Preface,
    /// The first frame must be SETTINGS.
    Settings,
    Open,
    /// GOAWAY with an error was sent: nothing is read any more.
    Failed,
}

/// How far this side's leaving is (RFC 9113 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// GOAWAY for any stream was sent; requests that crossed it are still served.
    Asked,
    /// Streams above this one are ignored.
    Told(u32),
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stream(u32, ErrorCode),
    Connection(ErrorCode),
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    phase: Phase,
    leaving: Leaving,
    /// The client sent GOAWAY.
    client_leaves: bool,
    decoder: Decoder,
    draft: Draft,
    output: Output,
    streams: Streams,
    /// The highest stream number that the client used.
    last: u32,
    outlet: Outlet,
    inlet: Inlet,
    /// The window of new streams, by the client's settings.
    first_outlet: i64,
    block: Option<Block>,
    /// Streams that wait for the connection's window or for room in the output.
    waiting: Vec<Key>,
    touched: VecDeque<Key>,
    budget: Budget,
    now: u64,
    /// The client made its table smaller: the next header block tells that it stays empty.
    tells_table: bool,
}

impl Connection {
    /// A connection of which nothing has come yet; this side's settings are the first output.
    pub fn new(limits: Limits) -> Self {
        let mut output = Output::default();
        let list = u32::try_from(limits.head).unwrap_or(u32::MAX);
        let mut settings = Vec::with_capacity(18);
        for (id, value) in [(3u16, limits.streams), (4, STREAM_WINDOW), (6, list)] {
            settings.extend_from_slice(&id.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        output.frame(Kind::Settings, 0, 0, &settings);
        frame::window_update(output.end(), 0, CONNECTION_WINDOW - flow::FIRST as u32);
        Self {
            limits,
            phase: Phase::Preface,
            leaving: Leaving::No,
            client_leaves: false,
            decoder: Decoder::new(),
            draft: Draft::default(),
            output,
            streams: Streams::default(),
            last: 0,
            outlet: Outlet::new(flow::FIRST),
            inlet: Inlet::new(CONNECTION_WINDOW),
            first_outlet: flow::FIRST,
            block: None,
            waiting: Vec::new(),
            touched: VecDeque::new(),
            budget: Budget::default(),
            now: 0,
            tells_table: false,
        }
    }

    /// Takes whole frames off the front of `input` until a request arrives or the output is full;
    /// gives the bytes taken. `now` is in milliseconds and never goes back.
    pub fn receive(&mut self, input: &[u8], now: u64) -> (usize, Option<Arrival>) {
        self.now = now;
        let mut at = 0;
        if self.phase == Phase::Preface {
            at = match self.preface(input) {
                Some(n) => n,
                None => return (0, None),
            };
        }
        while self.phase != Phase::Failed && !self.is_full() {
            let rest = &input[at..];
            let Some(head) = Head::read(rest) else {
                return (at, None);
            };
            if head.length > frame::MAX_PAYLOAD {
                self.fail(ErrorCode::FrameSize);
                break;
            }
            let end = frame::HEAD + head.length;
            let Some(payload) = rest.get(frame::HEAD..end) else {
                return (at, None);
            };
            at += end;
            match self.frame(&head, payload) {
                Ok(None) => (),
                Ok(arrival) => return (at, arrival),
                Err(fault) => self.blame(fault),
            }
        }
        if self.phase == Phase::Failed {
            at = input.len();
        }
        (at, None)
    }

    fn preface(&mut self, input: &[u8]) -> Option<usize> {
        let seen = input.len().min(PREFACE.len());
        if input[..seen] != PREFACE[..seen] {
            self.fail(ErrorCode::Protocol);
            return Some(0);
        }
        if seen < PREFACE.len() {
            return None;
        }
        self.phase = Phase::Settings;
        Some(seen)
    }

    fn frame(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Arrival>, Fault> {
        if self.phase == Phase::Settings {
            if head.kind != Kind::Settings || head.has(flag::ACK) {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            self.phase = Phase::Open;
        }
        let in_block = self.block.as_ref().map(|block| block.stream);
        match in_block {
            Some(stream) if head.kind != Kind::Continuation || head.stream != stream => {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            _ => (),
        }
        match head.kind {
            Kind::Headers => return self.headers(head, payload),
            Kind::Continuation => return self.continuation(head, payload),
            Kind::Data => self.data(head, payload)?,
            Kind::WindowUpdate => self.window_update(head, payload)?,
            Kind::ResetStream => self.reset_stream(head, payload)?,
            Kind::Settings => self.settings(head, payload)?,
            Kind::Ping => self.ping(head, payload)?,
            Kind::Priority => self.priority(head, payload)?,
            Kind::GoAway => self.go_away(head, payload)?,
            Kind::PushPromise => return Err(Fault::Connection(ErrorCode::Protocol)),
            Kind::Unknown => self.charge(Nuisance::Ignored)?,
        }
        Ok(None)
    }

    fn charge(&mut self, what: Nuisance) -> Result<(), Fault> {
        let charged = self.budget.charge(what, self.now);
        charged.map_err(|_| Fault::Connection(ErrorCode::EnhanceYourCalm))
    }

    fn blame(&mut self, fault: Fault) {
        match fault {
            Fault::Connection(code) => self.fail(code),
            Fault::Stream(id, code) => {
                if let Err(Fault::Connection(code)) = self.charge(Nuisance::Provoked) {
                    return self.fail(code);
                }
                frame::reset(self.output.end(), id, code);
                if let Some(key) = self.streams.find(id) {
                    self.lose(key, Past::Cut);
                }
            }
        }
    }

    /// Tells the client that the connection ends with this error.
    fn fail(&mut self, code: ErrorCode) {
        frame::go_away(self.output.end(), self.last, code);
        self.lose_all();
    }

    /// The connection is lost: every exchange on it must end.
    pub fn lose_all(&mut self) {
        self.phase = Phase::Failed;
        self.block = None;
        for key in self.streams.keys().collect::<Vec<_>>() {
            self.lose(key, Past::Closed);
        }
    }

    /// The stream takes and gives nothing any more; its exchange is to see that.
    fn lose(&mut self, key: Key, how: Past) {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return;
        };
        stream.gone = true;
        stream.trailers = Vec::new();
        let (id, content) = (stream.id, stream.content.len());
        stream.content = Buffer::new();
        stream.held -= content;
        self.streams.close(id, how);
        self.return_window(content);
        self.touch(key);
    }

    fn touch(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key).filter(|stream| !stream.touched) {
            stream.touched = true;
            stream.wait = Wait::No;
            self.touched.push_back(key);
        }
    }

    fn touch_waiting(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            self.touch(key);
        }
    }

    fn return_window(&mut self, n: usize) {
        if let Some(more) = self.inlet.passed_on(n) {
            frame::window_update(self.output.end(), 0, more);
        }
    }

    /// The next stream that has news for its exchange.
    pub fn next_touched(&mut self) -> Option<Key> {
        while let Some(key) = self.touched.pop_front() {
            if let Some(stream) = self.streams.get(key).filter(|stream| stream.touched) {
                stream.touched = false;
                return Some(key);
            }
        }
        None
    }

    /// Bytes to be written to the client.
    pub fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    /// The first `n` bytes of the output were written.
    pub fn wrote(&mut self, n: usize) {
        self.output.wrote(n);
        if !self.is_full() && !self.waiting.is_empty() && self.outlet.room() > 0 {
            self.touch_waiting();
        }
    }

    /// Whether the client must take some of the output before more is read or made.
    pub fn is_full(&self) -> bool {
        self.output.len() >= FULL
    }

    /// Gives back memory that an idle connection does not need.
    pub fn rest(&mut self) {
        self.output.release();
        self.streams.rest();
        self.draft.rest();
    }

    /// Exchanges that are under way.
    pub fn count(&self) -> usize {
        self.streams.count()
    }

    /// Whether the client's settings have come.
    pub fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Failed)
    }

    /// Whether a header block's end is waited for.
    pub fn is_in_block(&self) -> bool {
        self.block.is_some()
    }

    /// Whether an error has ended the connection.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether all was said: the connection can be closed.
    pub fn is_over(&self) -> bool {
        let left = self.client_leaves || matches!(self.leaving, Leaving::Told(_));
        let done = self.phase == Phase::Failed || (left && self.streams.count() == 0);
        done && self.output.is_empty()
    }

    /// Asks the client to leave; what is under way and what crosses the message is served.
    pub fn ask_to_leave(&mut self) {
        if self.leaving == Leaving::No && self.phase != Phase::Failed {
            self.leaving = Leaving::Asked;
            frame::go_away(self.output.end(), LAST_STREAM, ErrorCode::No);
            self.output.frame(Kind::Ping, 0, 0, &FAREWELL);
        }
    }

    /// Tells the client which stream was the last, without waiting for its answer any longer.
    pub fn tell_leaving(&mut self) {
        if !matches!(self.leaving, Leaving::Told(_)) && self.phase != Phase::Failed {
            self.leaving = Leaving::Told(self.last);
            frame::go_away(self.output.end(), self.last, ErrorCode::No);
        }
    }

    /// Whether the client was asked to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Whether the client's answer to the first GOAWAY is waited for.
    pub fn awaits_farewell(&self) -> bool {
        self.leaving == Leaving::Asked
    }

    /// Whether the stream was reset.
    pub fn is_gone(&mut self, key: Key) -> bool {
        self.streams.get(key).is_none_or(|stream| stream.gone)
    }
}
