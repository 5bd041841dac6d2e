//! Who gets which flow, and keeps it.

use pointsman::control::direct::kernel::{Capacity, Found, Protocol, State};

use crate::packet::{ACK, FIN, Payload, RST, SYN};
use crate::scene::{HOOKS, IDS, SERVICES, Scene, Verdict, everywhere};

#[test]
fn a_flow_goes_where_rust_says_that_it_does() {
    everywhere("a_flow_goes_where_rust_says_that_it_does", |mut scene| {
        let mut seen = [0; 4];
        for number in 0..100 {
            let client = scene.client(number);
            let key = scene.key(Protocol::Tcp);
            let (said, why) = scene.datapath.lookup(key, client).unwrap().unwrap();
            assert_eq!(why, Found::Ring);
            let id = scene.chosen(&scene.tcp(client, SYN));
            assert_eq!(id, said);
            assert_eq!(scene.chosen(&scene.tcp(client, ACK)), id);
            let known = scene.datapath.lookup(key, client).unwrap();
            assert_eq!(known, Some((id, Found::Table)));
            seen[usize::from(id)] += 1;
        }
        assert!(seen[1..].iter().all(|count| *count > 10), "{seen:?}");
    });
}

#[test]
fn a_known_flow_stays_when_the_ring_changes() {
    everywhere("a_known_flow_stays_when_the_ring_changes", |mut scene| {
        let client = scene.client_of(2);
        assert_eq!(scene.chosen(&scene.tcp(client, SYN)), 2);
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
        let silent = scene.clients_of(2)[1];
        scene.datapath.set_state(2, State::Draining).unwrap();
        scene.set_members(&[1, 3]);
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
        // One that the table never saw has begun before: the ring before knows where.
        assert_eq!(scene.chosen(&scene.tcp(silent, ACK)), 2);
    });
}

#[test]
fn a_handshake_that_meets_a_change_ends_where_it_has_begun() {
    let test = "a_handshake_that_meets_a_change_ends_where_it_has_begun";
    everywhere(test, |mut scene| {
        let clients = scene.clients_of(2);
        let (before, after) = (clients[0], clients[1]);
        assert_eq!(scene.chosen(&scene.tcp(before, SYN)), 2);
        scene.set_members(&[1, 3]);
        assert_eq!(scene.chosen(&scene.tcp(before, ACK)), 2);
        let heir = scene.chosen(&scene.tcp(after, SYN));
        assert_ne!(heir, 2);
        assert_eq!(scene.chosen(&scene.tcp(after, ACK)), heir);
    });
}

#[test]
fn a_handshake_that_a_draining_backend_does_not_get_goes_on_elsewhere() {
    let test = "a_handshake_that_a_draining_backend_does_not_get_goes_on_elsewhere";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        scene.datapath.set_state(2, State::Draining).unwrap();
        let heir = scene.chosen(&scene.tcp(client, SYN));
        assert_ne!(heir, 2);
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), heir);
    });
}

#[test]
fn a_request_alone_takes_no_place_in_the_table() {
    let test = "a_request_alone_takes_no_place_in_the_table";
    everywhere(test, |mut scene| {
        for number in 0..50 {
            let client = scene.client(number);
            scene.chosen(&scene.tcp(client, SYN));
            scene.chosen(&scene.tcp(client, SYN | ACK));
            scene.chosen(&scene.tcp(client, RST));
        }
        for id in IDS {
            assert_eq!(scene.datapath.flows(id, 1000).unwrap(), []);
        }
    });
}

#[test]
fn a_draining_backend_keeps_its_flows_and_gets_no_new_ones() {
    let test = "a_draining_backend_keeps_its_flows_and_gets_no_new_ones";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        scene.chosen(&scene.tcp(client, ACK));
        scene.datapath.set_state(2, State::Draining).unwrap();
        // The ring still names it.
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
        let other = scene.client_of(1);
        assert_eq!(scene.chosen(&scene.tcp(other, SYN)), 1);
        for number in 0..50 {
            let client = scene.client(number);
            assert_ne!(scene.chosen(&scene.tcp(client, SYN)), 2);
            assert_ne!(scene.chosen(&scene.udp(client)), 2);
        }
    });
}

