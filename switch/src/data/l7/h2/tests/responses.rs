//! Responses, their frames and the client's windows (RFC 9113 sections 8.1, 6.9).

use super::super::connection::{FULL, Sent};
use super::*;

fn kinds(got: &[Got]) -> Vec<(Kind, u8, usize)> {
    let kind = |got: &Got| match got.kind {
        Kind::Headers => (got.kind, got.flags, 0),
        _ => (got.kind, got.flags, got.payload.len()),
    };
    got.iter().map(kind).collect()
}

const HEADERS: (Kind, u8, usize) = (Kind::Headers, flag::END_HEADERS, 0);

#[test]
fn the_last_content_ends_the_stream() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.respond(key, 200, Some(8), false);
    assert_eq!(peer.machine.send(key, b"four", Some(8)), Sent::Taken(4));
    assert_eq!(peer.machine.send(key, b"more", Some(4)), Sent::Taken(4));
    assert!(peer.machine.end(key, &[]));
    peer.machine.finish(key);
    let got = peer.read();
    let last = (Kind::Data, flag::END_STREAM, 4);
    assert_eq!(kinds(&got), [HEADERS, (Kind::Data, 0, 4), last]);
    let fields = peer.fields(&got[0].payload);
    let text: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(
        text,
        [":status=200", "server=test", "x-own=1", "content-length=8"]
    );
}

#[test]
fn an_end_that_comes_late_is_told_by_the_last_frame_if_that_still_waits() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.respond(key, 200, None, false);
    peer.machine.send(key, b"chunk", None);
    peer.machine.end(key, &[]);
    let last = (Kind::Data, flag::END_STREAM, 5);
    assert_eq!(kinds(&peer.read()), [HEADERS, last]);
    let key = peer.get(3);
    peer.respond(key, 200, None, false);
    peer.machine.send(key, b"chunk", None);
    peer.read();
    peer.machine.end(key, &[]);
    assert_eq!(kinds(&peer.read()), [(Kind::Data, flag::END_STREAM, 0)]);
}

#[test]
fn trailers_come_behind_the_content() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.respond(key, 200, None, false);
    peer.machine.send(key, b"chunk", None);
    peer.machine.end(key, b"Grpc-Status: 0\r\nX-B: c\r\n");
    let got = peer.read();
    let ends = flag::END_HEADERS | flag::END_STREAM;
    assert_eq!(kinds(&got)[2], (Kind::Headers, ends, 0));
    peer.fields(&got[0].payload);
    let fields = peer.fields(&got[2].payload);
    let expected = [("grpc-status", "0"), ("x-b", "c")];
    assert_eq!(fields, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

#[test]
fn interim_responses_do_not_end_anything() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.respond(key, 103, None, false);
    peer.respond(key, 204, None, true);
    peer.machine.finish(key);
    let got = peer.read();
    assert_eq!(got.len(), 2);
    assert_eq!(peer.fields(&got[0].payload)[0].1, "103");
    assert_eq!(got[1].flags, flag::END_HEADERS | flag::END_STREAM);
}

#[test]
fn an_early_response_lets_the_client_stop_its_request() {
    let mut peer = Peer::new();
    let key = peer.post(1, &[]);
    peer.respond(key, 413, None, true);
    peer.machine.finish(key);
    let got = peer.read();
    assert_eq!(
        (got[0].kind, got[1].kind),
        (Kind::Headers, Kind::ResetStream)
    );
    assert_eq!(got[1].payload, (ErrorCode::No as u32).to_be_bytes());
}

#[test]
fn a_broken_response_ends_in_a_reset() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.respond(key, 200, Some(100), false);
    peer.machine.send(key, b"some", Some(100));
    peer.machine.finish(key);
    peer.expect_reset(1, ErrorCode::Internal);
    peer.expect_service(3);
}

