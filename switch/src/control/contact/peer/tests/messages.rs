use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::message::*;
use super::hello;
use crate::control::contact::group::{Family, GroupId, Role};
use crate::control::direct::face::{Key, Protocol};
use crate::control::direct::mirror::{FlowPart, MAX_FLOWS, MAX_OWNERS, ToldFlow};
use crate::control::overlay::OverlayEntry;
use crate::control::standing::KnownEjection;
use crate::shared::quotas::{Used, Who};

pub fn group() -> GroupId {
    GroupId {
        number: 51,
        family: Family::Ipv6,
    }
}

fn groups() -> impl Strategy<Value = GroupId> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    (1u8.., family).prop_map(|(number, family)| GroupId { number, family })
}

fn state() -> impl Strategy<Value = Message> {
    let role = prop_oneof![Just(Role::Active), Just(Role::Standby), Just(Role::Out)];
    let state = (groups(), role, any::<u8>()).prop_map(|(group, role, priority)| GroupState {
        group,
        role,
        priority,
    });
    let addresses = vec(any::<std::net::IpAddr>(), 0..=MAX_ADDRESSES);
    let group = (state, any::<std::net::IpAddr>(), addresses);
    let group = group.prop_map(|(state, source, addresses)| MemberState {
        state,
        source,
        addresses,
    });
    let groups = vec(group, 0..=MAX_GROUPS);
    (string(), any::<u32>(), groups).prop_map(|(digest, pools_up, groups)| {
        Message::State(State {
            digest,
            sequence: 7,
            pools_up,
            groups,
        })
    })
}

fn quotas() -> impl Strategy<Value = Vec<Used>> {
    let who = prop_oneof![
        any::<std::net::IpAddr>().prop_map(Who::Network),
        any::<[u64; 2]>().prop_map(Who::Name),
        Just(Who::All),
    ];
    let quota = (any::<bool>(), string(), who, any::<u32>());
    let quota = quota.prop_map(|(of_route, name, who, due)| Used {
        of_route,
        name,
        who,
        due,
    });
    vec(quota, 0..40)
}

fn flows() -> impl Strategy<Value = FlowPart> {
    let client = (any::<std::net::IpAddr>(), any::<u16>());
    let told = (client, any::<u64>(), any::<u32>());
    let told = told.prop_map(|(client, owner, idle)| ToldFlow {
        client: client.into(),
        owner,
        idle,
    });
    let key = (any::<std::net::IpAddr>(), any::<u16>(), any::<bool>());
    let key = key.prop_map(|(address, port, tcp)| Key {
        address,
        port,
        protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
    });
    (key, any::<u64>(), vec(told, 0..300))
        .prop_map(|(key, round, flows)| FlowPart::all_of(key, round, &flows).remove(0))
}

/// The largest part that may be.
fn largest() -> FlowPart {
    let key = Key {
        address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
        port: 65535,
        protocol: Protocol::Tcp,
    };
    let told = |n: usize| ToldFlow {
        client: std::net::SocketAddr::new(key.address, 65535 - n as u16),
        owner: u64::MAX - (n % MAX_OWNERS) as u64,
        idle: u32::MAX,
    };
    let all: Vec<ToldFlow> = (0..MAX_FLOWS).map(told).collect();
    let mut parts = FlowPart::all_of(key, u64::MAX, &all);
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

/// At most as long as may be.
fn string() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..64).prop_map(String::from_iter)
}

fn messages() -> impl Strategy<Value = Message> {
    let relay = any::<Option<[u8; 6]>>();
    prop_oneof![
        (string(), any::<u64>()).prop_map(|(version, node)| Message::Hello(Hello {
            version,
            ..hello(node)
        })),
        state(),
        (groups(), relay).prop_map(|(group, relay_to)| Message::Yield(Yield { group, relay_to })),
        groups().prop_map(|group| Message::Request { group }),
        groups().prop_map(|group| Message::Released { group }),
        groups().prop_map(|group| Message::RelayOver { group }),
        any::<u32>().prop_map(|successor| Message::Bye { successor }),
        vec(string(), 0..=MAX_KEYS).prop_map(|keys| Message::TicketKeys { keys }),
        quotas().prop_map(|clients| Message::Quotas { clients }),
        flows().prop_map(Message::Flows),
        Just(Message::Unknown),
    ]
}

