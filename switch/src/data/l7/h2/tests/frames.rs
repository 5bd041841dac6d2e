//! Preface, frames, header blocks and the states of streams (RFC 9113 sections 3.4, 4 and 5).

use super::*;

#[test]
fn the_machine_speaks_first_of_its_settings() {
    let mut peer = Peer::silent();
    let got = peer.read();
    assert_eq!(got[0].kind, Kind::Settings);
    assert!(got[0].payload.windows(6).any(|s| s == [0, 3, 0, 0, 0, 10]));
    assert_eq!((got[1].kind, got[1].stream), (Kind::WindowUpdate, 0));
}

#[test]
fn a_preface_may_come_byte_by_byte() {
    let mut peer = Peer::silent();
    for byte in PREFACE {
        peer.send(&[*byte]);
    }
    peer.settings(&[]);
    peer.expect_service(1);
}

#[test]
fn a_wrong_preface_ends_the_connection() {
    let mut peer = Peer::silent();
    peer.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    peer.expect_go_away(ErrorCode::Protocol);
}

#[test]
fn the_first_frame_must_be_settings() {
    for (kind, flags) in [(Kind::Ping, 0), (Kind::Settings, flag::ACK)] {
        let mut peer = Peer::silent();
        peer.send(PREFACE);
        peer.frame(kind, flags, 0, &[0; 8][..if flags == 0 { 8 } else { 0 }]);
        peer.expect_go_away(ErrorCode::Protocol);
    }
}

#[test]
fn frames_of_unknown_kinds_are_ignored_outside_of_header_blocks() {
    let mut peer = Peer::new();
    let head = [0, 0, 3, 0x16, 0xff, 0, 0, 0, 9, 1, 2, 3];
    peer.send(&head);
    peer.expect_service(1);
    peer.frame(Kind::Headers, 0, 3, &block(&FIELDS));
    peer.send(&head);
    peer.expect_go_away(ErrorCode::Protocol);
}

#[test]
fn undefined_flags_and_the_reserved_bit_are_ignored() {
    let mut peer = Peer::new();
    peer.frame(Kind::Ping, 0xfe, 0, &[7; 8]);
    assert_eq!(peer.read()[0].flags, flag::ACK);
    let mut bytes = Vec::new();
    let block = block(&FIELDS);
    frame::write(
        &mut bytes,
        Kind::Headers,
        flag::END_HEADERS,
        1 << 31 | 1,
        &block,
    );
    peer.send(&bytes);
    assert!(peer.arrived().1.is_ok());
}

#[test]
fn a_frame_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let mut peer = Peer::new();
    peer.post(1, &[]);
    peer.frame(Kind::Data, 0, 1, &[0; 16_384]);
    assert!(!peer.machine.has_failed());
    peer.frame(Kind::Data, 0, 1, &[0; 16_385]);
    peer.expect_go_away(ErrorCode::FrameSize);
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_head_alone() {
    let mut peer = Peer::new();
    peer.send(&[1, 0, 0, 1, 5, 0, 0, 0, 1]);
    peer.expect_go_away(ErrorCode::FrameSize);
}

#[test]
fn header_blocks_may_be_cut_anywhere() {
    let block = block(&FIELDS);
    for cut in 0..=block.len() {
        let mut peer = Peer::new();
        let (first, rest) = block.split_at(cut);
        peer.frame(Kind::Headers, flag::END_STREAM, 1, first);
        let (second, third) = rest.split_at(rest.len() / 2);
        peer.frame(Kind::Continuation, 0, 1, second);
        assert!(peer.machine.is_in_block());
        peer.frame(Kind::Continuation, flag::END_HEADERS, 1, third);
        assert_eq!(peer.arrived().1.unwrap().target(), b"/");
    }
}

#[test]
fn padding_and_priority_are_taken_off() {
    let mut peer = Peer::new();
    let payload = [&[3, 0, 0, 0, 0, 9][..], &block(&FIELDS), &[0; 3]].concat();
    let flags = flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    peer.frame(Kind::Headers, flags, 1, &payload);
    assert!(peer.arrived().1.is_ok());
}

#[test]
fn headers_with_more_padding_than_bytes_end_the_connection() {
    let mut peer = Peer::new();
    peer.frame(
        Kind::Headers,
        flag::END_HEADERS | flag::PADDED,
        1,
        &[9, 0x82],
    );
    peer.expect_go_away(ErrorCode::Protocol);
}

#[test]
fn nothing_may_come_between_the_parts_of_a_header_block() {
    let between: [(Kind, u32, &[u8]); 4] = [
        (Kind::Data, 1, b"x"),
        (Kind::Headers, 3, b""),
        (Kind::Continuation, 3, b""),
        (Kind::Priority, 1, &[0, 0, 0, 0, 0]),
    ];
    for (kind, stream, payload) in between {
        let mut peer = Peer::new();
        peer.frame(Kind::Headers, flag::END_STREAM, 1, &block(&FIELDS));
        peer.frame(kind, 0, stream, payload);
        peer.expect_go_away(ErrorCode::Protocol);
    }
}

#[test]
fn a_header_block_that_cannot_be_decoded_ends_the_connection() {
    let mut peer = Peer::new();
    peer.frame(Kind::Headers, flag::END_HEADERS, 1, &[0x82, 0x80]);
    peer.expect_go_away(ErrorCode::Compression);
}

#[test]
fn a_continuation_needs_a_header_block_to_continue() {
    let mut peer = Peer::new();
    peer.frame(Kind::Continuation, flag::END_HEADERS, 1, &[]);
    peer.expect_go_away(ErrorCode::Protocol);
    let mut peer = Peer::new();
    peer.get(1);
    peer.frame(Kind::Continuation, flag::END_HEADERS, 1, &[]);
    peer.expect_go_away(ErrorCode::Protocol);
}

