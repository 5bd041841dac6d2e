//! Control frames (RFC 9113 sections 6.3 to 6.9).

use super::*;

fn expect(kind: Kind, flags: u8, stream: u32, payload: &[u8], code: ErrorCode) {
    let mut peer = Peer::new();
    peer.get(1);
    peer.frame(kind, flags, stream, payload);
    peer.expect_go_away(code);
}

#[test]
fn frames_of_fixed_length_have_that_length() {
    for (kind, stream, right) in [
        (Kind::ResetStream, 1, 4),
        (Kind::Ping, 0, 8),
        (Kind::WindowUpdate, 0, 4),
        (Kind::WindowUpdate, 1, 4),
    ] {
        for length in [0, right - 1, right + 1] {
            expect(kind, 0, stream, &vec![0; length], ErrorCode::FrameSize);
        }
    }
    expect(Kind::Settings, 0, 0, &[0; 5], ErrorCode::FrameSize);
    expect(Kind::Settings, flag::ACK, 0, &[0; 6], ErrorCode::FrameSize);
    expect(Kind::GoAway, 0, 0, &[0; 7], ErrorCode::FrameSize);
    expect(
        Kind::Headers,
        flag::PRIORITY,
        3,
        &[0; 4],
        ErrorCode::FrameSize,
    );
    let mut peer = Peer::new();
    peer.frame(Kind::Priority, 0, 1, &[0; 4]);
    peer.expect_reset(1, ErrorCode::FrameSize);
}

#[test]
fn frames_of_the_connection_have_no_stream_and_others_have_one() {
    expect(Kind::Settings, 0, 1, &[], ErrorCode::Protocol);
    expect(Kind::Ping, 0, 1, &[0; 8], ErrorCode::Protocol);
    expect(Kind::GoAway, 0, 1, &[0; 8], ErrorCode::Protocol);
    expect(Kind::ResetStream, 0, 0, &[0; 4], ErrorCode::Protocol);
    expect(Kind::Priority, 0, 0, &[0; 5], ErrorCode::Protocol);
}

#[test]
fn settings_beyond_their_ranges_end_the_connection() {
    for (id, value, code) in [
        (2, 2, ErrorCode::Protocol),
        (4, 1 << 31, ErrorCode::FlowControl),
        (5, 16_383, ErrorCode::Protocol),
        (5, 1 << 24, ErrorCode::Protocol),
    ] {
        let mut peer = Peer::new();
        peer.settings(&[(id, value)]);
        peer.expect_go_away(code);
    }
}

#[test]
fn settings_are_acknowledged_and_unknown_ones_ignored() {
    let mut peer = Peer::new();
    peer.settings(&[(0xff, 5), (3, 0), (5, 16_777_215), (2, 1)]);
    let got = peer.read();
    assert_eq!((got[0].kind, got[0].flags), (Kind::Settings, flag::ACK));
    peer.frame(Kind::Settings, flag::ACK, 0, &[]);
    assert_eq!(peer.read(), []);
    peer.expect_service(1);
}

#[test]
fn pings_are_answered_with_their_own_bytes_and_answers_are_not() {
    let mut peer = Peer::new();
    peer.frame(Kind::Ping, 0, 0, b"question");
    let got = peer.read();
    assert_eq!(
        (got[0].flags, &got[0].payload[..]),
        (flag::ACK, &b"question"[..])
    );
    peer.frame(Kind::Ping, flag::ACK, 0, b"question");
    assert_eq!(peer.read(), []);
}

#[test]
fn windows_are_opened_by_more_than_nothing_and_not_too_far() {
    let most = 0x7fff_ffffu32.to_be_bytes();
    expect(Kind::WindowUpdate, 0, 0, &[0; 4], ErrorCode::Protocol);
    expect(Kind::WindowUpdate, 0, 0, &most, ErrorCode::FlowControl);
    for (payload, code) in [
        ([0; 4], ErrorCode::Protocol),
        (most, ErrorCode::FlowControl),
    ] {
        let mut peer = Peer::new();
        peer.get(1);
        peer.frame(Kind::WindowUpdate, 0, 1, &payload);
        peer.expect_reset(1, code);
    }
}

#[test]
fn a_client_that_says_goodbye_is_served_to_the_end() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.frame(Kind::GoAway, 0, 0, &[0; 8]);
    assert!(!peer.machine.is_over());
    peer.respond(key, 200, None, true);
    peer.machine.finish(key);
    assert!(!peer.machine.is_over(), "there is something to write");
    peer.read();
    assert!(peer.machine.is_over());
}

#[test]
fn a_reset_reaches_the_exchange() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    assert!(!peer.machine.is_gone(key));
    peer.frame(Kind::ResetStream, 0, 1, &[0, 0, 0, 8]);
    assert_eq!(peer.machine.next_touched(), Some(key));
    assert_eq!(peer.machine.next_touched(), None);
    assert!(peer.machine.is_gone(key));
    assert!(!peer.respond(key, 200, None, true));
    peer.machine.finish(key);
    assert_eq!(peer.read(), []);
    assert_eq!(peer.machine.count(), 0);
}
