//! The one place between the parser and everything else that decides what a head means and whether
//! two readers could understand it differently (RFC 9112 sections 3, 5, 6 and 11.2).
//!
//! A request is *compliant*, *acceptable* (not quite the grammar, but read alike by everybody),
//! *ambiguous* (readers differ, yet one plain form can be chosen) or *severe* (no plain form).

mod framing;
mod response;
mod target;
#[cfg(test)]
mod tests;

use pointsman_config::policy::Desync;

use self::framing::request_framing;
pub use self::response::response;
pub use self::target::{TARGET_LIMIT, is_authority, split_port};
use self::target::{authority, target};
use super::field::{self, Known, Span};
use super::head::{Fields, Framing, RequestHead, Version};
use super::parse::Tokens;
use crate::data::buffer::Buffer;
use crate::error::Reason;

/// Bytes of all `Connection` values of a message at most: every other field is looked for in them.
const CONNECTION_LIMIT: usize = 1024;

/// How doubtful a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// As the grammar has it.
    Compliant,
    /// Read alike by everybody.
    Acceptable,
    /// Readers differ, but it can be made plain.
    Ambiguous,
    /// It cannot be made plain.
    Severe,
}

/// The worst that was found.
#[derive(Debug)]
struct Findings {
    class: Class,
    reason: Reason,
}

impl Findings {
    fn new() -> Self {
        Self {
            class: Class::Compliant,
            reason: Reason::Ambiguous,
        }
    }

    fn add(&mut self, class: Class, reason: Reason) {
        if class > self.class {
            self.class = class;
            self.reason = reason;
        }
    }
}

/// Makes a request's head of its tokens.
///
/// # Errors
/// The reason for which it is refused under this setting.
pub fn request(tokens: Tokens, mut bytes: Buffer, desync: Desync) -> Result<RequestHead, Reason> {
    let mut found = Findings::new();
    line_ends(&tokens, bytes.filled(), &mut found);
    let (target, target_authority) = target(&tokens, bytes.filled(), &mut found)?;
    let target = target.rooted(&mut bytes);
    let all = bytes.filled();
    let authority = authority(&tokens, all, target_authority, &mut found);
    let framing = request_framing(&tokens, all, &mut found);
    let connection = Connection::read(&tokens, all, &mut found);
    let (expects_continue, upgrade) = (
        expectation(&tokens, all, &mut found),
        connection.upgrade.filter(|_| framing == Framing::None),
    );
    method(&tokens, all, &mut found);
    let refused = match desync {
        Desync::Strict => found.class >= Class::Ambiguous,
        Desync::Defensive | Desync::Monitor => found.class >= Class::Severe,
    };
    if refused {
        return Err(found.reason);
    }
    Ok(RequestHead {
        method: tokens.method,
        target,
        authority,
        version: tokens.version,
        framing,
        // Whatever was ambiguous ends with its connection, unless it is only looked at.
        keep_alive: connection.keep_alive
            && (found.class < Class::Ambiguous || desync == Desync::Monitor),
        class: found.class,
        expects_continue,
        upgrade,
        fields: tokens.fields,
        bytes,
    })
}

/// Lines must end in CRLF: a bare LF is read differently by different parsers.
fn line_ends(tokens: &Tokens, all: &[u8], found: &mut Findings) {
    let starts = tokens.fields.iter().map(|field| field.name.start());
    let ends = all.len() >= 4 && all.ends_with(b"\r\n\r\n");
    let plain = starts
        .into_iter()
        .all(|start| start >= 2 && &all[start - 2..start] == b"\r\n");
    if !plain || !ends {
        found.add(Class::Ambiguous, Reason::BadRequest);
    }
}

/// Bytes of all `Connection` values.
fn connection_bytes(fields: &Fields, all: &[u8]) -> usize {
    fields
        .iter()
        .filter(|field| field.known == Known::Connection)
        .map(|field| field.value.in_bytes(all).len())
        .sum()
}

struct Connection {
    keep_alive: bool,
    upgrade: Option<Span>,
}

impl Connection {
    fn read(tokens: &Tokens, all: &[u8], found: &mut Findings) -> Self {
        let (mut close, mut keep, mut upgrade) = (false, false, false);
        if connection_bytes(&tokens.fields, all) > CONNECTION_LIMIT {
            found.add(Class::Severe, Reason::HeadTooLarge);
        }
        for field in tokens
            .fields
            .iter()
            .filter(|field| field.known == Known::Connection)
        {
            for member in field::members(field.value.in_bytes(all)) {
                close |= member.eq_ignore_ascii_case(b"close");
                keep |= member.eq_ignore_ascii_case(b"keep-alive");
                upgrade |= member.eq_ignore_ascii_case(b"upgrade");
            }
        }
        let wanted = tokens
            .fields
            .iter()
            .find(|field| field.known == Known::Upgrade);
        let is_h11 = tokens.version == Version::Http11;
        Self {
            keep_alive: !close && (is_h11 || keep),
            upgrade: wanted.map(|field| field.value).filter(|value| {
                let protocol = value.in_bytes(all);
                // h2c is no tunnel for us to lay: the client goes on in HTTP/1.1.
                upgrade
                    && is_h11
                    && field::is_token(protocol)
                    && !protocol.eq_ignore_ascii_case(b"h2c")
            }),
        }
    }
}

/// Whether the client waits for 100 (RFC 9110 10.1.1).
fn expectation(tokens: &Tokens, all: &[u8], found: &mut Findings) -> bool {
    let mut expects = false;
    for field in tokens
        .fields
        .iter()
        .filter(|field| field.known == Known::Expect)
    {
        if field
            .value
            .in_bytes(all)
            .eq_ignore_ascii_case(b"100-continue")
        {
            expects = true;
        } else {
            found.add(Class::Severe, Reason::ExpectationFailed);
        }
    }
    expects && tokens.version == Version::Http11
}

/// CONNECT would open a tunnel to anywhere, TRACE shows what the client must not see.
fn method(tokens: &Tokens, all: &[u8], found: &mut Findings) {
    if matches!(tokens.method.in_bytes(all), b"CONNECT" | b"TRACE") {
        found.add(Class::Severe, Reason::MethodRefused);
    }
}
