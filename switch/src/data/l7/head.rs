//! Heads of requests and responses: the bytes as they came and where their parts lie.

use smallvec::SmallVec;

use super::classify::Class;
use super::field::{Field, Known, Span};
use crate::data::buffer::Buffer;

/// The protocol version that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// How a body's end is told (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// By the chunked coding; in HTTP/2 by the end of the stream.
    Chunked,
    /// By the end of the connection; responses only.
    Close,
}

/// The list of field lines; typical heads need no allocation.
pub type Fields = SmallVec<[Field; 24]>;

/// A request's head that has been parsed and classified. Its bytes hold no other request's.
#[derive(Debug)]
pub struct RequestHead {
    /// The head's bytes, nothing behind them.
    pub bytes: Buffer,
    /// The method.
    pub method: Span,
    /// Path and query, or `*`.
    pub target: Span,
    /// The authority as the client gave it; empty in HTTP/1.0 without Host.
    pub authority: Span,
    /// The version.
    pub version: Version,
    /// Every field line in order.
    pub fields: Fields,
    /// How the body's end is told.
    pub framing: Framing,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// How doubtful it was before it was made plain.
    pub class: Class,
    /// Whether the client waits for 100 Continue.
    pub expects_continue: bool,
    /// The protocol that the client wants to change to, if any.
    pub upgrade: Option<Span>,
}

impl RequestHead {
    /// The method's bytes.
    pub fn method(&self) -> &[u8] {
        self.get(self.method)
    }

    /// The bytes of a part.
    pub fn get(&self, span: Span) -> &[u8] {
        span.in_bytes(self.bytes.filled())
    }

    /// Path and query.
    pub fn target(&self) -> &[u8] {
        self.get(self.target)
    }

    /// Whether the method is safe to send again (RFC 9110 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(
            self.method(),
            b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE"
        ) || self
            .fields
            .iter()
            .any(|field| field.known == Known::IdempotencyKey)
    }

    /// The values of all fields of one kind.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |field| field.known == known)
            .map(|field| self.get(field.value))
    }

    /// Whether a `Connection` field names this field.
    pub fn connection_lists(&self, name: &[u8]) -> bool {
        self.values(Known::Connection)
            .any(|list| super::field::list_has(list, name))
    }
}

/// A response's head; its bytes lie at the front of the upstream's buffer.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Bytes of the head in the buffer.
    pub length: usize,
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub phrase: Span,
    /// Every field line in order.
    pub fields: Fields,
    /// How the body's end is told.
    pub framing: Option<Framing>,
    /// The length that Content-Length tells, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the backend keeps the connection.
    pub keep_alive: bool,
    /// Whether it is a minor version 0 answer.
    pub is_http10: bool,
}
