//! Content of requests, its length and its windows (RFC 9113 sections 6.1, 8.1.1 and 6.9).

use super::super::connection::{Body, CONNECTION_WINDOW};
use super::super::stream::STREAM_WINDOW;
use super::*;
use crate::data::buffer::Buffer;

fn body(peer: &mut Peer, key: Key) -> (Body, Vec<u8>) {
    let mut content = Buffer::new();
    let body = peer.machine.body(key, &mut content);
    (body, content.filled().to_vec())
}

fn opened(got: &[Got], stream: u32) -> u32 {
    let updates = got
        .iter()
        .filter(|got| got.kind == Kind::WindowUpdate && got.stream == stream);
    updates
        .map(|got| frame::u31(got.payload[..].try_into().unwrap()))
        .sum()
}

#[test]
fn content_is_handed_over_as_it_came() {
    let mut peer = Peer::new();
    let key = peer.post(1, &[]);
    assert!(matches!(body(&mut peer, key).0, Body::Wait));
    peer.frame(Kind::Data, 0, 1, b"one ");
    let padded = flag::PADDED | flag::END_STREAM;
    peer.frame(Kind::Data, padded, 1, b"\x03two\0\0\0");
    assert_eq!(peer.machine.next_touched(), Some(key));
    let (handed, content) = body(&mut peer, key);
    assert!(matches!(handed, Body::Content));
    assert_eq!(content, b"one two");
    assert!(matches!(body(&mut peer, key).0, Body::End(trailers) if trailers.is_empty()));
}

#[test]
fn trailers_end_the_content_and_keep_what_may_stand_there() {
    let mut peer = Peer::new();
    let key = peer.post(1, &[]);
    peer.headers(
        1,
        flag::END_STREAM,
        &[("x-sum", " 9 "), ("content-length", "3")],
    );
    let (Body::End(trailers), _) = body(&mut peer, key) else {
        panic!("the end");
    };
    assert_eq!(trailers, b"x-sum: 9\r\n");
}

#[test]
fn trailers_must_end_the_stream_and_be_well_formed() {
    let wrong: [(u8, &[(&str, &str)]); 5] = [
        (0, &[("x", "1")]),
        (flag::END_STREAM, &[(":path", "/")]),
        (flag::END_STREAM, &[("X", "1")]),
        (flag::END_STREAM, &[("x", "1\r\ny: 2")]),
        (flag::END_STREAM, &[("", "1")]),
    ];
    for (flags, fields) in wrong {
        let mut peer = Peer::new();
        let key = peer.post(1, &[]);
        peer.headers(1, flags, fields);
        peer.expect_reset(1, ErrorCode::Protocol);
        assert!(matches!(body(&mut peer, key).0, Body::Gone));
    }
}

#[test]
fn content_has_the_length_that_was_told() {
    for parts in [
        &[&b"1234"[..]][..],
        &[b"123", b"456"],
        &[b""],
        &[b"12", b""],
    ] {
        let mut peer = Peer::new();
        peer.post(1, &[("content-length", "5")]);
        for (n, part) in parts.iter().enumerate() {
            let last = n + 1 == parts.len();
            peer.frame(Kind::Data, u8::from(last), 1, part);
        }
        peer.expect_reset(1, ErrorCode::Protocol);
    }
    let mut peer = Peer::new();
    peer.post(1, &[("content-length", "5")]);
    peer.frame(Kind::Data, 0, 1, b"123");
    peer.headers(1, flag::END_STREAM, &[("x", "1")]);
    peer.expect_reset(1, ErrorCode::Protocol);
    let mut peer = Peer::new();
    peer.post(1, &[("content-length", "0")]);
    peer.frame(Kind::Data, flag::END_STREAM, 1, b"");
    assert_eq!(peer.read(), []);
}

#[test]
fn data_with_more_padding_than_bytes_ends_the_connection() {
    let mut peer = Peer::new();
    peer.post(1, &[]);
    peer.frame(Kind::Data, flag::PADDED, 1, &[5, 0, 0]);
    peer.expect_go_away(ErrorCode::Protocol);
}

#[test]
fn more_than_the_streams_window_resets_the_stream() {
    let mut peer = Peer::new();
    peer.post(1, &[]);
    for _ in 0..4 {
        peer.frame(Kind::Data, 0, 1, &[0; 16_384]);
    }
    assert_eq!(peer.read(), []);
    peer.frame(Kind::Data, 0, 1, &[0]);
    peer.expect_reset(1, ErrorCode::FlowControl);
}

#[test]
fn a_window_opens_again_only_as_content_is_passed_on() {
    let mut peer = Peer::new();
    let key = peer.post(1, &[]);
    for _ in 0..4 {
        peer.frame(Kind::Data, 0, 1, &[0; 16_384]);
    }
    let (_, content) = body(&mut peer, key);
    assert_eq!(content.len(), STREAM_WINDOW as usize);
    assert_eq!(peer.read(), [], "handed over is not passed on");
    peer.machine.took(key, content.len());
    assert_eq!(opened(&peer.read(), 1), STREAM_WINDOW);
}

#[test]
fn the_window_of_streams_that_go_wrong_comes_back_to_the_connection() {
    let mut peer = Peer::new();
    let (mut sent, mut back) = (0, 0);
    for n in 0..200u32 {
        let id = n * 2 + 1;
        let key = peer.post(id, &[]);
        let padded = [&[200][..], &[0; 10_000]].concat();
        peer.frame(Kind::Data, flag::PADDED, id, &padded);
        sent += padded.len() as u32;
        match n % 3 {
            0 => peer.frame(Kind::ResetStream, 0, id, &[0, 0, 0, 8]),
            1 => drop(body(&mut peer, key)),
            _ => (),
        }
        peer.machine.finish(key);
        // Content that comes later still is not for anybody.
        if n % 3 != 0 {
            peer.frame(Kind::Data, 0, id, &[0; 1000]);
            sent += 1000;
        }
        back += opened(&peer.read(), 0);
        // Honest traffic between, so that it is about the window alone.
        peer.now += 1000;
    }
    assert!(!peer.machine.has_failed());
    assert!(
        sent - back < CONNECTION_WINDOW / 2,
        "{sent} sent, {back} back"
    );
}

#[test]
fn more_than_the_connections_window_ends_the_connection() {
    let mut peer = Peer::silent();
    peer.machine = Connection::new(Limits {
        streams: 100,
        head: 8192,
        fields: 20,
    });
    peer.send(PREFACE);
    peer.settings(&[]);
    peer.read();
    let streams = CONNECTION_WINDOW / STREAM_WINDOW;
    for id in (1..).step_by(2).take(streams as usize) {
        peer.post(id, &[]);
        for _ in 0..4 {
            peer.frame(Kind::Data, 0, id, &[0; 16_384]);
        }
    }
    assert_eq!(peer.read(), []);
    peer.post(999, &[]);
    peer.frame(Kind::Data, 0, 999, &[0]);
    peer.expect_go_away(ErrorCode::FlowControl);
}