#[test]
fn segments_of_a_draining_backend_that_nobody_knows_still_go_there() {
    let test = "segments_of_a_draining_backend_that_nobody_knows_still_go_there";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        scene.datapath.set_state(2, State::Draining).unwrap();
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
    });
}

#[test]
fn a_dead_backend_gets_nothing() {
    everywhere("a_dead_backend_gets_nothing", |mut scene| {
        let client = scene.client_of(2);
        scene.chosen(&scene.tcp(client, ACK));
        scene.datapath.set_state(2, State::Dead).unwrap();
        let heir = scene.chosen(&scene.tcp(client, ACK));
        assert_ne!(heir, 2);
        assert_ne!(scene.chosen(&scene.tcp(client, SYN)), 2);
        assert_ne!(scene.chosen(&scene.udp(client)), 2);
        // What went elsewhere stays there.
        scene.datapath.set_state(2, State::Active).unwrap();
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), heir);
        scene.datapath.remove_backend(heir).unwrap();
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
    });
}

#[test]
fn a_connection_that_begins_anew_is_chosen_for_anew() {
    let test = "a_connection_that_begins_anew_is_chosen_for_anew";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        let sent =
            |scene: &Scene, flags, sequence| scene.tcp(client, flags).with_sequence(sequence);
        scene.chosen(&sent(&scene, ACK, 1000));
        scene.chosen(&sent(&scene, FIN | ACK, 1001));
        scene.datapath.set_state(2, State::Draining).unwrap();
        scene.set_members(&[1, 3]);
        let heir = scene.chosen(&sent(&scene, SYN, 500_000_000));
        assert_ne!(heir, 2);
        // The old connection's last words still find it, the new one's find the heir.
        assert_eq!(scene.chosen(&sent(&scene, ACK, 1002)), 2);
        assert_eq!(scene.chosen(&sent(&scene, ACK, 500_000_001)), heir);
        assert_eq!(scene.chosen(&sent(&scene, ACK, 500_000_900)), heir);
        assert_eq!(scene.datapath.flows(2, 10).unwrap(), []);
        let flows = scene.datapath.flows(heir, 10).unwrap();
        assert_eq!((flows.len(), flows[0].closed), (1, false));
    });
}

#[test]
fn a_forged_request_moves_no_flow() {
    everywhere("a_forged_request_moves_no_flow", |mut scene| {
        let client = scene.client_of(2);
        let known = scene.tcp(client, ACK).with_sequence(u32::MAX - 5);
        scene.chosen(&known);
        scene.datapath.set_state(2, State::Draining).unwrap();
        scene.set_members(&[1, 3]);
        for sequence in [0, 77, 1 << 31] {
            scene.chosen(&scene.tcp(client, SYN).with_sequence(sequence));
            assert_eq!(scene.chosen(&known), 2);
            assert_eq!(scene.chosen(&known.with_sequence(sequence)), 2);
        }
    });
}

#[test]
fn a_connection_of_a_dead_backend_begins_anew_at_once() {
    let test = "a_connection_of_a_dead_backend_begins_anew_at_once";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        scene.chosen(&scene.tcp(client, ACK));
        scene.datapath.set_state(2, State::Dead).unwrap();
        let heir = scene.chosen(&scene.tcp(client, SYN));
        assert_eq!(scene.datapath.flows(heir, 10).unwrap().len(), 1);
        scene.datapath.set_state(2, State::Active).unwrap();
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), heir);
    });
}

