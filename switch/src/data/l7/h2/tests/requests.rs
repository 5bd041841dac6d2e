//! From header block to request (RFC 9113 sections 8.2 and 8.3).

use super::super::super::field::Known;
use super::*;

fn request(fields: &[(&str, &str)]) -> Result<RequestHead, Reason> {
    let mut peer = Peer::new();
    peer.headers(1, flag::END_STREAM, fields);
    peer.arrived().1
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&FIELDS[..], more].concat()
}

fn changed(name: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let change = |(n, v)| if n == name { (n, value) } else { (n, v) };
    FIELDS.into_iter().map(change).collect()
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    FIELDS.into_iter().filter(|(n, _)| *n != name).collect()
}

#[test]
fn a_request_is_written_as_http_1_would_have_it() {
    let request = request(&with(&[
        ("accept", " */* "),
        ("cookie", "a=1"),
        ("te", "Trailers"),
        ("cookie", "b=2"),
        ("expect", "100-Continue"),
        ("host", "LOCALHOST"),
    ]))
    .unwrap();
    assert_eq!(request.method(), b"GET");
    assert_eq!(request.target(), b"/");
    assert_eq!(request.get(request.authority), b"localhost");
    assert_eq!(request.framing, Framing::None);
    assert!(request.expects_continue);
    let lines: Vec<_> = request
        .fields
        .iter()
        .map(|field| (request.get(field.name), request.get(field.value)))
        .collect();
    let expected: [(&[u8], &[u8]); 4] = [
        (b"accept", b"*/*"),
        (b"te", b"Trailers"),
        (b"expect", b"100-Continue"),
        (b"cookie", b"a=1; b=2"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(request.fields[3].known, Known::Cookie);
}

#[test]
fn without_authority_the_host_field_names_it() {
    let fields = [&without(":authority")[..], &[("host", "example.com:80")]].concat();
    let request = request(&fields).unwrap();
    assert_eq!(request.get(request.authority), b"example.com:80");
}

#[test]
fn malformed_requests_reset_their_stream() {
    let malformed = [
        with(&[("X-Upper", "1")]),
        with(&[("x a", "1")]),
        with(&[("x:a", "1")]),
        with(&[("", "1")]),
        with(&[("x", "a\r\nb")]),
        with(&[("x", "a\0b")]),
        with(&[("x", "a\u{1}b")]),
        with(&[("x", "1"), (":path", "/2")]),
        with(&[(":path", "/2")]),
        with(&[(":method", "GET")]),
        with(&[(":status", "200")]),
        with(&[(":protocol", "websocket")]),
        with(&[(":unknown", "1")]),
        with(&[("connection", "close")]),
        with(&[("keep-alive", "1")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "h2c")]),
        with(&[("te", "gzip")]),
        with(&[("te", "trailers, deflate;q=0.5")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
        with(&[("content-length", "+5")]),
        with(&[("content-length", "1234567890123456789")]),
        with(&[("content-length", "")]),
        [
            &without(":authority")[..],
            &[("host", "h"), (":authority", "h")],
        ]
        .concat(),
        [
            &without(":authority")[..],
            &[("x", "1"), (":authority", "h")],
        ]
        .concat(),
        [
            &without(":authority")[..],
            &[("cookie", "1"), (":authority", "h")],
        ]
        .concat(),
        without(":method"),
        without(":scheme"),
        without(":path"),
        changed(":path", ""),
        changed(":method", "GET /x"),
        changed(":method", ""),
        changed(":path", "/\r\nx: y"),
    ];
    for fields in malformed {
        let mut peer = Peer::new();
        peer.headers(1, flag::END_STREAM, &fields);
        assert!(peer.arrivals.is_empty(), "{fields:?}");
        peer.expect_reset(1, ErrorCode::Protocol);
        peer.expect_service(3);
    }
}

#[test]
fn requests_that_are_understood_and_not_served_are_answered() {
    let long: &'static str = Box::leak(format!("/{}", "p".repeat(5000)).into_boxed_str());
    let refused = [
        (changed(":path", "http://evil.test/"), Reason::BadRequest),
        (changed(":path", "*"), Reason::BadRequest),
        (changed(":path", "/a b"), Reason::BadRequest),
        (changed(":path", "/a#b"), Reason::BadRequest),
        (changed(":path", "/\u{e9}"), Reason::BadRequest),
        (changed(":scheme", "ftp"), Reason::BadRequest),
        (changed(":authority", "localhost/x"), Reason::BadRequest),
        (changed(":authority", "user@localhost"), Reason::BadRequest),
        (changed(":authority", ""), Reason::BadRequest),
        (without(":authority"), Reason::BadRequest),
        (with(&[("host", "other")]), Reason::BadRequest),
        (
            with(&[("host", "localhost"), ("host", "localhost")]),
            Reason::BadRequest,
        ),
        (with(&[("expect", "a-miracle")]), Reason::ExpectationFailed),
        (changed(":method", "TRACE"), Reason::MethodRefused),
        (changed(":method", "CONNECT"), Reason::MethodRefused),
        (with(&[("a", long), ("b", long)]), Reason::HeadTooLarge),
        (with(&[("a", ""); 21]), Reason::HeadTooLarge),
    ];
    for (fields, reason) in refused {
        assert_eq!(request(&fields).unwrap_err(), reason, "{fields:?}");
    }
    assert!(request(&with(&[("a", ""); 20])).is_ok());
    assert!(request(&changed(":path", long)).is_ok());
    let star = [(":method", "OPTIONS"), (":path", "*"), FIELDS[1], FIELDS[3]];
    assert_eq!(request(&star).unwrap().target(), b"*");
}

#[test]
fn the_content_is_framed_by_its_length_or_by_the_streams_end() {
    let cases: [(&[(&str, &str)], Framing); 3] = [
        (&[], Framing::Chunked),
        (&[("content-length", "5")], Framing::Length(5)),
        (&[("content-length", "0")], Framing::None),
    ];
    for (more, framing) in cases {
        let mut peer = Peer::new();
        let mut fields = FIELDS.to_vec();
        fields.extend_from_slice(more);
        peer.headers(1, 0, &fields);
        assert_eq!(peer.arrived().1.unwrap().framing, framing);
    }
}
