//! The protocol's machine for one connection: bytes in, requests and output bytes out. It does no
//! I/O and knows no tasks: which streams have news is told by [`Connection::next_touched`].

use std::collections::VecDeque;

use super::super::client::Outgoing;
use super::flow::{self, Inlet, Outlet};
use super::frame::{self, ErrorCode, Head, Kind, flag, u31};
use super::hpack::{self, Decoder};
use super::limits::{Budget, Nuisance};
use super::output::Output;
use super::request::{Draft, Refusal, Trailers};
use super::stream::{Key, Past, Stream, Streams, Wait};
use crate::data::buffer::Buffer;
use crate::data::l7::PREFACE;
use crate::data::l7::forward::decimal;
use crate::data::l7::head::{Framing, RequestHead};
use crate::error::Reason;

/// Bytes of a stream's window: what a client may send before the backend takes it.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of a connection's window.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Output that waits for the client before content is no longer taken, in bytes.
pub const FULL: usize = 64 * 1024;
/// Parts of one header block at most.
const PARTS: usize = 512;
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

/// A header block whose end has not come.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends_stream: bool,
    fault: Option<Fault>,
    bytes: Vec<u8>,
    parts: usize,
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

    fn headers(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Arrival>, Fault> {
        // Clients' streams have odd numbers (RFC 9113 5.1.1).
        if head.stream.is_multiple_of(2) {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let bad_padding = Fault::Connection(ErrorCode::Protocol);
        let mut part = frame::unpadded(head, payload).ok_or(bad_padding)?;
        let mut fault = None;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = part
                .split_first_chunk::<5>()
                .ok_or(Fault::Connection(ErrorCode::FrameSize))?;
            fault = depends_on_itself(head.stream, priority);
            part = rest;
        }
        let ends_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, ends_stream, fault, part);
        }
        self.block = Some(Block {
            stream: head.stream,
            ends_stream,
            fault,
            bytes: part.to_vec(),
            parts: 1,
        });
        Ok(None)
    }

    fn continuation(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Arrival>, Fault> {
        self.charge(Nuisance::Continuation)?;
        let most = self.limits.head.max(frame::MAX_PAYLOAD) * 2;
        let Some(block) = &mut self.block else {
            return Err(Fault::Connection(ErrorCode::Protocol));
        };
        block.bytes.extend_from_slice(payload);
        block.parts += 1;
        if block.parts > PARTS || block.bytes.len() > most {
            return Err(Fault::Connection(ErrorCode::EnhanceYourCalm));
        }
        if !head.has(flag::END_HEADERS) {
            return Ok(None);
        }
        match self.block.take() {
            Some(block) => self.block(block.stream, block.ends_stream, block.fault, &block.bytes),
            None => Ok(None),
        }
    }

    /// A whole header block: it must be decoded whatever becomes of it.
    fn block(
        &mut self,
        id: u32,
        ends_stream: bool,
        fault: Option<Fault>,
        block: &[u8],
    ) -> Result<Option<Arrival>, Fault> {
        if let Some(key) = self.streams.find(id) {
            return self.trailers(key, id, ends_stream, block).map(|()| None);
        }
        if id <= self.last {
            return self.late_block(id, block).map(|()| None);
        }
        self.last = id;
        let ignored = matches!(self.leaving, Leaving::Told(last) if id > last);
        let crowded = self.streams.count() >= self.limits.streams as usize;
        if ignored || crowded || fault.is_some() {
            self.decode_nothing(block)?;
            self.streams.close(id, Past::Cut);
            let refused = Fault::Stream(id, ErrorCode::RefusedStream);
            return match fault {
                _ if ignored => Ok(None),
                Some(fault) => Err(fault),
                None => Err(refused),
            };
        }
        self.request(id, ends_stream, block).map(Some)
    }

    fn late_block(&mut self, id: u32, block: &[u8]) -> Result<(), Fault> {
        match self.streams.past(id) {
            Past::Cut => self.decode_nothing(block),
            Past::Closed => Err(Fault::Connection(ErrorCode::StreamClosed)),
            // Numbers must go up (RFC 9113 5.1.1).
            Past::Unknown => Err(Fault::Connection(ErrorCode::Protocol)),
        }
    }

    fn decode_nothing(&mut self, block: &[u8]) -> Result<(), Fault> {
        self.decoder.decode(block, |_, _| ()).map_err(lost)
    }

    fn request(&mut self, id: u32, ended: bool, block: &[u8]) -> Result<Arrival, Fault> {
        let draft = &mut self.draft;
        draft.begin(self.limits.head, self.limits.fields);
        self.decoder
            .decode(block, |name, value| draft.field(name, value))
            .map_err(lost)?;
        let head = match draft.finish(ended) {
            Ok(head) => Ok(head),
            Err(Refusal::Answer(reason)) => Err(reason),
            Err(Refusal::Malformed) => {
                self.streams.close(id, Past::Cut);
                return Err(Fault::Stream(id, ErrorCode::Protocol));
            }
        };
        let framing = head.as_ref().map(|head| head.framing);
        let key = self.streams.open(Stream {
            id,
            content: Buffer::new(),
            held: 0,
            expected: match framing {
                Ok(Framing::Length(n)) => Some(n),
                Ok(Framing::None) => Some(0),
                _ => None,
            },
            inlet: Inlet::new(STREAM_WINDOW),
            ended_in: ended,
            trailers: Vec::new(),
            outlet: Outlet::new(self.first_outlet),
            ended_out: false,
            last_frame: None,
            wait: Wait::No,
            gone: false,
            touched: false,
        });
        Ok(Arrival { key, head })
    }

    fn trailers(&mut self, key: Key, id: u32, ended: bool, block: &[u8]) -> Result<(), Fault> {
        let mut trailers = Trailers::default();
        self.decoder
            .decode(block, |name, value| trailers.field(name, value))
            .map_err(lost)?;
        let malformed = Fault::Stream(id, ErrorCode::Protocol);
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        if stream.ended_in {
            return Err(Fault::Stream(id, ErrorCode::StreamClosed));
        }
        let lines = trailers.finish().map_err(|_| malformed)?;
        if !ended || stream.expected.is_some_and(|left| left > 0) {
            return Err(malformed);
        }
        stream.trailers = lines;
        stream.ended_in = true;
        self.touch(key);
        Ok(())
    }

    fn data(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 || id > self.last {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let overrun = |_| Fault::Connection(ErrorCode::FlowControl);
        self.inlet.came(payload.len()).map_err(overrun)?;
        let Some(content) = frame::unpadded(head, payload) else {
            return Err(Fault::Connection(ErrorCode::Protocol));
        };
        let Some(key) = self.streams.find(id) else {
            self.return_window(payload.len());
            return match self.streams.past(id) {
                Past::Cut => self.charge(Nuisance::WindowUpdate),
                _ => Err(Fault::Stream(id, ErrorCode::StreamClosed)),
            };
        };
        let ended = head.has(flag::END_STREAM);
        if content.is_empty() && !ended {
            self.charge(Nuisance::EmptyData)?;
        }
        let taken = self.content(key, content, payload.len(), ended);
        let unused = match taken {
            Ok(()) => payload.len() - content.len(),
            Err(_) => payload.len(),
        };
        self.return_window(unused);
        taken.map_err(|code| Fault::Stream(id, code))
    }

    fn content(
        &mut self,
        key: Key,
        content: &[u8],
        length: usize,
        ended: bool,
    ) -> Result<(), ErrorCode> {
        let Some(stream) = self.streams.get(key) else {
            return Err(ErrorCode::StreamClosed);
        };
        if stream.ended_in {
            return Err(ErrorCode::StreamClosed);
        }
        let overrun = |_| ErrorCode::FlowControl;
        stream.inlet.came(length).map_err(overrun)?;
        if let Some(left) = &mut stream.expected {
            let n = content.len() as u64;
            *left = left.checked_sub(n).ok_or(ErrorCode::Protocol)?;
            if ended && *left > 0 {
                return Err(ErrorCode::Protocol);
            }
        }
        stream.content.extend(content);
        stream.held += content.len();
        stream.ended_in = ended;
        let padding = stream.inlet.passed_on(length - content.len());
        if let Some(more) = padding.filter(|_| !ended) {
            frame::window_update(self.output.end(), stream.id, more);
        }
        self.budget.moved(content.len());
        self.touch(key);
        Ok(())
    }

    fn window_update(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let more = u31(exactly(payload)?);
        let id = head.stream;
        self.charge(Nuisance::WindowUpdate)?;
        if id == 0 {
            if more == 0 {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            let opened = self.outlet.change(i64::from(more));
            opened.map_err(|_| Fault::Connection(ErrorCode::FlowControl))?;
            self.touch_waiting();
            return Ok(());
        }
        let Some(key) = self.live(id)? else {
            return Ok(());
        };
        if more == 0 {
            return Err(Fault::Stream(id, ErrorCode::Protocol));
        }
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        let opened = stream.outlet.change(i64::from(more));
        opened.map_err(|_| Fault::Stream(id, ErrorCode::FlowControl))?;
        if stream.wait == Wait::Stream {
            self.touch(key);
        }
        Ok(())
    }

    /// The open stream of this number; an error for one that was never opened.
    fn live(&self, id: u32) -> Result<Option<Key>, Fault> {
        if id > self.last || id == 0 || id.is_multiple_of(2) {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        Ok(self.streams.find(id))
    }

    fn reset_stream(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        exactly::<4>(payload)?;
        match self.live(head.stream)? {
            Some(key) => {
                self.lose(key, Past::Closed);
                self.charge(Nuisance::Reset)
            }
            None => self.charge(Nuisance::Ignored),
        }
    }

    fn settings(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        let entries = payload.chunks_exact(6);
        let is_ack = head.has(flag::ACK);
        if !entries.remainder().is_empty() || (is_ack && !payload.is_empty()) {
            return Err(Fault::Connection(ErrorCode::FrameSize));
        }
        self.charge(Nuisance::Settings)?;
        if is_ack {
            return Ok(());
        }
        for entry in entries {
            if let [i1, i2, value @ ..] = entry {
                let value = u32::from_be_bytes(exactly(value)?);
                self.setting(u16::from_be_bytes([*i1, *i2]), value)?;
            }
        }
        self.output.frame(Kind::Settings, flag::ACK, 0, &[]);
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Result<(), Fault> {
        match id {
            1 => self.tells_table |= (value as usize) < hpack::TABLE_SIZE,
            2 if value > 1 => return Err(Fault::Connection(ErrorCode::Protocol)),
            4 => return self.change_windows(i64::from(value)),
            5 if !(16_384..=16_777_215).contains(&value) => {
                return Err(Fault::Connection(ErrorCode::Protocol));
            }
            _ => (),
        }
        Ok(())
    }

    /// The client's window for streams changed, also for those that are open (RFC 9113 6.9.2).
    fn change_windows(&mut self, first: i64) -> Result<(), Fault> {
        let overflow = Fault::Connection(ErrorCode::FlowControl);
        if first > flow::LARGEST {
            return Err(overflow);
        }
        let by = first - std::mem::replace(&mut self.first_outlet, first);
        if by == 0 {
            return Ok(());
        }
        for key in self.streams.keys().collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get(key) {
                stream.outlet.change(by).map_err(|_| overflow)?;
                if by > 0 && stream.wait == Wait::Stream {
                    self.touch(key);
                }
            }
        }
        Ok(())
    }

    fn ping(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let question: [u8; 8] = exactly(payload)?;
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        self.charge(Nuisance::Ping)?;
        if !head.has(flag::ACK) {
            self.output.frame(Kind::Ping, flag::ACK, 0, payload);
        } else if question == FAREWELL && self.leaving == Leaving::Asked {
            self.tell_leaving();
        }
        Ok(())
    }

    fn priority(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        self.charge(Nuisance::Ignored)?;
        let fault = match payload.try_into() {
            Ok(priority) => depends_on_itself(id, priority),
            Err(_) => Some(Fault::Stream(id, ErrorCode::FrameSize)),
        };
        fault.map_or(Ok(()), Err)
    }

    fn go_away(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::Connection(ErrorCode::Protocol));
        }
        if payload.len() < 8 {
            return Err(Fault::Connection(ErrorCode::FrameSize));
        }
        self.charge(Nuisance::Ignored)?;
        self.client_leaves = true;
        Ok(())
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

    /// Hands over the content that came; `into` must be empty.
    pub fn body(&mut self, key: Key, into: &mut Buffer) -> Body {
        match self.streams.get(key) {
            Some(stream) if !stream.gone => {
                if !stream.content.is_empty() {
                    std::mem::swap(&mut stream.content, into);
                    Body::Content
                } else if stream.ended_in {
                    Body::End(std::mem::take(&mut stream.trailers))
                } else {
                    Body::Wait
                }
            }
            _ => Body::Gone,
        }
    }

    /// `n` bytes of the content that was handed over were passed on: their window is open again.
    pub fn took(&mut self, key: Key, n: usize) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        stream.held -= n;
        if !stream.ended_in
            && !stream.gone
            && let Some(more) = stream.inlet.passed_on(n)
        {
            frame::window_update(self.output.end(), stream.id, more);
        }
        self.return_window(n);
    }

    /// Whether the stream was reset.
    pub fn is_gone(&mut self, key: Key) -> bool {
        self.streams.get(key).is_none_or(|stream| stream.gone)
    }

    /// Sends a response's head. `last`: no content follows. `false` when the stream was reset.
    pub fn respond(&mut self, key: Key, head: &Outgoing<'_>, last: bool) -> bool {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return false;
        };
        let (id, place) = (stream.id, self.output.place());
        if head.status >= 200 {
            stream.last_frame = Some(place);
            stream.ended_out = last;
        }
        let flags = if last { flag::END_STREAM } else { 0 };
        self.output.frame(Kind::Headers, flags, id, &[]);
        let end = self.output.end();
        if std::mem::take(&mut self.tells_table) {
            hpack::no_dynamic_table(end);
        }
        hpack::status(end, head.status);
        for (name, value) in head.fields {
            hpack::field(end, name, value);
        }
        if let Some(length) = head.content_length {
            hpack::field(end, b"content-length", decimal(length, &mut [0; 20]));
        }
        self.output.close_block(place, id);
        true
    }

    /// Sends content, as much as there is room for. The response ends once `left` bytes are sent.
    pub fn send(&mut self, key: Key, content: &[u8], left: Option<u64>) -> Sent {
        let full = self.is_full();
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return Sent::Gone;
        };
        if stream.ended_out || content.is_empty() {
            return Sent::Taken(content.len());
        }
        let (own, shared) = (stream.outlet.room(), self.outlet.room());
        if own == 0 {
            stream.wait = Wait::Stream;
            return Sent::Wait;
        }
        if shared == 0 || full {
            if stream.wait != Wait::Connection {
                stream.wait = Wait::Connection;
                self.waiting.push(key);
            }
            return Sent::Wait;
        }
        let n = content.len().min(own).min(shared).min(frame::MAX_PAYLOAD);
        stream.outlet.sent(n);
        self.outlet.sent(n);
        stream.ended_out = left == Some(n as u64);
        stream.last_frame = Some(self.output.place());
        let flags = if stream.ended_out {
            flag::END_STREAM
        } else {
            0
        };
        self.output
            .frame(Kind::Data, flags, stream.id, &content[..n]);
        self.budget.moved(n);
        Sent::Taken(n)
    }

    /// Ends the response. `false` when the stream was reset.
    pub fn end(&mut self, key: Key, trailers: &[u8]) -> bool {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.gone) else {
            return false;
        };
        if std::mem::replace(&mut stream.ended_out, true) {
            return true;
        }
        let (id, place) = (stream.id, stream.last_frame);
        if !trailers.is_empty() {
            let place = self.output.place();
            self.output.frame(Kind::Headers, flag::END_STREAM, id, &[]);
            for (name, value) in lines(trailers) {
                hpack::field(self.output.end(), name, value);
            }
            self.output.close_block(place, id);
        } else if !place.is_some_and(|place| self.output.set_flag(place, flag::END_STREAM)) {
            self.output.frame(Kind::Data, flag::END_STREAM, id, &[]);
        }
        true
    }

    /// The exchange on this stream is over.
    pub fn finish(&mut self, key: Key) {
        let Some(stream) = self.streams.forget(key) else {
            return;
        };
        self.return_window(stream.held);
        if stream.gone {
            return;
        }
        let how = match (stream.ended_out, stream.ended_in) {
            (true, true) => Past::Closed,
            // What is still to come of the request is not wanted (RFC 9113 8.1).
            (true, false) => {
                frame::reset(self.output.end(), stream.id, ErrorCode::No);
                Past::Cut
            }
            (false, _) => {
                frame::reset(self.output.end(), stream.id, ErrorCode::Internal);
                Past::Cut
            }
        };
        if stream.ended_out {
            self.budget.responded();
        }
        self.streams.close(stream.id, how);
    }
}

fn lost(_: hpack::Malformed) -> Fault {
    Fault::Connection(ErrorCode::Compression)
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], Fault> {
    let size = Fault::Connection(ErrorCode::FrameSize);
    payload.try_into().map_err(|_| size)
}

/// RFC 7540 5.3.1: no stream can depend on itself.
fn depends_on_itself(id: u32, priority: &[u8; 5]) -> Option<Fault> {
    let [d1, d2, d3, d4, _] = *priority;
    (u31([d1, d2, d3, d4]) == id).then_some(Fault::Stream(id, ErrorCode::Protocol))
}

/// The fields of `name: value` lines.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}
