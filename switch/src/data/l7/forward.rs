//! What goes up to the backend: the request's head made plain, hop-by-hop fields left out
//! (RFC 9110 7.6.1) and the client's identity added (RFC 9110 7.6.3, `X-Forwarded-*`).

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_config::policy::{HeaderEdits, Rewrite};
use smallvec::SmallVec;

use super::ConnInfo;
use super::deadline::Deadline;
use super::field::{self, Known};
use super::head::{Framing, RequestHead, Version};
use crate::data::buffer::Buffer;
use crate::route;
use crate::snapshot::Route;
use crate::trace::Header;

/// What a backend is told beside the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'t> {
    /// How long it has.
    pub deadline: Option<Deadline<'t>>,
    /// The trace; `None`: what the client said of it.
    pub trace: Option<&'t Header>,
}

/// Writes the head for a backend of this name into `out`, without the cookie of the name `hidden`.
pub fn request(
    out: &mut Buffer,
    request: &RequestHead,
    conn: &ConnInfo,
    route: &Route,
    backend: &str,
    hidden: Option<&[u8]>,
    Told { deadline, trace }: Told<'_>,
) {
    request_line(out, request, route);
    let edits = &route.request_headers;
    host(out, request, edits, backend);
    let trusted = conn.is_trusted();
    let mut seen = Forwarded::default();
    let lists = request
        .fields
        .iter()
        .any(|field| field.known == Known::Connection);
    for line in &request.fields {
        let (name, value) = (request.get(line.name), request.get(line.value));
        let passes = match line.known {
            Known::Other => !is_masked(name) && !deadline.is_some_and(|told| told.replaces(name)),
            Known::Host | Known::ContentLength | Known::PointsmanTrace => false,
            Known::XForwardedFor => {
                seen.keep_for(trusted, value);
                false
            }
            Known::XForwardedProto => trusted && !std::mem::replace(&mut seen.proto, true),
            Known::XForwardedHost => trusted && !std::mem::replace(&mut seen.host, true),
            Known::Forwarded => trusted,
            Known::ClientCert | Known::ClientCertChain => {
                trusted && conn.secured.certificate().is_none()
            }
            Known::Via => {
                seen.via.push(value);
                false
            }
            Known::MaxForwards => request.method() != b"OPTIONS",
            Known::Traceparent => trace.is_none(),
            Known::Tracestate => trace.is_none_or(|trace| trace.keeps_state),
            known => !known.is_hop_by_hop(),
        };
        let listed = lists && !line.known.is_vital() && request.connection_lists(name);
        if passes && !listed && !field::is_edited(edits, name) {
            match hidden.filter(|_| line.known == Known::Cookie) {
                Some(hidden) => cookies(out, name, value, hidden),
                None => field(out, name, value),
            }
        }
    }
    framing(out, request);
    identity(out, request, conn, edits, &seen);
    if let Some(deadline) = deadline {
        deadline.write(out, request);
    }
    if let Some(trace) = trace.filter(|_| !field::is_edited(edits, b"traceparent")) {
        field(out, b"traceparent", &trace.value);
    }
    for (name, value) in edits
        .set
        .iter()
        .chain(&edits.add)
        .filter(|(name, _)| name != "host")
    {
        field(out, name.as_bytes(), value.as_bytes());
    }
    out.extend(b"\r\n");
}

/// Writes a Cookie field without the cookie of the name `hidden`, and none if no other is left.
fn cookies(out: &mut Buffer, name: &[u8], value: &[u8], hidden: &[u8]) {
    let is_hidden = |pair: &[u8]| {
        let rest = pair.trim_ascii_start().strip_prefix(hidden);
        rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
    };
    let pairs = || value.split(|byte| *byte == b';');
    if !pairs().any(is_hidden) {
        return field(out, name, value);
    }
    let left = pairs().filter(|pair| !is_hidden(pair));
    let mut left = left
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
        .peekable();
    if left.peek().is_none() {
        return;
    }
    out.extend(name);
    for (at, pair) in left.enumerate() {
        out.extend(if at == 0 { b": " } else { b"; " });
        out.extend(pair);
    }
    out.extend(b"\r\n");
}

