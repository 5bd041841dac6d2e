//! What is left to the host's own stack, and what is dropped.

use pointsman::control::direct::kernel::Hook;

use crate::packet::{ACK, Packet, Payload, SYN};
use crate::scene::{LEAVES, Scene, Verdict, everywhere, mac};

const VLAN: [u8; 4] = [0x81, 0, 0, 10];
const SERVICE_VLAN: [u8; 4] = [0x88, 0xa8, 0, 10];

#[test]
fn what_is_no_service_s_packet_passes_as_it_is() {
    everywhere(
        "what_is_no_service_s_packet_passes_as_it_is",
        |mut scene| {
            for (what, reason, packet) in passing(&scene) {
                let before = scene.passed(reason);
                let bytes = packet.bytes();
                let (verdict, frame) = scene.run_bytes(&bytes);
                assert_eq!(verdict, Verdict::Passed, "{:?} {what}", scene.hook);
                assert_eq!(frame, bytes, "{:?} {what}", scene.hook);
                let counted = scene.passed(reason) - before;
                assert_eq!(counted, 1, "{:?} {what}: {reason}", scene.hook);
            }
            assert!(
                scene
                    .counters()
                    .dropped
                    .iter()
                    .all(|(_, count)| *count == 0)
            );
        },
    );
}

fn passing(scene: &Scene) -> Vec<(&'static str, &'static str, Packet)> {
    let client = scene.client(1);
    let tcp = scene.tcp(client, SYN);
    let is_ipv4 = scene.service.is_ipv4();
    let about = |kind, change: fn(&mut Packet)| {
        let mut quoted = scene.answer(client, false);
        change(&mut quoted);
        scene.error(kind, &quoted)
    };
    let (echo, error) = if is_ipv4 { (8, 3) } else { (128, 1) };
    let mut cases = vec![
        ("to another host", "other-host", tcp.but(|p| p.to = [2; 6])),
        ("to all", "other-host", tcp.but(|p| p.to = [0xff; 6])),
        (
            "to some",
            "other-host",
            tcp.but(|p| p.to = [1, 0, 0x5e, 0, 0, 1]),
        ),
        ("ARP", "other-protocol", tcp.but(|p| p.ethertype = 0x0806)),
        ("a length", "other-protocol", tcp.but(|p| p.ethertype = 64)),
        (
            "another version",
            "malformed",
            tcp.but(|p| p.ip.version = 5),
        ),
        (
            "to another address",
            "no-service",
            tcp.but(|p| p.ip.destination = p.ip.source),
        ),
        (
            "another protocol",
            "no-service",
            tcp.but(|p| p.ip.protocol = 132),
        ),
        ("another port", "no-service", tcp.but(|p| set_port(p, 81))),
        ("an echo", "no-service", about(echo, |_| {})),
        (
            "about another port",
            "no-service",
            about(error, |p| set_source(p, 81)),
        ),
        (
            "about another protocol",
            "no-service",
            about(error, |p| p.ip.protocol = 132),
        ),
        (
            "about another address",
            "no-service",
            about(error, |p| p.ip.source = p.ip.destination),
        ),
        (
            "about no version",
            "no-service",
            about(error, |p| p.ip.version = 9),
        ),
        (
            "about too little",
            "no-service",
            about(error, |p| p.payload = Payload::Raw(vec![0; 2])),
        ),
    ];
    if is_ipv4 {
        cases.extend([
            (
                "a first fragment",
                "fragment",
                tcp.but(|p| p.ip.fragment = 0x2000),
            ),
            (
                "another fragment",
                "fragment",
                tcp.but(|p| p.ip.fragment = 0x0010),
            ),
            (
                "a last fragment",
                "fragment",
                tcp.but(|p| p.ip.fragment = 0x1fff),
            ),
            (
                "a short header",
                "malformed",
                tcp.but(|p| p.ip.header_length = Some(4)),
            ),
            (
                "about a fragment",
                "no-service",
                about(error, |p| p.ip.fragment = 0x0010),
            ),
            (
                "about a short header",
                "no-service",
                about(error, |p| p.ip.header_length = Some(1)),
            ),
            ("a redirect", "no-service", about(5, |_| {})),
        ]);
    } else {
        let first = |protocol| tcp.but(|p| p.ip.protocol = protocol);
        cases.extend([
            ("a fragment", "fragment", first(44)),
            ("hop by hop", "extension", first(0)),
            ("routed", "extension", first(43)),
            ("for the destination", "extension", first(60)),
            (
                "about one with an extension",
                "no-service",
                about(error, |p| p.ip.protocol = 60),
            ),
            ("a solicitation", "no-service", about(135, |_| {})),
        ]);
    }
    if scene.hook == Hook::Xdp {
        // tc finds such tags beside the packet, and the kernel's test puts them nowhere.
        cases.push(("of a VLAN", "vlan", tcp.but(|p| p.tag = VLAN.to_vec())));
        cases.push(("of two", "vlan", tcp.but(|p| p.tag = SERVICE_VLAN.to_vec())));
    }
    cases
}

fn set_port(packet: &mut Packet, port: u16) {
    match &mut packet.payload {
        Payload::Tcp { destination, .. } | Payload::Udp { destination, .. } => *destination = port,
        _ => panic!("it has no ports"),
    }
}

fn set_source(packet: &mut Packet, port: u16) {
    match &mut packet.payload {
        Payload::Tcp { source, .. } | Payload::Udp { source, .. } => *source = port,
        _ => panic!("it has no ports"),
    }
}

