//! The PROXY protocol, versions 1 and 2: how one proxy tells the next whom a connection is from.
//!
//! After "The PROXY protocol, versions 1 & 2" (Willy Tarreau, HAProxy Technologies, 2020/03/05);
//! sections are cited from it. Nothing here reads or writes a socket.

mod v1;
mod v2;

use std::net::SocketAddr;

pub use v1::encode as encode_v1;
pub use v2::encode as encode_v2;

/// The longest header that is read. Version 1 has at most 107 bytes (section 2.1). Version 2 may
/// announce 64 KiB; senders keep to 536 bytes (section 2.2), larger ones carry certificates.
pub const MAX_LEN: usize = 4096;

/// What the bytes at the head of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// A whole header.
    Parsed(Header),
    /// A sound beginning: more bytes must come before anything can be said. Never the answer to
    /// [`MAX_LEN`] bytes or more.
    NeedMore,
    /// No header, or a broken one. The connection must be closed (section 2): its source is not
    /// known.
    Invalid(Invalid),
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows belongs to the application.
    pub len: usize,
    /// Whom the connection is from; `None` where the addresses of the connection itself hold: a
    /// health check of the proxy (`LOCAL`), or addresses that are not of the internet (`UNKNOWN`,
    /// `UNSPEC`, Unix sockets).
    pub addresses: Option<Addresses>,
}

/// Both ends of the connection that the first proxy accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to. Of the same family as the source.
    pub destination: SocketAddr,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// They begin with the signature of neither version.
    NoSignature,
    /// Version 1: no CRLF within 107 bytes.
    TooLong,
    /// Version 1: the line breaks the grammar.
    Grammar,
    /// Version 1: an address that is none, or not in its one allowed form.
    Address,
    /// Version 1: a port that is none, or has leading zeros.
    Port,
    /// Version 2: another version than 2.
    Version,
    /// Version 2: neither LOCAL nor PROXY.
    Command,
    /// Version 2: an unknown family or protocol.
    Family,
    /// Version 2: shorter than its addresses, or longer than [`MAX_LEN`].
    Length,
    /// Version 2: the additional fields do not fill the header exactly.
    Tlv,
}

impl Invalid {
    /// In words, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Invalid::NoSignature => "no PROXY protocol header",
            Invalid::TooLong => "a PROXY line without an end",
            Invalid::Grammar => "a PROXY line that breaks the grammar",
            Invalid::Address => "a PROXY line with an address that is none",
            Invalid::Port => "a PROXY line with a port that is none",
            Invalid::Version => "a PROXY header of an unknown version",
            Invalid::Command => "a PROXY header with an unknown command",
            Invalid::Family => "a PROXY header with an unknown address family",
            Invalid::Length => "a PROXY header with a wrong length",
            Invalid::Tlv => "a PROXY header with broken additional fields",
        }
    }
}

/// Reads the header at the head of `bytes`, of whichever version. Takes time in proportion to the
/// header, and no memory.
pub fn decode(bytes: &[u8]) -> Decoded {
    let result = if v2::may_begin(bytes) {
        v2::decode(bytes)
    } else if v1::may_begin(bytes) {
        v1::decode(bytes)
    } else {
        Err(Invalid::NoSignature)
    };
    match result {
        Ok(Some(header)) => Decoded::Parsed(header),
        Ok(None) => Decoded::NeedMore,
        Err(reason) => Decoded::Invalid(reason),
    }
}

/// Whether `bytes` begin with `signature`, or are the beginning of it.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let shared = bytes.len().min(signature.len());
    bytes[..shared] == signature[..shared]
}

#[cfg(test)]
mod tests;