#[test]
fn a_window_of_one_byte_lets_one_byte_through() {
    let mut peer = Peer::with_settings(&[(4, 1)]);
    let key = peer.get(1);
    peer.respond(key, 200, None, false);
    assert_eq!(peer.machine.send(key, b"content", None), Sent::Taken(1));
    assert_eq!(peer.machine.send(key, b"ontent", None), Sent::Wait);
    peer.frame(Kind::WindowUpdate, 0, 1, &[0, 0, 0, 2]);
    assert_eq!(peer.machine.next_touched(), Some(key));
    assert_eq!(peer.machine.send(key, b"ontent", None), Sent::Taken(2));
}

#[test]
fn changed_settings_change_the_windows_of_open_streams() {
    let mut peer = Peer::with_settings(&[(4, 10)]);
    let key = peer.get(1);
    peer.respond(key, 200, None, false);
    assert_eq!(peer.machine.send(key, &[0; 10], None), Sent::Taken(10));
    peer.settings(&[(4, 5)]);
    assert_eq!(peer.machine.send(key, &[0; 10], None), Sent::Wait);
    peer.frame(Kind::WindowUpdate, 0, 1, &[0, 0, 0, 5]);
    assert_eq!(peer.machine.next_touched(), Some(key));
    assert_eq!(peer.machine.send(key, &[0; 10], None), Sent::Wait);
    peer.settings(&[(4, 8)]);
    assert_eq!(peer.machine.next_touched(), Some(key));
    assert_eq!(peer.machine.send(key, &[0; 10], None), Sent::Taken(3));
    peer.settings(&[(4, 0x7fff_ffff)]);
    peer.frame(Kind::WindowUpdate, 0, 1, &[0x7f, 0xff, 0xff, 0xff]);
    peer.expect_reset(1, ErrorCode::FlowControl);
}

#[test]
fn settings_that_overflow_an_open_streams_window_end_the_connection() {
    let mut peer = Peer::new();
    peer.get(1);
    peer.frame(Kind::WindowUpdate, 0, 1, &[0x7f, 0xff, 0, 0]);
    peer.settings(&[(4, 0x7fff_ffff)]);
    peer.expect_go_away(ErrorCode::FlowControl);
}

#[test]
fn all_streams_share_the_connections_window() {
    let mut peer = Peer::with_settings(&[(4, 1 << 20)]);
    let (first, second) = (peer.get(1), peer.get(3));
    for key in [first, second] {
        peer.respond(key, 200, None, false);
    }
    let mut sent = 0;
    while let Sent::Taken(n) = peer.machine.send(first, &[0; 16_384], None) {
        sent += n;
        peer.read();
    }
    assert_eq!(sent, 65_535);
    assert_eq!(peer.machine.send(second, &[0; 10], None), Sent::Wait);
    peer.frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 100]);
    let touched: Vec<_> = std::iter::from_fn(|| peer.machine.next_touched()).collect();
    assert_eq!(touched, [first, second]);
    assert_eq!(peer.machine.send(second, &[0; 200], None), Sent::Taken(100));
}

#[test]
fn content_waits_while_the_output_is_full() {
    let mut peer = Peer::with_settings(&[(4, 1 << 20)]);
    peer.frame(Kind::WindowUpdate, 0, 0, &[0, 16, 0, 0]);
    peer.read();
    let key = peer.get(1);
    peer.respond(key, 200, None, false);
    while let Sent::Taken(_) = peer.machine.send(key, &[0; 16_384], None) {}
    assert!(peer.machine.is_full());
    assert!(peer.machine.output().len() < FULL + 16_384 + 200);
    let before = peer.machine.output().len();
    peer.frame(Kind::Ping, 0, 0, &[0; 8]);
    assert_eq!(
        peer.machine.output().len(),
        before,
        "nothing is read meanwhile"
    );
    peer.machine.wrote(before);
    assert_eq!(peer.machine.next_touched(), Some(key));
    peer.send(&[]);
    assert_eq!(peer.read()[0].kind, Kind::Ping);
}

#[test]
fn a_client_that_shrinks_its_table_is_told_once_that_it_stays_empty() {
    let mut peer = Peer::with_settings(&[(1, 0)]);
    for (id, first) in [(1, 0x20), (3, 0x88)] {
        let key = peer.get(id);
        peer.respond(key, 200, None, true);
        peer.machine.finish(key);
        assert_eq!(peer.read()[0].payload[0], first);
    }
}
