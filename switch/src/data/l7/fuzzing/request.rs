//! Requests: whatever is let through goes up plainly, and means what a strict reader takes it for.

use std::net::IpAddr;

use pointsman_config::policy::Desync;

use super::audit::{self, Frame, Head};
use super::chunked::Decoded;
use super::scene::{self, PEER, Scene};
use crate::data::buffer::Buffer;
use crate::data::l7::head::{Framing, RequestHead, Version};
use crate::data::l7::parse::{self, Limits};
use crate::data::l7::view::View;
use crate::data::l7::{ConnInfo, body, forward};
#[cfg(test)]
use crate::error::Reason;
use crate::error::Side;
use crate::snapshot::Route;

const LIMITS: Limits = Limits {
    bytes: 16 * 1024,
    fields: 100,
    desync: Desync::Strict,
};

/// Bytes at the front of a connection.
pub fn request_head(bytes: &[u8]) {
    scene::with(|scene| {
        let strict = taken(scene, bytes, Desync::Strict);
        let defensive = taken(scene, bytes, Desync::Defensive);
        let monitor = taken(scene, bytes, Desync::Monitor);
        assert!(
            strict.is_none() || strict == defensive,
            "strictly and defensively not the same"
        );
        assert_eq!(defensive, monitor, "what is watched goes up otherwise");
    });
}

/// Everything that would go up, by connection and route; `None` when it is refused or incomplete.
fn taken(scene: &Scene, bytes: &[u8], desync: Desync) -> Option<Vec<Vec<u8>>> {
    let mut buffer = Buffer::new();
    buffer.extend(bytes);
    let limits = Limits { desync, ..LIMITS };
    let head = match parse::request(&mut buffer, &limits) {
        Ok(Some(head)) => head,
        Ok(None) => {
            assert!(bytes.len() < LIMITS.bytes, "no end of the head is in sight");
            return None;
        }
        Err(reason) => {
            assert_eq!(reason.side(), Side::Client);
            assert!(!must_be_taken(bytes), "{reason:?} for a plain request");
            return None;
        }
    };
    assert_reads_like_a_strict_reader(bytes, &head);
    let rest = Decoded::of(buffer.filled(), head.framing, 4096, 0);
    Some(goes_up(scene, &head, &rest))
}

/// Everything that goes up for a request with this content, by connection and route.
pub fn goes_up(scene: &Scene, head: &RequestHead, content: &Decoded) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for conn in &scene.conns {
        routed(scene, conn, head);
        for route in scene.routes() {
            all.push(sent(head, conn, route, content));
        }
    }
    all
}

/// Routing and hashing take whatever was let through.
fn routed(scene: &Scene, conn: &ConnInfo, head: &RequestHead) {
    let trusted = &conn.listener.policy.trusted;
    let client = forward::client_of(head, conn.peer, trusted);
    let view = View::new(head, client, "outer");
    assert!(scene.table().router.find(&view).is_some(), "no route for /");
    if trusted.is_empty() {
        assert_eq!(Ok(client), PEER.parse::<IpAddr>(), "a claim is believed");
    }
}

/// Where a strict reader has no doubt about the bytes that came, it must be our reading too.
fn assert_reads_like_a_strict_reader(bytes: &[u8], head: &RequestHead) {
    let Some(plain) = audit::request(bytes).filter(|plain| plain.doubts.is_empty()) else {
        return;
    };
    let frame = match head.framing {
        Framing::None => Frame::None,
        Framing::Length(n) => Frame::Length(n),
        Framing::Chunked => Frame::Chunked,
        Framing::Close => panic!("a request ends with its connection"),
    };
    assert_eq!(frame, audit::request_frame(&plain));
    assert_eq!(head.method(), plain.start[0]);
    assert_eq!(head.target(), plain.start[1]);
    assert_eq!([head.get(head.authority)], plain.values("host")[..]);
}