#[test]
fn on_idle_streams_only_headers_and_priority_may_come() {
    let frames: [(Kind, &[u8]); 3] = [
        (Kind::Data, b"x"),
        (Kind::ResetStream, &[0, 0, 0, 8]),
        (Kind::WindowUpdate, &[0, 0, 0, 1]),
    ];
    for (kind, payload) in frames {
        let mut peer = Peer::new();
        peer.frame(kind, 0, 1, payload);
        peer.expect_go_away(ErrorCode::Protocol);
    }
    let mut peer = Peer::new();
    peer.frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 1]);
    peer.expect_service(1);
}

#[test]
fn after_its_end_a_request_takes_no_more_frames() {
    let mut peer = Peer::new();
    peer.get(1);
    peer.frame(Kind::Data, flag::END_STREAM, 1, b"x");
    peer.expect_reset(1, ErrorCode::StreamClosed);
    let mut peer = Peer::new();
    peer.get(1);
    peer.headers(1, flag::END_STREAM, &[("x", "y")]);
    peer.expect_reset(1, ErrorCode::StreamClosed);
}

#[test]
fn a_stream_that_the_client_reset_takes_no_more_frames() {
    let reset = || {
        let mut peer = Peer::new();
        peer.post(1, &[]);
        peer.frame(Kind::ResetStream, 0, 1, &[0, 0, 0, 8]);
        peer.read();
        peer
    };
    let mut peer = reset();
    peer.frame(Kind::Data, 0, 1, b"x");
    peer.expect_reset(1, ErrorCode::StreamClosed);
    let mut peer = reset();
    peer.headers(1, flag::END_STREAM, &FIELDS);
    peer.expect_go_away(ErrorCode::StreamClosed);
}

#[test]
fn a_stream_that_ended_takes_no_more_frames_but_late_windows_and_resets() {
    let ended = || {
        let mut peer = Peer::new();
        peer.expect_service(1);
        peer
    };
    let mut peer = ended();
    peer.frame(Kind::WindowUpdate, 0, 1, &[0, 0, 0, 1]);
    peer.frame(Kind::ResetStream, 0, 1, &[0, 0, 0, 8]);
    peer.frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 1]);
    assert_eq!(peer.read(), []);
    peer.frame(Kind::Data, 0, 1, b"x");
    peer.expect_reset(1, ErrorCode::StreamClosed);
    let mut peer = ended();
    peer.headers(1, flag::END_STREAM, &FIELDS);
    peer.expect_go_away(ErrorCode::StreamClosed);
}

#[test]
fn what_was_sent_before_the_client_knew_of_a_reset_is_ignored() {
    let mut peer = Peer::new();
    let key = peer.post(1, &[("content-length", "5")]);
    peer.frame(Kind::Data, 0, 1, b"123456");
    peer.expect_reset(1, ErrorCode::Protocol);
    assert!(peer.machine.is_gone(key));
    peer.machine.finish(key);
    peer.frame(Kind::Data, 0, 1, b"more");
    peer.headers(1, flag::END_STREAM, &[("x-trailer", "1")]);
    assert_eq!(peer.read(), []);
    peer.expect_service(3);
}

#[test]
fn stream_numbers_are_odd_and_go_up() {
    let mut peer = Peer::new();
    peer.headers(2, flag::END_STREAM, &FIELDS);
    peer.expect_go_away(ErrorCode::Protocol);
    let mut peer = Peer::new();
    peer.get(5);
    peer.headers(3, flag::END_STREAM, &FIELDS);
    peer.expect_go_away(ErrorCode::Protocol);
    for kind in [Kind::Headers, Kind::Data] {
        let mut peer = Peer::new();
        peer.frame(kind, flag::END_HEADERS, 0, &block(&FIELDS));
        peer.expect_go_away(ErrorCode::Protocol);
    }
}

#[test]
fn streams_above_the_limit_are_refused_and_leave_compression_intact() {
    let mut peer = Peer::new();
    let keys: Vec<Key> = (0..10).map(|n| peer.get(n * 2 + 1)).collect();
    // It enters a field in the table, that the next request refers to.
    let mut crowded = block(&FIELDS);
    crowded.extend_from_slice(&[0x40, 5, b'x', b'-', b'o', b'w', b'n', 1, b'1']);
    let flags = flag::END_HEADERS | flag::END_STREAM;
    peer.frame(Kind::Headers, flags, 21, &crowded);
    peer.expect_reset(21, ErrorCode::RefusedStream);
    peer.machine.finish(keys[0]);
    let mut next = block(&FIELDS);
    next.push(0x80 | 62);
    peer.frame(Kind::Headers, flags, 23, &next);
    let request = peer.arrived().1.unwrap();
    let field = request.fields.last().unwrap();
    assert_eq!(request.get(field.name), b"x-own");
}

#[test]
fn no_stream_depends_on_itself() {
    let mut peer = Peer::new();
    let payload = [&[0, 0, 0, 1, 9][..], &block(&FIELDS)].concat();
    peer.frame(
        Kind::Headers,
        flag::END_HEADERS | flag::PRIORITY,
        1,
        &payload,
    );
    peer.expect_reset(1, ErrorCode::Protocol);
    peer.frame(Kind::Priority, 0, 3, &[0, 0, 0, 3, 9]);
    peer.expect_reset(3, ErrorCode::Protocol);
    peer.expect_service(5);
}

#[test]
fn clients_push_nothing() {
    let mut peer = Peer::new();
    peer.frame(Kind::PushPromise, flag::END_HEADERS, 1, &[0, 0, 0, 2]);
    peer.expect_go_away(ErrorCode::Protocol);
}
