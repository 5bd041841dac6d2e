//! Responses: whatever a backend says, the client gets one plain response or none.

use super::audit::{self, Head};
use super::chunked::Decoded;
use super::scene;
use crate::data::buffer::Buffer;
use crate::data::l7::h1::{Coding, write_head};
use crate::data::l7::head::{Framing, RequestHead, ResponseHead, Version};
use crate::data::l7::parse::{self, Limits};
use crate::data::l7::{attempt, body, respond};
use crate::error::Side;
use crate::snapshot::Route;

/// Bytes at the front of a backend's connection, which then ends.
pub fn response_head(bytes: &[u8]) {
    for method in ["GET", "HEAD"] {
        let head = match parse::response(bytes, method == "HEAD") {
            Ok(Some(head)) => head,
            Ok(None) => continue,
            Err(reason) => {
                assert_eq!(reason.side(), Side::Endpoint);
                continue;
            }
        };
        assert!(head.length <= bytes.len());
        for version in ["1.0", "1.1"] {
            let request = request(method, version);
            scene::with(|scene| {
                for route in scene.routes() {
                    passed_on(bytes, &head, &request, route);
                }
            });
        }
    }
}

fn request(method: &str, version: &str) -> RequestHead {
    let mut buffer = Buffer::new();
    let text = format!("{method} / HTTP/{version}\r\nHost: h\r\nTE: trailers\r\n\r\n");
    buffer.extend(text.as_bytes());
    let limits = Limits {
        bytes: 1000,
        fields: 10,
        desync: pointsman_config::policy::Desync::Strict,
    };
    match parse::request(&mut buffer, &limits) {
        Ok(Some(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// What the client gets, as its strict reader judges it.
fn passed_on(bytes: &[u8], head: &ResponseHead, request: &RequestHead, route: &Route) {
    let interim = head.status < 200;
    let framing = head.framing.unwrap_or(Framing::Close);
    let coding = match interim {
        true => Coding::None,
        false => Coding::of(framing, request),
    };
    let lines = respond::fields(head, bytes, &route.response_headers);
    let outgoing = attempt::outgoing(head, bytes, &lines, framing, coding == Coding::Close);
    let mut out = Buffer::new();
    write_head(&mut out, &outgoing, coding, request.version);
    let length = out.len();
    let content = Decoded::of(&bytes[head.length..], framing, 4096, 0);
    match coding {
        Coding::None => (),
        Coding::Chunked => {
            if !content.content.is_empty() {
                body::chunk(&mut out, &content.content);
            }
            if content.end.is_some() {
                body::last_chunk(&mut out, &content.trailers);
            }
        }
        Coding::Length | Coding::Close => out.extend(&content.content),
    }
    let shown = out.filled().escape_ascii();
    let plain = audit::response(out.filled()).unwrap_or_else(|| panic!("no head: {shown}"));
    assert!(plain.doubts.is_empty(), "{:?}: {shown}", plain.doubts);
    assert_eq!(plain.length, length, "the head ends early: {shown}");
    assert_speaks_for_this_hop(&plain, route);
    let frame = audit::response_frame(&plain, request.method() == b"HEAD");
    let read = audit::body(&out.filled()[length..], frame);
    match content.end {
        Some(_) if coding != Coding::None => {
            let (got, _, used) = read.unwrap_or_else(|doubt| panic!("{doubt}: {shown}"));
            assert_eq!(got, content.content);
            assert_eq!(length + used, out.len(), "bytes behind the body: {shown}");
        }
        Some(_) => assert_eq!(length, out.len(), "a body where none is: {shown}"),
        // Cut short: the client must be able to tell, or its connection is reset.
        None => assert!(
            coding == Coding::Close || read.is_err(),
            "a broken response looks whole: {shown}"
        ),
    }
    let http10_chunks = request.version == Version::Http10 && coding == Coding::Chunked;
    assert!(!http10_chunks, "chunks for a client of HTTP/1.0");
}

fn assert_speaks_for_this_hop(plain: &Head<'_>, route: &Route) {
    for gone in ["keep-alive", "proxy-connection", "upgrade", "te", "trailer"] {
        assert!(plain.values(gone).is_empty(), "{gone} is passed on");
    }
    for options in plain.values("connection") {
        assert!(matches!(options, b"close" | b"keep-alive"), "Connection");
    }
    for name in &route.response_headers.remove {
        assert!(plain.values(name).is_empty(), "{name} is to be removed");
    }
}
