//! What a response's head means (RFC 9112 section 6.3).

use super::super::field::{self, Known};
use super::super::head::{Framing, ResponseHead};
use super::framing::content_length;
use super::{CONNECTION_LIMIT, connection_bytes};
use crate::error::Reason;

/// Decides what a response's head means.
///
/// # Errors
/// [`Reason::BadResponse`] when a strict reader would not take it.
pub fn response(mut head: ResponseHead, all: &[u8], to_head: bool) -> Result<ResponseHead, Reason> {
    let mut chunked = false;
    let (mut close, mut keep) = (false, false);
    for field in &head.fields {
        let value = field.value.in_bytes(all);
        match field.known {
            Known::TransferEncoding if chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err(Reason::BadResponse);
            }
            Known::TransferEncoding => chunked = true,
            Known::ContentLength => {
                let (n, _) = content_length(value).ok_or(Reason::BadResponse)?;
                if head.content_length.is_some_and(|before| before != n) {
                    return Err(Reason::BadResponse);
                }
                head.content_length = Some(n);
            }
            Known::Connection => {
                close |= field::list_has(value, b"close");
                keep |= field::list_has(value, b"keep-alive");
            }
            _ => (),
        }
    }
    if connection_bytes(&head.fields, all) > CONNECTION_LIMIT {
        return Err(Reason::BadResponse);
    }
    if chunked && (head.content_length.is_some() || head.is_http10) {
        return Err(Reason::BadResponse);
    }
    if !(100..=599).contains(&head.status) {
        return Err(Reason::BadResponse);
    }
    let framing = match head.status {
        100..200 | 204 | 304 => Framing::None,
        _ if to_head => Framing::None,
        _ if chunked => Framing::Chunked,
        _ => head.content_length.map_or(Framing::Close, |n| match n {
            0 => Framing::None,
            n => Framing::Length(n),
        }),
    };
    head.keep_alive = !close && (keep || !head.is_http10) && framing != Framing::Close;
    head.framing = Some(framing);
    Ok(head)
}