/// Whether the name becomes one that this switch answers for once a backend reads `_` for `-`, as
/// those do that hand fields on in environment variables (RFC 3875 4.1.18).
fn is_masked(name: &[u8]) -> bool {
    memchr::memchr(b'_', name).is_some() && {
        let unmasked: SmallVec<[u8; 64]> = name
            .iter()
            .map(|byte| if *byte == b'_' { b'-' } else { *byte })
            .collect();
        Known::of(&unmasked) != Known::Other
    }
}

#[derive(Default)]
struct Forwarded<'a> {
    chain: Vec<&'a [u8]>,
    proto: bool,
    host: bool,
    via: Vec<&'a [u8]>,
}

impl<'a> Forwarded<'a> {
    fn keep_for(&mut self, trusted: bool, value: &'a [u8]) {
        if trusted {
            self.chain.push(value);
        }
    }
}

fn request_line(out: &mut Buffer, request: &RequestHead, route: &Route) {
    out.extend(request.method());
    out.extend(b" ");
    out.extend(&target(request, route));
    out.extend(b" HTTP/1.1\r\n");
}

/// The target that a backend gets.
pub fn target<'r>(request: &'r RequestHead, route: &Route) -> Cow<'r, [u8]> {
    match &route.rewrite {
        None => request.target().into(),
        Some(rewrite) => rewritten(request.target(), rewrite, &route.prefixes).into(),
    }
}

/// The target after the route's rewrite; the query stays.
fn rewritten(target: &[u8], rewrite: &Rewrite, prefixes: &[String]) -> Vec<u8> {
    let end = target
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    let mut new = match rewrite {
        Rewrite::Path(path) => path.clone().into_bytes(),
        Rewrite::Prefix(prefix) => {
            let path = std::str::from_utf8(path).unwrap_or("/");
            let path = route::normalize(path);
            let matched = prefixes
                .iter()
                .find(|prefix| route::has_prefix(&path, prefix));
            let rest = &path[matched.map_or(0, String::len)..];
            [prefix.trim_end_matches('/').as_bytes(), rest.as_bytes()].concat()
        }
    };
    if new.first() != Some(&b'/') {
        new.insert(0, b'/');
    }
    new.extend_from_slice(query);
    new
}

fn host(out: &mut Buffer, request: &RequestHead, edits: &HeaderEdits, backend: &str) {
    let given = request.get(request.authority);
    let host = match edits.set.iter().find(|(name, _)| name == "host") {
        Some((_, host)) => host.as_bytes(),
        None if given.is_empty() => backend.as_bytes(),
        None => given,
    };
    field(out, b"Host", host);
}

fn framing(out: &mut Buffer, request: &RequestHead) {
    match request.framing {
        Framing::Length(n) => number(out, b"Content-Length", n),
        Framing::Chunked => field(out, b"Transfer-Encoding", b"chunked"),
        // A POST without a body says so; a GET need not (RFC 9110 8.6).
        Framing::None | Framing::Close => {
            if matches!(request.method(), b"POST" | b"PUT" | b"PATCH") {
                field(out, b"Content-Length", b"0");
            }
        }
    }
    if let Some(protocol) = request.upgrade {
        field(out, b"Connection", b"Upgrade");
        field(out, b"Upgrade", request.get(protocol));
    }
    if request
        .values(Known::Te)
        .any(|te| field::list_has(te, b"trailers"))
    {
        field(out, b"Connection", b"TE");
        field(out, b"TE", b"trailers");
    }
    if request.method() == b"OPTIONS"
        && let Some(left) = max_forwards(request)
    {
        number(out, b"Max-Forwards", left.saturating_sub(1));
    }
}

/// How often a request may still be forwarded, if it says so (RFC 9110 7.6.2).
fn max_forwards(request: &RequestHead) -> Option<u64> {
    let text = request.values(Known::MaxForwards).next()?;
    Some(std::str::from_utf8(text).ok()?.parse().unwrap_or(0))
}

/// Whether the request asks this switch itself rather than a backend (RFC 9110 7.6.2).
pub fn is_last_hop(request: &RequestHead) -> bool {
    request.method() == b"OPTIONS" && max_forwards(request) == Some(0)
}

