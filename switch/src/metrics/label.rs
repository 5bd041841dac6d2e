//! What the data plane says of a finished request, and the bounded values of labels.

use std::time::Duration;

use crate::error::Reason;
use crate::trace::TraceId;

/// A finished request of a client.
#[derive(Debug, Clone)]
pub struct RequestDone {
    /// The listener's id.
    pub listener: u32,
    /// The route's id; `None` when no route took the request.
    pub route: Option<u32>,
    /// The pool's id; `None` when the switch answered by itself.
    pub pool: Option<u32>,
    /// The status code that the client got, or would have got.
    pub status: u16,
    /// The request's method.
    pub method: Method,
    /// The protocol that the client spoke.
    pub protocol: Protocol,
    /// What went wrong, if anything did.
    pub reason: Option<Reason>,
    /// From the end of the head to the last byte of the answer.
    pub took: Duration,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// The request's trace, if it is recorded.
    pub trace: Option<TraceId>,
}

/// A request method (RFC 9110 section 9, RFC 5789) as metrics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Any other one: clients may send any token, labels must stay bounded.
    Other,
}

impl Method {
    /// The method of a request line; methods are case-sensitive.
    pub fn from_bytes(method: &[u8]) -> Self {
        match method {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// The label.
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other => "_OTHER",
        }
    }
}

/// The HTTP version that a client spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// The label.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }
}

/// How the number of a listener's connections changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// One was accepted.
    Opened,
    /// One ended.
    Closed,
}

/// TLS versions as metrics tell them apart.
pub(super) const TLS_VERSIONS: [&str; 4] = ["1.2", "1.3", "_other", "_none"];

/// The place of a version in [`TLS_VERSIONS`]; takes `1.3`, `TLSv1.3` and `TLSv1_3`.
pub(super) fn tls_version(version: Option<&str>) -> usize {
    let Some(version) = version else { return 3 };
    match version.as_bytes() {
        [.., b'1', b'.' | b'_', b'2'] => 0,
        [.., b'1', b'.' | b'_', b'3'] => 1,
        _ => 2,
    }
}

/// Classes of status codes as metrics tell them apart.
pub(super) const CODE_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The place of a status code in [`CODE_CLASSES`]. RFC 9110 section 15: a code outside 100 to 599
/// is treated as a 5xx.
pub(super) fn code_class(status: Option<u16>) -> usize {
    match status {
        None => 5,
        Some(code @ 100..=599) => usize::from(code / 100) - 1,
        Some(_) => 4,
    }
}
