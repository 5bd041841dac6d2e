use std::net::Ipv4Addr;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use socket2::SockRef;

use super::*;

fn groups() -> impl Strategy<Value = Vec<GroupState>> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    let role = prop_oneof![Just(Role::Active), Just(Role::Standby), Just(Role::Out)];
    let state = (1u8.., family, role, any::<u8>()).prop_map(|(number, family, role, priority)| {
        let group = GroupId { number, family };
        GroupState {
            group,
            role,
            priority,
        }
    });
    vec(state, 0..=MAX_GROUPS)
}

fn heartbeats() -> impl Strategy<Value = Heartbeat> {
    (any::<u64>(), 1u64.., any::<bool>(), groups()).prop_map(|(node, sequence, leaving, groups)| {
        Heartbeat {
            node,
            sequence,
            leaving,
            groups,
        }
    })
}

fn encoded(heartbeat: &Heartbeat, key: &HeartbeatKey) -> Vec<u8> {
    let mut bytes = vec![1, 2, 3];
    heartbeat.encode(key, &mut bytes);
    bytes
}

fn plain(sequence: u64) -> Heartbeat {
    Heartbeat {
        node: 7,
        sequence,
        leaving: false,
        groups: vec![],
    }
}

proptest! {
    #[test]
    fn a_heartbeat_comes_out_as_it_went_in(heartbeat in heartbeats()) {
        let key = HeartbeatKey::random().unwrap();
        let bytes = encoded(&heartbeat, &key);
        prop_assert!(bytes.len() <= MAX_HEARTBEAT);
        prop_assert_eq!(Heartbeat::claims(&bytes), Some(heartbeat.node));
        let last = heartbeat.sequence - 1;
        prop_assert_eq!(Heartbeat::decode(&bytes, &key, last), Ok(heartbeat));
    }

    #[test]
    fn a_heartbeat_that_was_changed_anywhere_does_not_count(
        heartbeat in heartbeats(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let key = HeartbeatKey::random().unwrap();
        let mut bytes = encoded(&heartbeat, &key);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        let got = Heartbeat::decode(&bytes, &key, 0);
        let expected = match at {
            4 => Discard::Version,
            0..4 | 6 => Discard::Malformed,
            _ => Discard::Forged,
        };
        prop_assert_eq!(got, Err(expected));
    }

    #[test]
    fn no_datagram_panics(bytes in vec(any::<u8>(), 0..400), start in 0..8usize) {
        let key = HeartbeatKey::random().unwrap();
        let mut near = encoded(&plain(1), &key)[..start].to_vec();
        near.extend(&bytes);
        prop_assert!(Heartbeat::decode(&near, &key, 0).is_err());
        Heartbeat::claims(&near);
    }
}

#[test]
fn the_same_or_an_earlier_heartbeat_does_not_count_again() {
    let key = HeartbeatKey::random().unwrap();
    let bytes = encoded(&plain(5), &key);
    assert!(Heartbeat::decode(&bytes, &key, 4).is_ok());
    for last in [5, 6, u64::MAX] {
        let got = Heartbeat::decode(&bytes, &key, last);
        assert_eq!(got, Err(Discard::Replayed), "{last}");
    }
}

#[test]
fn a_heartbeat_with_another_key_is_forged() {
    let (key, other) = (
        HeartbeatKey::random().unwrap(),
        HeartbeatKey::random().unwrap(),
    );
    let got = Heartbeat::decode(&encoded(&plain(1), &key), &other, 0);
    assert_eq!(got, Err(Discard::Forged));
    assert_eq!(Discard::Forged.word(), "forged");
}

#[test]
fn what_a_sender_with_the_key_gets_wrong_is_malformed() {
    let key = HeartbeatKey::random().unwrap();
    for group in [[0, 4, 1, 0], [1, 5, 1, 0], [1, 4, 0, 0], [1, 4, 4, 0]] {
        let mut bytes = encoded(&plain(1), &key);
        bytes.truncate(HEAD);
        bytes[6] = 1;
        bytes.extend(group);
        let mac = key.mac(&bytes);
        bytes.extend(mac);
        let got = Heartbeat::decode(&bytes, &key, 0);
        assert_eq!(got, Err(Discard::Malformed), "{group:?}");
    }
}

#[test]
fn more_groups_than_there_may_be_are_not_sent() {
    let key = HeartbeatKey::random().unwrap();
    let state = GroupState {
        group: GroupId {
            number: 1,
            family: Family::Ipv4,
        },
        role: Role::Active,
        priority: 1,
    };
    let mut heartbeat = plain(1);
    heartbeat.groups = vec![state; 300];
    let got = Heartbeat::decode(&encoded(&heartbeat, &key), &key, 0).unwrap();
    assert_eq!(got.groups.len(), MAX_GROUPS);
}

#[test]
fn a_key_survives_base64_and_is_not_shown() {
    let key = HeartbeatKey::random().unwrap();
    let again = HeartbeatKey::from_base64(&key.to_base64()).unwrap();
    assert_eq!(again.mac(b"x"), key.mac(b"x"));
    assert_eq!(format!("{key:?}"), "HeartbeatKey(..)");
    let wrong = [
        String::new(),
        "x".repeat(44),
        "A".repeat(44),
        format!("{}==", "A".repeat(42)),
        format!("{}=", "A".repeat(47)),
    ];
    for text in wrong {
        assert!(HeartbeatKey::from_base64(&text).is_none(), "{text}");
    }
}

#[test]
fn datagrams_go_from_socket_to_socket_in_the_class_of_routing() {
    let here = HeartbeatSocket::open(Ipv4Addr::LOCALHOST.into(), 0).unwrap();
    let there = HeartbeatSocket::open(Ipv4Addr::new(127, 0, 0, 2).into(), 0).unwrap();
    let mut buffer = [0; MAX_HEARTBEAT + 1];
    assert!(there.receive(&mut buffer).is_none());
    here.send(b"one", there.address().unwrap()).unwrap();
    here.send(b"", there.address().unwrap()).unwrap();
    let sender = here.address().unwrap();
    assert_eq!(there.receive(&mut buffer), Some((3, sender)));
    assert_eq!(there.receive(&mut buffer), Some((0, sender)));
    assert!(there.receive(&mut buffer).is_none());
    assert_eq!(SockRef::from(&here).tos_v4().unwrap(), 0xc0);
    assert_eq!(SockRef::from(&here).priority().unwrap(), 6);
    HeartbeatSocket::open(sender.ip(), sender.port()).expect("the next process can open it, too");
}

#[test]
fn a_heartbeat_takes_microseconds() {
    let key = HeartbeatKey::random().unwrap();
    let mut bytes = vec![];
    let start = Instant::now();
    for sequence in 1..=10_000 {
        plain(sequence).encode(&key, &mut bytes);
        Heartbeat::decode(&bytes, &key, sequence - 1).unwrap();
    }
    // Two are worked on per turn; unoptimised, on a busy machine.
    assert!(start.elapsed().as_micros() < 10_000 * 100);
}
