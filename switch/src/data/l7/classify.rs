//! The one place between the parser and everything else that decides what a head means and whether
//! two readers could understand it differently (RFC 9112 sections 3, 5, 6 and 11.2).
//!
//! A request is *compliant*, *acceptable* (not quite the grammar, but read alike by everybody),
//! *ambiguous* (readers differ, yet one plain form can be chosen) or *severe* (no plain form).

use pointsman_config::policy::Desync;

use super::field::{self, Known, Span};
use super::head::{Fields, Framing, RequestHead, ResponseHead, Version};
use super::parse::Tokens;
use crate::data::buffer::Buffer;
use crate::error::Reason;

/// Bytes of a request target at most: RFC 9112 section 3 asks for 8,000 at least.
pub const TARGET_LIMIT: usize = 32 * 1024;
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

/// A target on its way to origin-form.
enum Target {
    /// It stands like that in the head.
    Whole(Span),
    /// `http://host` or `http://host?query`: a `/` is missing before this.
    Rootless(Span),
}

impl Target {
    fn rooted(self, bytes: &mut Buffer) -> Span {
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
fn target(
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
fn authority(tokens: &Tokens, all: &[u8], in_target: Option<Span>, found: &mut Findings) -> Span {
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

/// RFC 9112 section 6.3 for requests.
fn request_framing(tokens: &Tokens, all: &[u8], found: &mut Findings) -> Framing {
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
fn content_length(value: &[u8]) -> Option<(u64, bool)> {
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

#[cfg(test)]
mod tests {
    use super::super::parse::{self, Limits};
    use super::*;

    fn parse(text: &str, desync: Desync) -> Result<RequestHead, Reason> {
        let mut buffer = Buffer::new();
        buffer.extend(text.as_bytes());
        let limits = Limits {
            bytes: 65536,
            fields: 100,
            desync,
        };
        parse::request(&mut buffer, &limits).map(|head| head.expect("a whole head"))
    }

    fn strict(rest: &str) -> Result<RequestHead, Reason> {
        parse(
            &format!("POST / HTTP/1.1\r\nHost: h\r\n{rest}\r\n"),
            Desync::Strict,
        )
    }

    #[test]
    fn a_plain_request_is_compliant() {
        let head = strict("Content-Length: 5\r\n").expect("accepted");
        assert_eq!(head.framing, Framing::Length(5));
        assert!(head.keep_alive);
    }

    #[test]
    fn doubtful_framing_is_refused() {
        for line in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding:\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "X: 1\nY: 2\r\n",
            "Host: h\r\n",
        ] {
            assert!(strict(line).is_err(), "{line:?} passed");
        }
    }

    #[test]
    fn what_is_ambiguous_passes_defensively_on_a_connection_that_ends() {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n";
        let head = parse(text, Desync::Defensive).expect("made plain");
        assert_eq!(head.framing, Framing::Length(5));
        assert!(!head.keep_alive);
        assert!(parse(text, Desync::Strict).is_err());
    }

    #[test]
    fn hosts_that_are_missing_repeated_or_malformed_are_refused() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(parse(head, Desync::Strict).is_err(), "{head:?} passed");
        }
        for host in ["a", "a:80", "[::1]:80", "A.Example.COM", "a:"] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert!(parse(&head, Desync::Strict).is_ok(), "{host:?} refused");
        }
    }

    #[test]
    fn an_absolute_target_becomes_origin_form() {
        let head = parse(
            "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            Desync::Strict,
        );
        assert_eq!(head.expect("accepted").target(), b"/x?y");
    }

    #[test]
    fn an_absolute_target_without_a_path_gets_one() {
        for (target, origin) in [("http://a", "/"), ("http://a?q", "/?q")] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = parse(&text, Desync::Strict).expect("accepted");
            assert_eq!(head.target(), origin.as_bytes());
            assert_eq!(head.get(head.authority), b"a");
        }
    }

    #[test]
    fn connection_lists_that_would_cost_much_are_refused() {
        let commas = format!("Connection: {}\r\n", ",".repeat(2000));
        assert_eq!(strict(&commas).err(), Some(Reason::HeadTooLarge));
        let split = format!("Connection: {}\r\n", ",".repeat(600)).repeat(2);
        assert_eq!(strict(&split).err(), Some(Reason::HeadTooLarge));
        assert!(strict("Connection: close, x-hop, te\r\n").is_ok());
    }

    #[test]
    fn http10_closes_unless_it_asks_to_stay() {
        let closes = parse("GET / HTTP/1.0\r\n\r\n", Desync::Strict).expect("accepted");
        assert!(!closes.keep_alive);
        let stays = parse(
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            Desync::Strict,
        );
        assert!(stays.expect("accepted").keep_alive);
    }
}
