//! How a request's body is framed (RFC 9112 section 6).

use super::super::field::{self, Known};
use super::super::head::{Framing, Version};
use super::super::parse::Tokens;
use super::{Class, Findings};
use crate::error::Reason;

/// RFC 9112 section 6.3 for requests.
pub(super) fn request_framing(tokens: &Tokens, all: &[u8], found: &mut Findings) -> Framing {
    let mut length = None;
    let mut codings = 0;
    for field in &tokens.fields {
        let value = field.value.in_bytes(all);
        match field.known {
            Known::TransferEncoding => {
                codings += 1;
                if tokens.version == Version::Http10 || codings > 1 {
                    found.add(Class::Severe, Reason::BadRequest);
                } else if !value.eq_ignore_ascii_case(b"chunked") {
                    let lists_chunked = field::list_has(value, b"chunked");
                    let reason = if lists_chunked {
                        Reason::UnknownCoding
                    } else {
                        Reason::BadRequest
                    };
                    found.add(Class::Severe, reason);
                }
            }
            Known::ContentLength => match (content_length(value), length) {
                (None, _) => found.add(Class::Severe, Reason::BadRequest),
                (Some((n, _)), Some(before)) if n != before => {
                    found.add(Class::Severe, Reason::BadRequest);
                }
                (Some((n, single)), before) => {
                    if !single || before.is_some() {
                        found.add(Class::Ambiguous, Reason::Ambiguous);
                    }
                    length = Some(n);
                }
            },
            _ => (),
        }
    }
    match (codings, length) {
        (0, None | Some(0)) => Framing::None,
        (0, Some(n)) => Framing::Length(n),
        (_, None) => Framing::Chunked,
        (_, Some(_)) => {
            found.add(Class::Ambiguous, Reason::Ambiguous);
            Framing::Chunked
        }
    }
}

/// A Content-Length value: the number, and whether it stood there once. `None`: not a number below
/// 10^18, or a list of different ones (RFC 9110 8.6).
pub(super) fn content_length(value: &[u8]) -> Option<(u64, bool)> {
    let mut number = None;
    let mut count = 0;
    for part in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if part.is_empty() || part.len() > 18 || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n = part
            .iter()
            .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if number.is_some_and(|before| before != n) {
            return None;
        }
        number = Some(n);
        count += 1;
    }
    number.map(|n| (n, count == 1))
}