#[test]
fn the_client_s_end_of_a_flow_is_noted() {
    everywhere("the_client_s_end_of_a_flow_is_noted", |mut scene| {
        for (number, end) in [(1, FIN | ACK), (2, RST)] {
            let client = scene.client(number);
            let id = scene.chosen(&scene.tcp(client, ACK));
            let closed = |scene: &Scene| {
                let flows = scene.datapath.flows(id, 10).unwrap();
                let flow = flows.iter().find(|flow| flow.client == client).unwrap();
                flow.closed
            };
            assert!(!closed(&scene));
            scene.chosen(&scene.tcp(client, end));
            assert!(closed(&scene));
            scene.chosen(&scene.tcp(client, SYN));
            assert!(!closed(&scene));
        }
    });
}

#[test]
fn errors_follow_the_flow_that_they_quote() {
    everywhere("errors_follow_the_flow_that_they_quote", |mut scene| {
        let kinds: &[u8] = match scene.service.is_ipv4() {
            true => &[3, 11, 12],
            false => &[1, 2, 3, 4],
        };
        let client = scene.client_of(2);
        scene.chosen(&scene.tcp(client, ACK));
        scene.chosen(&scene.udp(client));
        scene.datapath.set_state(2, State::Draining).unwrap();
        scene.set_members(&[1, 3]);
        for is_udp in [false, true] {
            let quoted = scene.answer(client, is_udp);
            for kind in kinds {
                assert_eq!(scene.chosen(&scene.error(*kind, &quoted)), 2);
            }
            // Of a flow that the table does not know: by the ring.
            let stranger = scene.client_of(3);
            let quoted = scene.answer(stranger, is_udp);
            assert_eq!(scene.chosen(&scene.error(kinds[0], &quoted)), 3);
        }
        let service = scene.counters().services[0].1.clone();
        assert_eq!(service.related, kinds.len() as u64 + 1);
    });
}

#[test]
fn a_datagram_begins_a_flow_that_later_ones_follow() {
    let test = "a_datagram_begins_a_flow_that_later_ones_follow";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        assert_eq!(scene.chosen(&scene.udp(client)), 2);
        scene.set_members(&[1, 3]);
        assert_eq!(scene.chosen(&scene.udp(client)), 2);
        scene.datapath.set_state(2, State::Draining).unwrap();
        assert_eq!(scene.chosen(&scene.udp(client)), 2);
        scene.datapath.set_state(2, State::Dead).unwrap();
        assert_ne!(scene.chosen(&scene.udp(client)), 2);
    });
}

#[test]
fn a_flow_of_datagrams_begins_anew_after_a_silence() {
    let test = "a_flow_of_datagrams_begins_anew_after_a_silence";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        scene.chosen(&scene.udp(client));
        scene.datapath.set_state(2, State::Draining).unwrap();
        let mut flow = scene.datapath.flows(2, 1).unwrap()[0];
        // The same for another client, as another switch tells it.
        for (number, seconds, stays) in [(500, 20, true), (501, 60, false)] {
            flow.client = scene.client(number);
            flow.idle = std::time::Duration::from_secs(seconds);
            assert_eq!(scene.datapath.insert_flows(&[(flow, 2)]).unwrap(), 1);
            let id = scene.chosen(&scene.udp(flow.client));
            assert_eq!(id == 2, stays, "after {seconds} s");
            assert_eq!(scene.chosen(&scene.udp(flow.client)), id);
        }
    });
}

#[test]
fn a_cpu_learns_a_bounded_number_of_flows_at_once() {
    let test = "a_cpu_learns_a_bounded_number_of_flows_at_once";
    if !crate::applies(test) {
        return;
    }
    for hook in HOOKS {
        let capacity = Capacity {
            connections: 4,
            ..Capacity::default()
        };
        let mut scene = Scene::with(hook, SERVICES[0], capacity);
        for number in 0..2000 {
            let client = scene.client(number);
            scene.chosen(&scene.tcp(client, ACK));
        }
        assert!(scene.counters().unlearnt > 1000, "{hook:?}");
    }
}

