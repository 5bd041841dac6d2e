//! Request targets and authorities (RFC 9112 section 3.2).

use super::super::field::{Known, Span};
use super::super::head::Version;
use super::super::parse::Tokens;
use super::{Class, Findings};
use crate::data::buffer::Buffer;
use crate::error::Reason;

/// Bytes of a request target at most: RFC 9112 section 3 asks for 8,000 at least.
pub const TARGET_LIMIT: usize = 32 * 1024;
/// A target on its way to origin-form.
pub(super) enum Target {
    /// It stands like that in the head.
    Whole(Span),
    /// `http://host` or `http://host?query`: a `/` is missing before this.
    Rootless(Span),
}

impl Target {
    pub(super) fn rooted(self, bytes: &mut Buffer) -> Span {
        match self {
            Target::Whole(span) => span,
            Target::Rootless(query) => {
                let start = bytes.len();
                let target = [b"/", query.in_bytes(bytes.filled())].concat();
                bytes.extend(&target);
                Span::new(start, bytes.len())
            }
        }
    }
}

/// The target in origin-form or `*`, and the authority of an absolute-form one.
pub(super) fn target(
    tokens: &Tokens,
    all: &[u8],
    found: &mut Findings,
) -> Result<(Target, Option<Span>), Reason> {
    let (start, end) = (tokens.target.start(), tokens.target.end());
    let target = &all[start..end];
    if target.len() > TARGET_LIMIT {
        return Err(Reason::UriTooLong);
    }
    if target
        .iter()
        .any(|byte| !(0x21..0x7f).contains(byte) || *byte == b'#')
    {
        found.add(Class::Severe, Reason::BadRequest);
    }
    let method = tokens.method.in_bytes(all);
    match target {
        [b'/', ..] => Ok((Target::Whole(tokens.target), None)),
        b"*" if method == b"OPTIONS" => Ok((Target::Whole(tokens.target), None)),
        _ => match scheme_length(target) {
            Some(n) => {
                let rest = &target[n..];
                let slash = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let authority = Span::new(start + n, start + n + slash.unwrap_or(rest.len()));
                let from = authority.end();
                let path = match slash.map(|at| rest[at]) {
                    Some(b'/') => Target::Whole(Span::new(from, end)),
                    _ => Target::Rootless(Span::new(from, end)),
                };
                Ok((path, Some(authority)))
            }
            None => Err(if method == b"CONNECT" {
                Reason::MethodRefused
            } else {
                Reason::BadRequest
            }),
        },
    }
}

fn scheme_length(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let start = target.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
        })
}

/// The one authority that both target and Host agree on (RFC 9112 3.2).
pub(super) fn authority(
    tokens: &Tokens,
    all: &[u8],
    in_target: Option<Span>,
    found: &mut Findings,
) -> Span {
    let mut hosts = tokens
        .fields
        .iter()
        .filter(|field| field.known == Known::Host);
    let (first, more) = (
        hosts.next().map(|field| field.value),
        hosts.next().is_some(),
    );
    if more || (first.is_none() && tokens.version == Version::Http11) {
        found.add(Class::Severe, Reason::BadRequest);
    }
    for given in first.into_iter().chain(in_target) {
        if !is_authority(given.in_bytes(all)) {
            found.add(Class::Severe, Reason::BadRequest);
        }
    }
    match (first, in_target) {
        (Some(host), Some(target)) => {
            if !host
                .in_bytes(all)
                .eq_ignore_ascii_case(target.in_bytes(all))
            {
                found.add(Class::Ambiguous, Reason::Ambiguous);
            }
            target
        }
        (None, Some(only)) | (Some(only), None) => only,
        (None, None) => Span::default(),
    }
}

/// Whether these bytes are `host [":" port]` (RFC 3986 3.2.2, 3.2.3), or nothing at all.
pub fn is_authority(bytes: &[u8]) -> bool {
    let (host, port) = split_port(bytes);
    let port_fits = port.is_none_or(|port| {
        port.len() <= 5
            && port.iter().all(u8::is_ascii_digit)
            && (port.is_empty() || fits_u16(port))
    });
    let host_fits = match host {
        [b'[', inner @ .., b']'] => {
            !inner.is_empty()
                && inner
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        [] => bytes.is_empty(),
        name => name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b)),
    };
    host_fits && port_fits
}

fn fits_u16(digits: &[u8]) -> bool {
    digits
        .iter()
        .fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
        <= 65535
}

/// Host and port of an authority.
pub fn split_port(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after = bytes
        .iter()
        .rposition(|byte| *byte == b']')
        .map_or(0, |at| at + 1);
    match bytes[after..].iter().position(|byte| *byte == b':') {
        Some(at) => (&bytes[..after + at], Some(&bytes[after + at + 1..])),
        None => (bytes, None),
    }
}