proptest! {
    #[test]
    fn a_message_comes_out_as_it_went_in(message in messages()) {
        let bytes = message.encode().unwrap();
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn quotas_in_parts_are_all_of_them(clients in vec(quotas(), 0..40)) {
        let clients = clients.concat();
        let mut got = vec![];
        for part in Message::quotas(clients.clone()) {
            part.encode().unwrap();
            let Message::Quotas { clients } = part else {
                panic!("{part:?}");
            };
            prop_assert!(!clients.is_empty());
            got.extend(clients);
        }
        prop_assert_eq!(got, clients);
    }
}

fn quota(name: &str) -> Used {
    let ip = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
    Used {
        of_route: false,
        name: name.to_owned(),
        who: Who::Network(ip),
        due: u32::MAX,
    }
}

#[test]
fn quotas_are_parted_by_number_and_by_bytes_and_those_of_long_names_left_out() {
    let sizes = |quotas: Vec<Used>| -> Vec<usize> {
        let parts = Message::quotas(quotas);
        parts.iter().for_each(|part| drop(part.encode().unwrap()));
        let length = |part: &Message| match part {
            Message::Quotas { clients } => clients.len(),
            _ => 0,
        };
        parts.iter().map(length).collect()
    };
    let short = Used {
        who: Who::All,
        due: 0,
        ..quota("")
    };
    assert_eq!(sizes(vec![short; 2500]), [1000, 1000, 500]);
    let long = sizes(vec![quota(&"x".repeat(MAX_STRING)); 1000]);
    assert!(long.len() > 5 && long.iter().sum::<usize>() == 1000);
    assert_eq!(sizes(vec![quota(&"x".repeat(MAX_STRING + 1))]), [0; 0]);
    assert_eq!(sizes(vec![]), [0; 0]);
}

#[test]
fn ejections_and_orders_are_parted_and_those_of_long_texts_left_out() {
    let known = |backend: usize| KnownEjection {
        pool: "p".repeat(backend),
        backend: "10.0.0.1:80".to_owned(),
        address: "10.0.0.1:80".to_owned(),
        left: Duration::from_secs(30),
        times: 2,
        cause: "reset".to_owned(),
        behaved: Duration::ZERO,
    };
    let parts = Message::ejections((0..1200).map(|_| known(3)));
    let decoded = parts.iter().map(|part| {
        let bytes = part.encode().unwrap();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(part));
        match part {
            Message::Ejections { backends } => backends.len(),
            _ => 0,
        }
    });
    let sizes: Vec<usize> = decoded.collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1200);
    assert!(sizes.iter().all(|size| (1..=MAX_BACKENDS).contains(size)));
    assert!(Message::ejections([known(MAX_STRING + 1)]).is_empty());
    let order = |why: usize| OverlayEntry {
        why: "w".repeat(why),
        ..OverlayEntry::default()
    };
    assert_eq!(Message::overlay([order(MAX_REASON)]).len(), 1);
    assert!(Message::overlay([order(MAX_REASON + 1)]).is_empty());
}

#[test]
fn a_type_of_a_later_version_is_unknown_and_its_fields_are_ignored() {
    for text in [
        r#"{"type":"parliament"}"#,
        r#"{"type":"parliament","seats":[1,2,{"x":null}]}"#,
        r#"{"seats":[1],"type":"parliament"}"#,
    ] {
        let got = Message::decode(text.as_bytes());
        assert_eq!(got, Ok(Message::Unknown), "{text}");
    }
    let text = r#"{"type":"bye","successor":5,"reason":{"a":[1]}}"#;
    let got = Message::decode(text.as_bytes());
    assert_eq!(got, Ok(Message::Bye { successor: 5 }));
}

