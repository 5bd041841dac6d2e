use super::super::message::{GroupState, MemberState, State, Yield};
use super::super::session::HANDSHAKE_LIMIT;
use super::messages::group;
use super::*;
use crate::control::contact::group::Role;
use crate::shared::quotas::{Used, Who};

/// One of each kind that is heard.
fn all_kinds() -> Vec<Message> {
    let state = MemberState {
        addresses: vec![],
        source: [192, 0, 2, 1].into(),
        state: GroupState {
            group: group(),
            role: Role::Active,
            priority: 150,
        },
    };
    vec![
        Message::State(State {
            digest: "abc".to_owned(),
            sequence: 7,
            pools_up: 3,
            groups: vec![state; 64],
        }),
        Message::Yield(Yield {
            group: group(),
            relay_to: Some([2, 0, 0, 0, 0, 1]),
        }),
        Message::Request { group: group() },
        Message::Released { group: group() },
        Message::RelayOver { group: group() },
        Message::TicketKeys {
            keys: vec!["k".repeat(256); 8],
        },
        long(),
    ]
}

/// A message of about 50,000 bytes.
fn long() -> Message {
    let quota = Used {
        of_route: false,
        name: "x".repeat(170),
        who: Who::Network("2001:db8::1".parse().unwrap()),
        due: 1,
    };
    Message::Quotas {
        clients: vec![quota; 200],
    }
}

fn request() -> Message {
    Message::Request { group: group() }
}

#[test]
fn all_kinds_of_messages_go_both_ways_with_and_without_a_secret() {
    for secret in [secret(), None] {
        let (mut low, mut high) = open_pair(secret);
        assert_eq!(low.session().peer_hello().unwrap().node, 2);
        assert_eq!(high.session().peer_hello().unwrap().node, 1);
        assert_eq!(low.session().deadline(), None);
        low.ready(Instant::now() + 2 * HANDSHAKE_LIMIT);
        let kinds = all_kinds();
        for message in &kinds {
            low.session().send(message).unwrap();
            high.session().send(message).unwrap();
        }
        low.session().send(&Message::Unknown).unwrap();
        drive(&mut [&mut low, &mut high], |ends| {
            ends.iter().all(|end| end.heard.len() >= kinds.len())
        });
        turn(&mut [&mut low, &mut high]);
        assert_eq!(low.heard, kinds);
        assert_eq!(high.heard, kinds);
        assert!(!low.session().wants_write());
    }
}

#[test]
fn what_is_sent_before_the_session_is_open_arrives_after_the_hello() {
    let (mut low, mut high) = pair(secret(), secret());
    low.session().send(&request()).unwrap();
    high.session().send(&request()).unwrap();
    drive(&mut [&mut low, &mut high], |ends| {
        ends.iter().all(|end| end.heard == [request()])
    });
}

#[test]
fn nothing_of_what_is_said_can_be_read_on_the_way() {
    let (mut low, mut stream) = visiting(secret());
    turn(&mut [&mut low]);
    let hail = all_of(&mut stream);
    assert_eq!(hail.len(), 50);
    assert_eq!(hail[..2], [0, 48]);
}

#[test]
fn the_end_of_a_process_is_told_from_a_farewell() {
    for secret in [secret(), None] {
        let (mut low, mut high) = open_pair(secret.clone());
        high.session().send(&request()).unwrap();
        drop(high.session.take());
        drive(&mut [&mut low], |ends| ends[0].ended.is_some());
        assert_eq!(low.word(), Some("closed"));
        assert_eq!(low.heard, [request()], "what came before the end is heard");

        let (mut low, mut high) = open_pair(secret);
        high.session().send(&request()).unwrap();
        high.session()
            .send(&Message::Bye { successor: 250 })
            .unwrap();
        assert!(!high.session().wants_write());
        drop(high.session.take());
        drive(&mut [&mut low], |ends| ends[0].ended.is_some());
        let Some(Ended::Bye { successor }) = low.ended else {
            panic!("{:?}", low.ended);
        };
        assert_eq!(successor, Duration::from_millis(250));
        assert_eq!(low.heard, [request()]);
    }
}

#[test]
fn no_peer_can_announce_a_successor_for_more_than_a_minute() {
    let (mut low, mut high) = open_pair(None);
    let bye = Message::Bye {
        successor: u32::MAX,
    };
    high.session().send(&bye).unwrap();
    drive(&mut [&mut low], |ends| ends[0].ended.is_some());
    let shown = low.ended.unwrap().to_string();
    assert_eq!(shown, "the peer has left, a successor may come within 60s");
}

