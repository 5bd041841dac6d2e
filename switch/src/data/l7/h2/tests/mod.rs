//! The machine under a client that speaks in raw frames: RFC 9113 section by section.

mod abuse;
mod content;
mod control;
mod frames;
mod leaving;
mod random;
mod requests;
mod responses;

use super::super::client::Outgoing;
use super::super::head::{Framing, RequestHead};
use super::connection::{Arrival, Connection, Limits};
use super::frame::{self, ErrorCode, HEAD, Head, Kind, flag};
use super::hpack::Decoder;
use super::stream::Key;
use crate::data::l7::PREFACE;
use crate::error::Reason;

/// A frame that the client got.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    kind: Kind,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client and the machine that it talks to.
struct Peer {
    machine: Connection,
    arrivals: Vec<Arrival>,
    decoder: Decoder,
    unread: Vec<u8>,
    now: u64,
}

const FIELDS: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "localhost"),
];

impl Peer {
    /// A client that has sent nothing yet.
    fn silent() -> Self {
        let limits = Limits {
            streams: 10,
            head: 8192,
            fields: 20,
        };
        Self {
            machine: Connection::new(limits),
            arrivals: Vec::new(),
            decoder: Decoder::new(),
            unread: Vec::new(),
            now: 0,
        }
    }

    /// A client after preface and settings, whose answers were read.
    fn new() -> Self {
        Self::with_settings(&[])
    }

    fn with_settings(settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent();
        peer.send(PREFACE);
        peer.settings(settings);
        peer.read();
        peer
    }

    fn settings(&mut self, settings: &[(u16, u32)]) {
        let entries = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.frame(Kind::Settings, 0, 0, &entries.collect::<Vec<_>>());
    }

    /// Sends bytes, as far as the machine takes them.
    fn send(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        loop {
            let (n, arrival) = self.machine.receive(&self.unread, self.now);
            self.unread.drain(..n);
            match arrival {
                Some(arrival) => self.arrivals.push(arrival),
                None => break,
            }
        }
    }

    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, kind, flags, stream, payload);
        self.send(&bytes);
    }

    fn headers(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        self.frame(
            Kind::Headers,
            flags | flag::END_HEADERS,
            stream,
            &block(fields),
        );
    }

    /// Begins a request with content.
    fn post(&mut self, stream: u32, more: &[(&str, &str)]) -> Key {
        let mut fields = FIELDS.to_vec();
        fields[0].1 = "POST";
        fields.extend_from_slice(more);
        self.headers(stream, 0, &fields);
        self.arrived().0
    }

    /// Sends a request without content.
    fn get(&mut self, stream: u32) -> Key {
        self.headers(stream, flag::END_STREAM, &FIELDS);
        self.arrived().0
    }

    /// The one request that arrived.
    fn arrived(&mut self) -> (Key, Result<RequestHead, Reason>) {
        assert_eq!(self.arrivals.len(), 1, "one request");
        let arrival = self.arrivals.remove(0);
        (arrival.key, arrival.head)
    }

    /// Everything that the machine has to say.
    fn read(&mut self) -> Vec<Got> {
        let bytes = self.machine.output().to_vec();
        self.machine.wrote(bytes.len());
        frames(&bytes)
    }

    /// The fields of a header block that was got.
    fn fields(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.decoder
            .decode(block, |name, value| lines.push((text(name), text(value))))
            .unwrap();
        lines
    }

    /// The machine resets this stream so, and nothing more.
    fn expect_reset(&mut self, stream: u32, code: ErrorCode) {
        let got = self.read();
        let resets = |got: &&Got| got.kind == Kind::ResetStream && got.stream == stream;
        let reset = got.iter().find(resets);
        let reset = reset.unwrap_or_else(|| panic!("a reset of {stream} among {got:?}"));
        assert_eq!(reset.payload, (code as u32).to_be_bytes());
        assert!(!self.machine.has_failed(), "the connection goes on");
    }

    /// The machine ends the connection so.
    fn expect_go_away(&mut self, code: ErrorCode) {
        let got = self.read();
        let away = got.iter().find(|got| got.kind == Kind::GoAway);
        let away = away.unwrap_or_else(|| panic!("GOAWAY among {got:?}"));
        assert_eq!(away.payload[4..], (code as u32).to_be_bytes());
        assert!(self.machine.has_failed() && self.machine.is_over());
    }

    /// The connection still serves requests.
    fn expect_service(&mut self, stream: u32) {
        self.read();
        let key = self.get(stream);
        self.respond(key, 204, None, true);
        self.machine.finish(key);
        let got = self.read();
        assert_eq!((got[0].kind, got[0].stream), (Kind::Headers, stream));
    }

    fn respond(&mut self, key: Key, status: u16, length: Option<u64>, last: bool) -> bool {
        let head = Outgoing {
            status,
            phrase: b"",
            fields: &[(b"Server", b"test"), (b"X-Own", b"1")],
            framing: length.map_or(Framing::Chunked, Framing::Length),
            content_length: length,
            close: false,
        };
        self.machine.respond(key, &head, last)
    }
}

fn frames(mut bytes: &[u8]) -> Vec<Got> {
    let mut all = Vec::new();
    while let Some(head) = Head::read(bytes) {
        let (this, rest) = bytes.split_at(HEAD + head.length);
        all.push(Got {
            kind: head.kind,
            flags: head.flags,
            stream: head.stream,
            payload: this[HEAD..].to_vec(),
        });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "whole frames");
    all
}

/// A header block of plain literals.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for part in [name, value] {
            let length = part.len();
            if length < 127 {
                out.push(length as u8);
            } else {
                let left = length - 127;
                out.extend_from_slice(&[0x7f, left as u8 & 0x7f | 0x80]);
                out.extend_from_slice(&[(left >> 7) as u8 & 0x7f | 0x80, (left >> 14) as u8]);
            }
            out.extend_from_slice(part.as_bytes());
        }
    }
    out
}