fn identity(
    out: &mut Buffer,
    request: &RequestHead,
    conn: &ConnInfo,
    edits: &HeaderEdits,
    seen: &Forwarded<'_>,
) {
    if !field::is_edited(edits, b"x-forwarded-for") {
        list(
            out,
            b"X-Forwarded-For",
            &seen.chain,
            conn.peer_text.as_bytes(),
        );
    }
    if !seen.proto && !field::is_edited(edits, b"x-forwarded-proto") {
        field(out, b"X-Forwarded-Proto", conn.scheme.as_bytes());
    }
    if let Some(certificate) = conn.secured.certificate() {
        field(out, b"Client-Cert", certificate.as_bytes());
    }
    let authority = request.get(request.authority);
    if !seen.host && !authority.is_empty() && !field::is_edited(edits, b"x-forwarded-host") {
        field(out, b"X-Forwarded-Host", authority);
    }
    if !field::is_edited(edits, b"via") {
        let via: &[u8] = match request.version {
            Version::Http10 => b"1.0 pointsman",
            Version::Http11 => b"1.1 pointsman",
            Version::Http2 => b"2.0 pointsman",
        };
        list(out, b"Via", &seen.via, via);
    }
}

/// `name: before, before, last`.
fn list(out: &mut Buffer, name: &[u8], before: &[&[u8]], last: &[u8]) {
    out.extend(name);
    out.extend(b": ");
    for value in before.iter().filter(|value| !value.is_empty()) {
        out.extend(value);
        out.extend(b", ");
    }
    out.extend(last);
    out.extend(b"\r\n");
}

fn number(out: &mut Buffer, name: &[u8], n: u64) {
    let mut digits = [0; 20];
    field(out, name, decimal(n, &mut digits));
}

/// A number in decimal digits.
pub fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[at..];
        }
    }
}

/// Writes `name: value\r\n`.
pub fn field(out: &mut Buffer, name: &[u8], value: &[u8]) {
    out.extend(name);
    out.extend(b": ");
    out.extend(value);
    out.extend(b"\r\n");
}

/// The client that a trusted peer speaks for: the last address of `X-Forwarded-For` that is not
/// itself trusted.
pub fn client_of(request: &RequestHead, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return peer;
    }
    let chain: Vec<_> = request
        .values(Known::XForwardedFor)
        .flat_map(field::members)
        .collect();
    let mut client = peer;
    for entry in chain.iter().rev() {
        let Some(ip) = std::str::from_utf8(entry)
            .ok()
            .and_then(|text| text.parse().ok())
        else {
            break;
        };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_keep_the_query_and_stay_rooted() {
        let strip = Rewrite::Prefix("/".into());
        let prefixes = ["/api".to_owned()];
        assert_eq!(rewritten(b"/api/x?y=1", &strip, &prefixes), b"/x?y=1");
        assert_eq!(rewritten(b"/api?y", &strip, &prefixes), b"/?y");
        let moved = Rewrite::Prefix("/v2".into());
        assert_eq!(rewritten(b"/api/x", &moved, &prefixes), b"/v2/x");
        assert_eq!(
            rewritten(b"/a?b", &Rewrite::Path("/new".into()), &[]),
            b"/new?b"
        );
    }

    #[test]
    fn names_that_read_like_the_switchs_own_are_seen_through() {
        for name in ["X_Forwarded_For", "x-forwarded_proto", "Content_Length"] {
            assert!(is_masked(name.as_bytes()), "{name}");
        }
        for name in ["X-Forwarded-For", "my_header", "_"] {
            assert!(!is_masked(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn backends_do_not_see_the_hidden_cookie_and_see_all_others() {
        for (sent, seen) in [
            ("SRV=x", None),
            (" SRV = x ;", None),
            ("a=1; SRV=x; b=2", Some("a=1; b=2")),
            ("SRV=x;a=1;SRV=y", Some("a=1")),
            ("a=1;b=2", Some("a=1;b=2")),
            (
                "SRVX=1; srv=2; a=SRV=3; SRV",
                Some("SRVX=1; srv=2; a=SRV=3; SRV"),
            ),
        ] {
            let mut out = Buffer::new();
            cookies(&mut out, b"Cookie", sent.as_bytes(), b"SRV");
            let expected = seen.map(|seen| format!("Cookie: {seen}\r\n"));
            let got = String::from_utf8_lossy(out.filled()).into_owned();
            assert_eq!(got, expected.unwrap_or_default(), "{sent}");
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut digits = [0; 20];
        assert_eq!(decimal(0, &mut digits), b"0");
        assert_eq!(decimal(u64::MAX, &mut digits), b"18446744073709551615");
    }
}