#[test]
fn what_is_beyond_a_bound_is_neither_sent_nor_taken() {
    let state = MemberState {
        addresses: vec![],
        source: [192, 0, 2, 1].into(),
        state: GroupState {
            group: group(),
            role: Role::Out,
            priority: 0,
        },
    };
    let long = || "x".repeat(MAX_STRING + 1);
    let beyond = [
        Message::Hello(Hello {
            version: long(),
            ..hello(1)
        }),
        Message::Hello(Hello {
            heartbeat_key: long(),
            ..hello(1)
        }),
        Message::State(State {
            digest: String::new(),
            sequence: 7,
            pools_up: 0,
            groups: vec![state.clone(); MAX_GROUPS + 1],
        }),
        Message::State(State {
            digest: String::new(),
            sequence: 7,
            pools_up: 0,
            groups: vec![MemberState {
                addresses: vec![[192, 0, 2, 2].into(); MAX_ADDRESSES + 1],
                ..state
            }],
        }),
        Message::State(State {
            digest: long(),
            sequence: 7,
            pools_up: 0,
            groups: vec![],
        }),
        Message::TicketKeys {
            keys: vec![String::new(); MAX_KEYS + 1],
        },
        Message::TicketKeys { keys: vec![long()] },
        Message::Quotas {
            clients: vec![quota(""); MAX_QUOTAS + 1],
        },
        Message::Quotas {
            clients: vec![quota(&long())],
        },
        Message::Flows(FlowPart {
            flows: vec![largest().flows[0]; MAX_FLOWS + 1],
            ..largest()
        }),
        Message::Flows(FlowPart {
            owners: vec![1; MAX_OWNERS + 1],
            ..largest()
        }),
        Message::Flows(FlowPart {
            owners: vec![],
            ..largest()
        }),
        Message::Request {
            group: GroupId {
                number: 0,
                ..group()
            },
        },
    ];
    for message in beyond {
        assert!(message.encode().is_err(), "{message:?}");
        let bytes = serde_json::to_vec(&message).unwrap();
        assert!(Message::decode(&bytes).is_err(), "{message:?}");
    }
    assert!(Message::Flows(largest()).encode().is_ok());
    let clients = vec![quota("x"); MAX_QUOTAS];
    let got = Message::Quotas { clients }.encode();
    assert_eq!(got, Err("a message is too long"));
    let spaces = [&vec![b' '; MAX_MESSAGE][..], b"{}"].concat();
    assert_eq!(Message::decode(&spaces), Err("a message is too long"));
}

#[test]
fn clients_of_connections_are_told_as_what_they_are() {
    let text = r#"{"type":"flows","service":{"address":"::ffff:192.0.2.10","port":80,
        "protocol":"tcp"},"round":1,"part":0,"last":true,"owners":[7],
        "flows":[["[::ffff:198.51.100.1]:1024",0,3]],"later":1}"#;
    let Ok(Message::Flows(part)) = Message::decode(text.as_bytes()) else {
        panic!("it is understood");
    };
    let key = part.key().unwrap();
    assert_eq!(key.to_string(), "tcp 192.0.2.10:80");
    let told: Vec<ToldFlow> = part.told().collect();
    assert_eq!(told[0].client, "198.51.100.1:1024".parse().unwrap());
    let text = text.replace("tcp", "sctp");
    let Ok(Message::Flows(part)) = Message::decode(text.as_bytes()) else {
        panic!("it is understood");
    };
    assert_eq!(part.key(), None, "a protocol of a later version");
}

#[test]
fn a_group_without_a_common_address_is_another_one() {
    let of = |last: &[u8]| MemberState {
        state: GroupState {
            group: group(),
            role: Role::Active,
            priority: 1,
        },
        source: [192, 0, 2, 1].into(),
        addresses: last.iter().map(|last| [192, 0, 2, *last].into()).collect(),
    };
    assert!(of(&[10, 11]).fits(&of(&[11, 12])), "one is being added");
    assert!(!of(&[10, 11]).fits(&of(&[12])));
    assert!(of(&[]).fits(&of(&[12])), "an older version does not tell");
    assert!(of(&[12]).fits(&of(&[])));
}