/// What nobody could mistake is not refused.
fn must_be_taken(bytes: &[u8]) -> bool {
    let Some(head) = audit::request(bytes) else {
        return false;
    };
    let host = head.values("host");
    let plain_host = |host: &&[u8]| host.iter().all(u8::is_ascii_alphanumeric);
    head.doubts.is_empty()
        && head.length <= LIMITS.bytes
        && head.fields.len() <= 60
        && matches!(
            head.start[0],
            b"GET" | b"POST" | b"HEAD" | b"PUT" | b"DELETE"
        )
        && head.start[1].starts_with(b"/")
        && head.values("expect").is_empty()
        && head.values("connection").concat().len() <= 1000
        && host.iter().all(plain_host)
}

/// The bytes that go up, as a backend's strict reader judges them.
fn sent(head: &RequestHead, conn: &ConnInfo, route: &Route, content: &Decoded) -> Vec<u8> {
    let mut out = Buffer::new();
    forward::request(
        &mut out,
        head,
        conn,
        route,
        "backend",
        None,
        forward::Told::default(),
    );
    let length = out.len();
    if content.end.is_some() {
        match head.framing {
            Framing::Chunked => {
                if !content.content.is_empty() {
                    body::chunk(&mut out, &content.content);
                }
                body::last_chunk(&mut out, &content.trailers);
            }
            _ => out.extend(&content.content),
        }
    }
    let bytes = out.filled().to_vec();
    let shown = bytes.escape_ascii();
    let plain = audit::request(&bytes).unwrap_or_else(|| panic!("no head: {shown}"));
    assert!(plain.doubts.is_empty(), "{:?}: {shown}", plain.doubts);
    assert_eq!(plain.length, length, "the head ends early: {shown}");
    assert_speaks_for_this_hop(&plain, head, conn);
    if content.end.is_some() {
        let read = audit::body(&bytes[length..], audit::request_frame(&plain));
        let (got, trailers, used) = read.unwrap_or_else(|doubt| panic!("{doubt}: {shown}"));
        assert_eq!((&got, &trailers), (&content.content, &content.trailers));
        assert_eq!(length + used, bytes.len(), "bytes behind the body: {shown}");
    }
    bytes
}

/// Fields of the connection are the switch's own, and strangers' claims are not passed on.
fn assert_speaks_for_this_hop(plain: &Head<'_>, head: &RequestHead, conn: &ConnInfo) {
    for gone in [
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "trailer",
    ] {
        assert!(plain.values(gone).is_empty(), "{gone} is passed on");
    }
    for options in plain.values("connection") {
        assert!(matches!(options, b"Upgrade" | b"TE"), "Connection");
    }
    for (name, _) in &plain.fields {
        let masked = name.contains(&b'_');
        let read = String::from_utf8_lossy(name).replace('_', "-");
        let ours = ["x-forwarded-for", "x-forwarded-proto", "transfer-encoding"];
        assert!(
            !masked || !ours.contains(&read.as_str()),
            "{read} is masked"
        );
    }
    assert_eq!(!plain.values("upgrade").is_empty(), head.upgrade.is_some());
    assert_eq!(plain.values("x-forwarded-for").len(), 1);
    assert_eq!(plain.values("x-forwarded-proto").len(), 1);
    assert_eq!(plain.values("via").len(), 1);
    assert!(plain.values("x-forwarded-host").len() <= 1);
    if !conn.is_trusted() {
        assert_eq!(plain.values("x-forwarded-for"), [PEER.as_bytes()]);
        assert_eq!(plain.values("x-forwarded-proto"), [b"https"]);
        assert!(plain.values("forwarded").is_empty());
    }
    if head.version == Version::Http10 {
        assert!(!head.expects_continue && head.upgrade.is_none());
    }
}

/// What a request is refused for, or that it is taken; for tests.
#[cfg(test)]
pub fn outcome(bytes: &[u8], desync: Desync) -> Result<bool, Reason> {
    let mut buffer = Buffer::new();
    buffer.extend(bytes);
    let limits = Limits { desync, ..LIMITS };
    parse::request(&mut buffer, &limits).map(|head| head.is_some())
}
