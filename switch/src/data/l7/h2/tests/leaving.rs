//! How a connection ends in order (RFC 9113 section 6.8).

use super::*;

fn last_stream(got: &Got) -> u32 {
    assert_eq!(got.kind, Kind::GoAway);
    assert_eq!(got.payload[4..], [0; 4]);
    frame::u31(*got.payload.first_chunk().unwrap())
}

#[test]
fn leaving_is_told_twice_and_loses_no_request() {
    let mut peer = Peer::new();
    let before = peer.get(1);
    peer.machine.ask_to_leave();
    let got = peer.read();
    assert_eq!(last_stream(&got[0]), 0x7fff_ffff);
    assert_eq!(got[1].kind, Kind::Ping);
    let crossing = peer.get(3);
    peer.frame(Kind::Ping, flag::ACK, 0, &got[1].payload);
    assert_eq!(last_stream(&peer.read()[0]), 3);
    for key in [before, crossing] {
        assert!(!peer.machine.is_over());
        peer.respond(key, 200, None, true);
        peer.machine.finish(key);
        peer.read();
    }
    assert!(peer.machine.is_over());
}

#[test]
fn requests_behind_the_last_one_are_ignored() {
    let mut peer = Peer::new();
    let key = peer.get(1);
    peer.machine.ask_to_leave();
    peer.machine.tell_leaving();
    peer.read();
    peer.headers(3, 0, &FIELDS);
    peer.frame(Kind::Data, flag::END_STREAM, 3, b"x");
    assert!(peer.arrivals.is_empty());
    assert_eq!(peer.read(), []);
    peer.machine.finish(key);
    peer.read();
    assert!(peer.machine.is_over());
}

#[test]
fn an_error_loses_every_exchange() {
    let mut peer = Peer::new();
    let keys = [peer.get(1), peer.get(3)];
    peer.frame(Kind::Ping, 0, 0, &[]);
    peer.expect_go_away(ErrorCode::FrameSize);
    for key in keys {
        assert!(peer.machine.is_gone(key));
        peer.machine.finish(key);
    }
    assert_eq!(peer.machine.count(), 0);
    peer.send(b"whatever comes now");
    assert!(peer.unread.is_empty());
    assert_eq!(peer.read(), []);
}
