//! From bytes to heads. The tokeniser is httparse; what it leaves open (bare line feeds, framing,
//! Host, targets) is decided in [`super::classify`].

use std::mem::MaybeUninit;

use pointsman_config::policy::Desync;

use super::classify;
use super::field::{Field, Known, Span};
use super::head::{Fields, RequestHead, ResponseHead, Version};
use crate::data::buffer::Buffer;
use crate::error::Reason;

/// Field lines of a response at most.
const RESPONSE_FIELDS: usize = 256;

/// Limits for a request's head.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// How doubtful requests are treated.
    pub desync: Desync,
}

/// Takes a request's head from the front of the buffer, `None` while it is incomplete. What
/// follows the head stays in `buffer`.
///
/// # Errors
/// The reason for which the request is refused.
pub fn request(buffer: &mut Buffer, limits: &Limits) -> Result<Option<RequestHead>, Reason> {
    let Some(parsed) = tokenise(buffer.filled(), limits)? else {
        return match buffer.len() >= limits.bytes {
            true => Err(too_large(buffer.filled())),
            false => Ok(None),
        };
    };
    if parsed.length > limits.bytes {
        return Err(too_large(buffer.filled()));
    }
    let mut rest = Buffer::new();
    if buffer.len() > parsed.length {
        rest.extend(&buffer.filled()[parsed.length..]);
        buffer.truncate(parsed.length);
    }
    let bytes = std::mem::replace(buffer, rest);
    classify::request(parsed, bytes, limits.desync).map(Some)
}

/// A request's head as the tokeniser sees it.
#[derive(Debug)]
pub struct Tokens {
    /// Bytes of the head.
    pub length: usize,
    /// The method.
    pub method: Span,
    /// The request target.
    pub target: Span,
    /// The version.
    pub version: Version,
    /// Every field line.
    pub fields: Fields,
}

fn tokenise(bytes: &[u8], limits: &Limits) -> Result<Option<Tokens>, Reason> {
    let mut lines = [const { MaybeUninit::uninit() }; 64];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) => {
            collect(&request, bytes, length, limits).map(Some)
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => tokenise_long(bytes, limits),
        Err(error) => Err(refusal(error, bytes)),
    }
}

/// Heads of more lines than usual are parsed again with more room.
fn tokenise_long(bytes: &[u8], limits: &Limits) -> Result<Option<Tokens>, Reason> {
    let mut lines = vec![httparse::EMPTY_HEADER; limits.fields.max(64) + 1];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            collect(&request, bytes, length, limits).map(Some)
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(refusal(error, bytes)),
    }
}

fn collect(
    request: &httparse::Request<'_, '_>,
    bytes: &[u8],
    length: usize,
    limits: &Limits,
) -> Result<Tokens, Reason> {
    if request.headers.len() > limits.fields {
        return Err(Reason::HeadTooLarge);
    }
    let method = request.method.unwrap_or_default().as_bytes();
    let target = request.path.unwrap_or_default().as_bytes();
    Ok(Tokens {
        length,
        method: Span::of(method, bytes),
        target: Span::of(target, bytes),
        version: if request.version == Some(0) {
            Version::Http10
        } else {
            Version::Http11
        },
        fields: fields(request.headers, bytes),
    })
}

fn fields(lines: &[httparse::Header<'_>], bytes: &[u8]) -> Fields {
    lines
        .iter()
        .map(|line| Field {
            name: Span::of(line.name.as_bytes(), bytes),
            value: Span::of(line.value, bytes),
            known: Known::of(line.name.as_bytes()),
        })
        .collect()
}

fn refusal(error: httparse::Error, bytes: &[u8]) -> Reason {
    match error {
        httparse::Error::TooManyHeaders => Reason::HeadTooLarge,
        httparse::Error::Version if names_other_version(bytes) => Reason::VersionRefused,
        _ => Reason::BadRequest,
    }
}

/// Whether the request line is well-formed but for the version's number (RFC 9112 2.3, 3).
fn names_other_version(bytes: &[u8]) -> bool {
    let line = bytes
        .trim_ascii_start()
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let version = line.split(|byte| *byte == b' ').skip(2).collect::<Vec<_>>();
    matches!(
        version[..],
        [[b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']]
    )
}

/// A target that alone fills the head is the target's fault.
fn too_large(bytes: &[u8]) -> Reason {
    match memchr::memchr(b'\n', bytes) {
        Some(_) => Reason::HeadTooLarge,
        None => Reason::UriTooLong,
    }
}

/// Parses a response's head at the front of `bytes`, `None` while it is incomplete. `to_head` tells
/// that the request's method was HEAD.
///
/// # Errors
/// [`Reason::BadResponse`] when a strict reader of RFC 9112 would not take it.
pub fn response(bytes: &[u8], to_head: bool) -> Result<Option<ResponseHead>, Reason> {
    let mut lines = [const { MaybeUninit::uninit() }; 64];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
        Ok(httparse::Status::Complete(n)) => response_of(&response, bytes, n, to_head).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => response_long(bytes, to_head),
        Err(_) => Err(Reason::BadResponse),
    }
}

fn response_long(bytes: &[u8], to_head: bool) -> Result<Option<ResponseHead>, Reason> {
    let mut lines = vec![httparse::EMPTY_HEADER; RESPONSE_FIELDS];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(n)) => response_of(&response, bytes, n, to_head).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Reason::ResponseHeadTooLarge),
        Err(_) => Err(Reason::BadResponse),
    }
}

fn response_of(
    response: &httparse::Response<'_, '_>,
    bytes: &[u8],
    length: usize,
    to_head: bool,
) -> Result<ResponseHead, Reason> {
    let head = ResponseHead {
        length,
        status: response.code.unwrap_or_default(),
        phrase: response
            .reason
            .map_or(Span::default(), |phrase| Span::of(phrase.as_bytes(), bytes)),
        fields: fields(response.headers, bytes),
        is_http10: response.version == Some(0),
        ..ResponseHead::default()
    };
    classify::response(head, bytes, to_head)
}
