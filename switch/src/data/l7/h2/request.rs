//! A decoded header block becomes a [`RequestHead`] (RFC 9113 section 8.3), written as HTTP/1.1
//! would have it, so that the rest of the path knows one form. What HTTP/1.1 could not carry
//! plainly must not come in by HTTP/2 (RFC 9113 10.3).

use smallvec::SmallVec;

use super::super::classify;
use super::super::field::{self, Field, Known, Span};
use super::super::head::{Fields, Framing, RequestHead, Version};
use super::hpack::OVERHEAD;
use crate::data::buffer::Buffer;
use crate::error::Reason;

/// Why a header block is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is malformed: the stream is reset (RFC 9113 8.1.1).
    Malformed,
    /// It is understood and answered.
    Answer(Reason),
}

/// Bytes of a head that is kept room for.
const COMMON: usize = 1024;

/// A request's head while its fields come in. It is used again for the next one.
#[derive(Debug, Default)]
pub struct Draft {
    bytes: Vec<u8>,
    method: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Option<Span>,
    host: Option<Span>,
    fields: Fields,
    crumbs: SmallVec<[Span; 4]>,
    length: Option<u64>,
    /// Bytes of the list as RFC 9113 6.5.2 counts.
    size: usize,
    limit: usize,
    field_limit: usize,
    refused: Option<Refusal>,
    expects: bool,
}

impl Draft {
    /// Begins a request of so many bytes and fields at most.
    pub fn begin(&mut self, limit: usize, field_limit: usize) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self {
            bytes,
            limit,
            field_limit,
            ..Self::default()
        };
    }

    /// Gives memory back that common requests do not need.
    pub fn rest(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(COMMON);
    }

    /// Takes the next field line.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size = self
            .size
            .saturating_add(name.len() + value.len() + OVERHEAD);
        // Of a list that is too long nothing more is kept: the reader's work stays bounded.
        if self.size > self.limit {
            self.refuse(Refusal::Answer(Reason::HeadTooLarge));
        }
        if self.refused.is_some() {
            return;
        }
        let taken = match name.first() {
            Some(b':') => self.pseudo(name, value),
            _ => self.regular(name, value),
        };
        if let Err(refusal) = taken {
            self.refuse(refusal);
        }
    }

    /// What is malformed is worse than what is too large or unwanted.
    fn refuse(&mut self, refusal: Refusal) {
        if self.refused != Some(Refusal::Malformed) {
            self.refused = Some(refusal);
        }
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let after_regular = !self.fields.is_empty() || !self.crumbs.is_empty();
        let place = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            _ => return Err(Refusal::Malformed),
        };
        if place.is_some() || after_regular || self.host.is_some() || !field::is_value(value) {
            return Err(Refusal::Malformed);
        }
        *place = Some(write(&mut self.bytes, value));
        Ok(())
    }

    fn regular(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if !is_name(name) || !field::is_value(value) {
            return Err(Refusal::Malformed);
        }
        let value = value.trim_ascii();
        let known = Known::of(name);
        match known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade => return Err(Refusal::Malformed),
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(Refusal::Malformed);
            }
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects = true,
            Known::Expect => return Err(Refusal::Answer(Reason::ExpectationFailed)),
            Known::ContentLength => {
                let length = content_length(value).ok_or(Refusal::Malformed)?;
                if self.length.replace(length).is_some() {
                    return Err(Refusal::Malformed);
                }
            }
            Known::Host => {
                let span = write(&mut self.bytes, value);
                return match self.host.replace(span) {
                    Some(_) => Err(Refusal::Answer(Reason::BadRequest)),
                    None => Ok(()),
                };
            }
            Known::Cookie => {
                let span = write(&mut self.bytes, value);
                self.crumbs.push(span);
                return Ok(());
            }
            _ => (),
        }
        if self.fields.len() >= self.field_limit {
            return Err(Refusal::Answer(Reason::HeadTooLarge));
        }
        let name = write(&mut self.bytes, name);
        let value = write(&mut self.bytes, value);
        self.fields.push(Field { name, value, known });
        Ok(())
    }

    /// The request, once all its fields came. `ended`: no content follows.
    ///
    /// # Errors
    /// Why it is none, or not served.
    pub fn finish(&mut self, ended: bool) -> Result<RequestHead, Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        let (method, target) = self.control()?;
        let framing = self.framing(ended)?;
        let authority = self.authority()?;
        self.join_cookie();
        Ok(RequestHead {
            bytes: Buffer::from(&self.bytes[..]),
            method,
            target,
            authority,
            version: Version::Http2,
            fields: std::mem::take(&mut self.fields),
            framing,
            keep_alive: true,
            class: classify::Class::Compliant,
            expects_continue: self.expects,
            upgrade: None,
        })
    }

    /// Method and target (RFC 9113 8.3.1).
    fn control(&self) -> Result<(Span, Span), Refusal> {
        let all = &self.bytes[..];
        let method = self.method.ok_or(Refusal::Malformed)?;
        match method.in_bytes(all) {
            // CONNECT comes without scheme and path.
            b"CONNECT" => return Err(Refusal::Answer(Reason::MethodRefused)),
            method if !field::is_token(method) => return Err(Refusal::Malformed),
            _ => (),
        }
        let scheme = self.scheme.ok_or(Refusal::Malformed)?.in_bytes(all);
        let target = self.path.ok_or(Refusal::Malformed)?;
        let (method_bytes, path) = (method.in_bytes(all), target.in_bytes(all));
        if path.is_empty() {
            return Err(Refusal::Malformed);
        }
        if method_bytes == b"TRACE" {
            return Err(Refusal::Answer(Reason::MethodRefused));
        }
        if path.len() > classify::TARGET_LIMIT {
            return Err(Refusal::Answer(Reason::UriTooLong));
        }
        let form = path.first() == Some(&b'/') || (path == b"*" && method_bytes == b"OPTIONS");
        let plain = path
            .iter()
            .all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#');
        let of_http = [&b"http"[..], b"https"]
            .into_iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        if form && plain && of_http {
            Ok((method, target))
        } else {
            Err(Refusal::Answer(Reason::BadRequest))
        }
    }

    /// `:authority`, or Host where there is none; both must agree (RFC 9113 8.3.1).
    fn authority(&self) -> Result<Span, Refusal> {
        let all = &self.bytes[..];
        let authority = self.authority.or(self.host).unwrap_or_default();
        let bytes = authority.in_bytes(all);
        let agree = self
            .host
            .is_none_or(|host| host.in_bytes(all).eq_ignore_ascii_case(bytes));
        if !agree || bytes.is_empty() || !classify::is_authority(bytes) {
            return Err(Refusal::Answer(Reason::BadRequest));
        }
        Ok(authority)
    }

    fn framing(&self, ended: bool) -> Result<Framing, Refusal> {
        match self.length {
            Some(0) => Ok(Framing::None),
            Some(_) if ended => Err(Refusal::Malformed),
            Some(n) => Ok(Framing::Length(n)),
            None if ended => Ok(Framing::None),
            None => Ok(Framing::Chunked),
        }
    }

    /// Cookie crumbs become one field again (RFC 9113 8.2.3).
    fn join_cookie(&mut self) {
        let value = match self.crumbs[..] {
            [] => return,
            [only] => only,
            _ => {
                let start = self.bytes.len();
                for (n, crumb) in self.crumbs.iter().enumerate() {
                    if n > 0 {
                        self.bytes.extend_from_slice(b"; ");
                    }
                    self.bytes.extend_from_within(crumb.start()..crumb.end());
                }
                Span::new(start, self.bytes.len())
            }
        };
        let name = write(&mut self.bytes, b"cookie");
        self.fields.push(Field {
            name,
            value,
            known: Known::Cookie,
        });
    }
}