#[test]
fn a_farewell_is_heard_though_its_sender_has_not_read_everything() {
    for secret in [secret(), None] {
        let (mut low, mut high) = open_pair(secret);
        // High has not read this: its close is a reset.
        low.session().send(&long()).unwrap();
        high.session().send(&Message::Bye { successor: 0 }).unwrap();
        drop(high.session.take());
        std::thread::sleep(Duration::from_millis(20));
        // Nor can low write any more.
        for _ in 0..3 {
            low.session().send(&long()).unwrap();
        }
        drive(&mut [&mut low], |ends| ends[0].ended.is_some());
        assert_eq!(low.word(), Some("bye"));
    }
}

#[test]
fn nothing_is_sent_after_a_farewell() {
    let (mut low, mut high) = open_pair(secret());
    high.session().send(&Message::Bye { successor: 0 }).unwrap();
    high.session().send(&request()).unwrap();
    drive(&mut [&mut low, &mut high], |ends| ends[0].ended.is_some());
    assert_eq!((low.word(), low.heard.len()), (Some("bye"), 0));
}

#[test]
fn one_call_returns_a_bounded_number_of_messages_and_asks_to_be_called_again() {
    let (mut low, mut high) = open_pair(secret());
    for _ in 0..1000 {
        high.session().send(&request()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(20));
    let first = low.session().ready(Instant::now()).unwrap();
    assert_eq!(first.len(), 64);
    assert!(low.session().deadline().unwrap() <= Instant::now());
    low.heard.extend(first);
    drive(&mut [&mut low, &mut high], |ends| {
        ends[0].heard.len() == 1000
    });
    assert_eq!(low.session().deadline(), None);
}

#[test]
fn a_flood_of_a_peer_is_read_piece_by_piece_and_keeps_no_memory() {
    let (mut low, mut high) = open_pair(None);
    let (mut sent, mut got, start) = (0, 0, Instant::now());
    while got < 16 << 20 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "it takes forever"
        );
        while sent < 16 << 20 && high.session().send(&long()).is_ok() && sent - got < 900_000 {
            sent += 50_000;
        }
        let heard = low.session().ready(Instant::now()).unwrap();
        assert!(heard.len() <= 3, "{} long messages at once", heard.len());
        got += heard.len() * 50_000;
        high.ready(Instant::now());
    }
}

#[test]
fn a_peer_that_stops_reading_is_stuck_after_a_mebibyte_that_waits() {
    let (mut low, mut high) = open_pair(None);
    let mut sent = 0;
    let ended = loop {
        match low.session().send(&long()) {
            Ok(()) => sent += 50_000,
            Err(ended) => break ended,
        }
        // What the two systems hold for it comes on top: a few MiB.
        assert!(sent < 64 << 20, "it takes everything");
    };
    assert_eq!(ended.word(), "stuck");
    assert!(sent > 1 << 20);
    // It had only been slow: what is there still makes sense.
    drive(&mut [&mut low, &mut high], |ends| ends[1].heard.len() >= 20);
}

#[test]
fn a_session_without_a_secret_stays_on_the_host() {
    let far = "192.0.2.1:5405".parse().unwrap();
    let error = Session::connect(Some(LOW), far, None, hello(1));
    assert!(error.is_err());
    let error = Session::connect(None, far, None, hello(1));
    assert!(error.is_err());
}

#[test]
fn a_hello_that_is_not_within_its_bounds_opens_nothing() {
    let (_door, address) = door();
    let version = "x".repeat(257);
    let hello = Hello {
        version,
        ..hello(1)
    };
    let error = Session::connect(Some(LOW), address, None, hello).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn nobody_at_the_address_is_unreachable() {
    let (door, address) = door();
    drop(door);
    let session = Session::connect(Some(LOW), address, secret().as_ref(), hello(1));
    // Either at once or in a moment.
    if let Ok(session) = session {
        let mut low = End::new(session);
        drive(&mut [&mut low], |ends| ends[0].ended.is_some());
        assert_eq!(low.word(), Some("unreachable"));
    }
}

#[test]
fn a_peer_that_does_not_answer_is_unreachable_after_three_seconds() {
    let (mut low, _silent) = visiting(secret());
    turn(&mut [&mut low]);
    let deadline = low.session().deadline().unwrap();
    assert!(deadline <= Instant::now() + HANDSHAKE_LIMIT);
    low.ready(deadline - Duration::from_millis(1));
    assert_eq!(low.word(), None);
    low.ready(deadline);
    assert_eq!(low.word(), Some("unreachable"));
}