#[test]
fn what_a_service_must_not_get_is_dropped() {
    everywhere("what_a_service_must_not_get_is_dropped", |mut scene| {
        for (what, reason, packet) in dropping(&mut scene) {
            let before = scene.dropped(reason);
            let (verdict, _) = scene.run(&packet);
            assert_eq!(verdict, Verdict::Dropped, "{:?} {what}", scene.hook);
            let counted = scene.dropped(reason) - before;
            assert_eq!(counted, 1, "{:?} {what}: {reason}", scene.hook);
        }
        let counters = scene.counters();
        let of_services = counters.services.iter().flat_map(|one| &one.1.dropped);
        let sum: u64 = of_services.map(|(_, count)| count).sum();
        let all: u64 = counters.dropped.iter().map(|(_, count)| count).sum();
        assert_eq!(sum, all);
    });
}

fn dropping(scene: &mut Scene) -> Vec<(&'static str, &'static str, Packet)> {
    let client = scene.client_of(1);
    let (tcp, udp) = (scene.tcp(client, ACK), scene.udp(client));
    let is_ipv4 = scene.service.is_ipv4();
    let many = if is_ipv4 {
        [224, 0, 0, 1].into()
    } else {
        "ff02::1".parse().unwrap()
    };
    // Less than a header of TCP or UDP, and more than is there.
    let (short, long) = if is_ipv4 { (39, 41) } else { (19, 21) };
    let length = |wanted: u16| tcp.but(|p| p.ip.length = Some(wanted));
    let cut =
        |keep: usize| tcp.but(|p| p.payload = Payload::Raw(scene_payload(p)[..keep].to_vec()));
    let offset = |words: u8| {
        tcp.but(|p| {
            if let Payload::Tcp { offset, .. } = &mut p.payload {
                *offset = words;
            }
        })
    };
    let mut cases = vec![
        ("a short length", "malformed", length(short)),
        ("a long length", "malformed", length(long)),
        (
            "no length",
            "malformed",
            length(if is_ipv4 { 19 } else { 0 }),
        ),
        ("half a header", "malformed", cut(12)),
        ("a header of TCP too short", "malformed", offset(4)),
        ("one longer than the packet", "malformed", offset(6)),
        (
            "a datagram too short",
            "malformed",
            udp.but(|p| set_length(p, 7)),
        ),
        ("its last hop", "hops", tcp.but(|p| p.ip.hops = 1)),
        ("no hop", "hops", tcp.but(|p| p.ip.hops = 0)),
        (
            "from itself",
            "spoofed",
            tcp.but(|p| p.ip.source = p.ip.destination),
        ),
        ("from many", "spoofed", tcp.but(|p| p.ip.source = many)),
        ("by its own backend", "loop", tcp.but(|p| p.from = mac(1))),
    ];
    if is_ipv4 {
        cases.push((
            "from all",
            "spoofed",
            tcp.but(|p| p.ip.source = [255; 4].into()),
        ));
    }
    cases
}

fn scene_payload(packet: &Packet) -> Vec<u8> {
    let header = if packet.ethertype == 0x0800 { 20 } else { 40 };
    packet.bytes()[14 + header..].to_vec()
}

fn set_length(packet: &mut Packet, wanted: u16) {
    if let Payload::Udp { length, .. } = &mut packet.payload {
        *length = Some(wanted);
    }
}

#[test]
fn a_frame_cut_off_anywhere_is_never_sent_on() {
    everywhere("a_frame_cut_off_anywhere_is_never_sent_on", |mut scene| {
        let client = scene.client(1);
        let quoted = scene.answer(client, false);
        let kind = if scene.service.is_ipv4() { 3 } else { 1 };
        let whole = [
            scene.tcp(client, ACK),
            scene.udp(client),
            scene.error(kind, &quoted),
        ];
        for packet in whole {
            let bytes = packet.bytes();
            // The kernel makes no frame of tc of less than the headers of Ethernet and IP.
            let header = if scene.service.is_ipv4() { 20 } else { 40 };
            let least = if scene.hook == Hook::Xdp {
                14
            } else {
                14 + header
            };
            let most = match packet.payload {
                // What is left of a quote after its first eight bytes is of no matter.
                Payload::Icmp { .. } => 14 + header + 8 + header + 4,
                _ => bytes.len(),
            };
            for length in least..most {
                let verdict = scene.run_bytes(&bytes[..length]).0;
                assert_ne!(verdict, Verdict::Sent, "{packet:?} after {length}");
            }
        }
    });
}

#[test]
fn padding_after_a_packet_is_no_hindrance() {
    everywhere("padding_after_a_packet_is_no_hindrance", |mut scene| {
        let client = scene.client_of(2);
        let packet = scene.udp(client).but(|packet| packet.padding = 6);
        assert_eq!(scene.chosen(&packet), 2);
    });
}

#[test]
fn a_packet_that_a_neighbour_sends_is_another_s() {
    everywhere(
        "a_packet_that_a_neighbour_sends_is_another_s",
        |mut scene| {
            let client = scene.client_of(2);
            let packet = scene.tcp(client, ACK).but(|packet| packet.from = mac(3));
            assert_eq!(scene.chosen(&packet), 2);
            let own = packet.but(|packet| packet.from = LEAVES);
            assert_eq!(scene.chosen(&own), 2);
        },
    );
}