/// A trailer section while its fields come in, as lines that may be passed on.
#[derive(Debug, Default)]
pub struct Trailers {
    lines: Vec<u8>,
    size: usize,
    malformed: bool,
}

/// Bytes of a trailer section at most.
const TRAILERS: usize = 16 * 1024;

impl Trailers {
    /// Takes the next field line.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size = self
            .size
            .saturating_add(name.len() + value.len() + OVERHEAD);
        self.malformed |= self.size > TRAILERS || !is_name(name) || !field::is_value(value);
        if !self.malformed && super::super::body::may_trail(name) {
            for part in [name, b": ", value.trim_ascii(), b"\r\n"] {
                self.lines.extend_from_slice(part);
            }
        }
    }

    /// The lines.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], also when they are too many.
    pub fn finish(self) -> Result<Vec<u8>, Refusal> {
        if self.malformed {
            return Err(Refusal::Malformed);
        }
        Ok(self.lines)
    }
}

fn write(bytes: &mut Vec<u8>, part: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    Span::new(start, bytes.len())
}

/// Whether this is a field's name: a token without capitals (RFC 9113 8.2.1).
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| NAME[usize::from(*byte)])
}

static NAME: [bool; 256] = name_bytes();

const fn name_bytes() -> [bool; 256] {
    let marks = b"!#$%&'*+-.^_`|~";
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        allowed[byte] = (byte as u8).is_ascii_lowercase() || (byte as u8).is_ascii_digit();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        allowed[marks[mark] as usize] = true;
        mark += 1;
    }
    allowed
}

/// A number below 10^18.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = value
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(number)
}
