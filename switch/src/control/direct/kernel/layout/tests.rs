//! What is written is read.

use super::*;

#[test]
fn what_is_written_is_read_back() {
    let key = Key {
        address: "192.0.2.1".parse().expect("an address"),
        port: 443,
        protocol: Protocol::Udp,
    };
    assert_eq!(decode_key(&encode_key(key)), Some(key));
    let service = Service {
        tag: 1,
        index: 2,
        ring: 3,
        generation: 4,
        changed: 5,
        previous: 6,
    };
    assert_eq!(Service::decode(&service.encode()), service);
    let settings = Settings {
        learns: 7,
        own: [1, 0, 2, 3, 4, 5, 6, 7].map(|byte| [byte, 2, 3, 4, 5, 0x86]),
    };
    assert_eq!(Settings::decode(&settings.encode()), Some(settings));
    let client = "[2001:db8::1]:4000".parse().expect("an address");
    assert_eq!(decode_flow_key(&encode_flow_key(client, 9)), (client, 9));
    let entry = FlowEntry {
        seen: 12,
        backend: 300,
        closed: true,
    };
    assert_eq!(FlowEntry::decode(&entry.encode()), entry);
}

#[test]
fn a_backend_is_read_back_whatever_the_way_to_it() {
    let tunnel = |address: &str, source: &str| Backend {
        address: address.parse().expect("an address"),
        hop: Hop::Tunnel {
            interface: 3,
            source_mac: [1; 6],
            mac: [2; 6],
            source: source.parse().expect("an address"),
            mtu: 1500,
        },
        state: State::Draining,
        identity: u64::MAX - 1,
    };
    let neighbour = Backend {
        hop: Hop::Neighbour {
            interface: 3,
            source_mac: [1; 6],
            mac: [2; 6],
        },
        ..tunnel("10.0.0.1", "10.0.0.2")
    };
    let all = [
        neighbour,
        tunnel("10.0.0.1", "10.0.0.2"),
        tunnel("fd00::1", "fd00::2"),
    ];
    for backend in all {
        let bytes = encode_backend(&backend);
        assert_eq!(decode_backend(&bytes, State::Draining), backend);
    }
}

#[test]
fn a_state_and_its_copy_share_a_word() {
    for state in [None, Some(State::Active), Some(State::Dead)] {
        for copy in [0, 1] {
            let word = StateWord { state, copy };
            assert_eq!(StateWord::decode(word.encode()), word);
        }
    }
    assert_eq!(StateWord::decode(77).state, None);
}

#[test]
fn settings_of_another_version_are_not_read() {
    let mut bytes = Settings::default().encode();
    bytes[0] ^= 0x40;
    assert_eq!(Settings::decode(&bytes), None);
}