#[test]
fn without_a_table_everything_goes_by_the_ring() {
    if !crate::applies("without_a_table_everything_goes_by_the_ring") {
        return;
    }
    for hook in HOOKS {
        let capacity = Capacity {
            connections: 0,
            ..Capacity::default()
        };
        let mut scene = Scene::with(hook, SERVICES[1], capacity);
        let client = scene.client_of(2);
        assert_eq!(scene.chosen(&scene.tcp(client, SYN)), 2);
        assert_eq!(scene.chosen(&scene.tcp(client, ACK)), 2);
        scene.set_members(&[1, 3]);
        assert_ne!(scene.chosen(&scene.tcp(client, ACK)), 2);
        assert_eq!(scene.counters().unlearnt, 0);
    }
}

#[test]
fn with_nobody_to_take_it_a_packet_is_dropped() {
    everywhere("with_nobody_to_take_it_a_packet_is_dropped", |mut scene| {
        let client = scene.client(1);
        for id in IDS {
            scene.datapath.set_state(id, State::Dead).unwrap();
        }
        let tcp = scene.tcp(client, SYN);
        assert_eq!(scene.run(&tcp).0, Verdict::Dropped);
        scene.set_members(&[]);
        assert_eq!(scene.run(&tcp.with_flags(ACK)).0, Verdict::Dropped);
        assert_eq!(scene.run(&scene.udp(client)).0, Verdict::Dropped);
        assert_eq!(scene.dropped("no-backend"), 3);
        let key = scene.key(Protocol::Tcp);
        assert_eq!(scene.datapath.lookup(key, client).unwrap(), None);
        scene.datapath.remove_service(key).unwrap();
        assert_eq!(scene.run(&tcp).0, Verdict::Passed);
    });
}

#[test]
fn packets_bytes_and_flows_are_counted() {
    everywhere("packets_bytes_and_flows_are_counted", |mut scene| {
        let client = scene.client_of(1);
        let mut bytes = 0;
        for flags in [SYN, SYN, ACK, ACK] {
            let packet = scene.tcp(client, flags);
            bytes += packet.bytes().len() as u64 - 14;
            scene.chosen(&packet);
        }
        let counters = scene.counters();
        let key = scene.key(Protocol::Tcp);
        let service = &counters.services.iter().find(|one| one.0 == key).unwrap().1;
        assert_eq!(
            (service.packets, service.bytes, service.flows),
            (4, bytes, 2)
        );
        let backend = counters.backends.iter().find(|one| one.0 == 1).unwrap().1;
        assert_eq!(
            (backend.packets, backend.bytes, backend.flows),
            (4, bytes, 2)
        );
        // Another one under its number begins with nothing.
        scene.datapath.remove_backend(1).unwrap();
        scene.set(1, |_| {});
        assert_eq!(scene.counters().backends[0].1.packets, 0);
    });
}

#[test]
fn options_of_ipv4_are_no_hindrance() {
    if !crate::applies("options_of_ipv4_are_no_hindrance") {
        return;
    }
    for hook in HOOKS {
        let mut scene = Scene::new(hook, SERVICES[0]);
        let client = scene.client_of(3);
        for options in [4, 40] {
            let packet = scene.tcp(client, SYN).but(|p| p.ip.options = options);
            assert_eq!(scene.chosen(&packet), 3);
            let quoted = scene.answer(client, false).but(|p| p.ip.options = options);
            let error = scene.error(3, &quoted).but(|p| p.ip.options = options);
            assert_eq!(scene.chosen(&error), 3);
        }
        let packet = scene.tcp(client, SYN).but(|packet| {
            if let Payload::Tcp { offset, data, .. } = &mut packet.payload {
                (*offset, *data) = (15, vec![1; 40]);
            }
        });
        assert_eq!(scene.chosen(&packet), 3);
    }
}
