//! What hostile clients try (RFC 9113 section 10.5).

use super::*;

/// Repeats until the machine ends the connection; how often it took.
fn until_sent_away(mut peer: Peer, most: u32, mut act: impl FnMut(&mut Peer, u32)) -> u32 {
    for n in 0..most {
        act(&mut peer, n);
        let got = peer.read();
        if let Some(away) = got.iter().find(|got| got.kind == Kind::GoAway) {
            let calm = (ErrorCode::EnhanceYourCalm as u32).to_be_bytes();
            assert_eq!(away.payload[4..], calm);
            assert!(peer.machine.has_failed());
            return n;
        }
    }
    panic!("{most} times were borne");
}

fn floods(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> u32 {
    let mut peer = Peer::new();
    peer.post(1, &[]);
    until_sent_away(peer, 10_000, |peer, _| {
        peer.frame(kind, flags, stream, payload);
    })
}

#[test]
fn floods_of_frames_that_come_to_nothing_are_ended() {
    floods(Kind::Ping, 0, 0, &[0; 8]);
    floods(Kind::Ping, flag::ACK, 0, &[0; 8]);
    floods(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 1]);
    floods(Kind::Settings, flag::ACK, 0, &[]);
    floods(Kind::Priority, 0, 7, &[0, 0, 0, 0, 1]);
    floods(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1]);
    floods(Kind::WindowUpdate, 0, 1, &[0, 0, 0, 1]);
    floods(Kind::Data, 0, 1, &[]);
    floods(Kind::Data, flag::PADDED, 1, &[0]);
    floods(Kind::GoAway, 0, 0, &[0; 8]);
}

#[test]
fn rapid_resets_are_ended() {
    until_sent_away(Peer::new(), 300, |peer, n| {
        let id = n * 2 + 1;
        let key = peer.get(id);
        peer.frame(Kind::ResetStream, 0, id, &[0, 0, 0, 8]);
        peer.machine.finish(key);
    });
}

#[test]
fn provoked_resets_are_ended() {
    until_sent_away(Peer::new(), 300, |peer, n| {
        let id = n * 2 + 1;
        let key = peer.get(id);
        peer.frame(Kind::WindowUpdate, 0, id, &[0; 4]);
        peer.machine.finish(key);
    });
    until_sent_away(Peer::new(), 300, |peer, n| {
        peer.headers(n * 2 + 1, flag::END_STREAM, &[("Bad", "")]);
    });
}

#[test]
fn streams_above_the_limit_are_not_refused_without_end() {
    let mut peer = Peer::new();
    for n in 0..10 {
        peer.get(n * 2 + 1);
    }
    until_sent_away(peer, 300, |peer, n| {
        peer.headers(n * 2 + 101, flag::END_STREAM, &FIELDS);
    });
}

#[test]
fn a_header_block_does_not_grow_without_end() {
    let mut peer = Peer::new();
    peer.frame(Kind::Headers, 0, 1, &block(&FIELDS));
    let times = until_sent_away(peer, 10, |peer, _| {
        peer.frame(Kind::Continuation, 0, 1, &[0; 16_384]);
    });
    assert!(times <= 2);
    let mut peer = Peer::new();
    peer.frame(Kind::Headers, 0, 1, &[]);
    until_sent_away(peer, 1000, |peer, _| {
        peer.frame(Kind::Continuation, 0, 1, &[]);
    });
}

#[test]
fn a_bomb_of_references_is_refused_at_little_cost() {
    let mut peer = Peer::new();
    let big = "b".repeat(4000);
    let mut bomb = block(&FIELDS);
    let mut entered = block(&[("x-bomb", &big)]);
    entered[0] = 0x40;
    bomb.extend_from_slice(&entered);
    bomb.resize(16_000, 0x80 | 62);
    peer.frame(
        Kind::Headers,
        flag::END_HEADERS | flag::END_STREAM,
        1,
        &bomb,
    );
    let (key, head) = peer.arrived();
    assert_eq!(head.unwrap_err(), Reason::HeadTooLarge);
    peer.machine.finish(key);
    peer.expect_service(3);
}

#[test]
fn answers_that_are_never_read_do_not_pile_up() {
    let mut peer = Peer::new();
    let mut pings = Vec::new();
    for _ in 0..100_000 {
        frame::write(&mut pings, Kind::Ping, 0, 0, &[0; 8]);
    }
    peer.send(&pings);
    assert!(peer.machine.output().len() < 70_000);
}

#[test]
fn honest_clients_are_not_sent_away() {
    let mut peer = Peer::new();
    for n in 0..20_000u32 {
        let key = peer.get(n * 2 + 1);
        peer.respond(key, 200, Some(100), false);
        peer.machine.send(key, &[0; 100], Some(100));
        peer.machine.finish(key);
        // One window update for each response and stream, a ping for each tenth.
        peer.frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 100]);
        peer.frame(Kind::WindowUpdate, 0, n * 2 + 1, &[0, 0, 0, 100]);
        if n % 10 == 0 {
            peer.frame(Kind::Ping, 0, 0, &[0; 8]);
        }
        peer.read();
        assert!(!peer.machine.has_failed(), "after {n}");
    }
}
