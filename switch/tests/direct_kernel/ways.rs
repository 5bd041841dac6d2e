//! The ways to backends: neighbours and tunnels, and what is too big for them.

use std::net::IpAddr;

use pointsman::control::direct::kernel::{Hook, Hop};

use crate::packet::{ACK, Packet, Payload, SYN, checksum};
use crate::scene::{ELSEWHERE, LEAVES, ROUTER, Scene, Verdict, everywhere, far_address, mac};

/// Actions of XDP.
const TX: i32 = 3;
const REDIRECT: i32 = 4;

const OUTER: [&str; 2] = ["10.9.0.200", "fd09::200"];
const MTU: u16 = 1500;

#[test]
fn a_packet_leaves_through_the_backend_s_interface() {
    let test = "a_packet_leaves_through_the_backend_s_interface";
    everywhere(test, |mut scene| {
        let client = scene.client_of(2);
        let packet = scene.tcp(client, SYN);
        if scene.hook == Hook::Xdp {
            let ran = scene
                .datapath
                .run(Hook::Xdp, &packet.bytes(), None, 1)
                .unwrap();
            assert_eq!(ran.verdict, TX);
        }
        scene.set(2, |backend| {
            backend.hop = Hop::Neighbour {
                interface: ELSEWHERE,
                source_mac: ROUTER,
                mac: mac(77),
            };
        });
        let ran = scene
            .datapath
            .run(scene.hook, &packet.bytes(), None, 1)
            .unwrap();
        if scene.hook == Hook::Xdp {
            assert_eq!(ran.verdict, REDIRECT);
        }
        assert_eq!(ran.frame, packet.passed_on(mac(77), ROUTER).bytes());
    });
}

#[test]
fn a_packet_for_another_subnet_gets_an_outer_header() {
    let test = "a_packet_for_another_subnet_gets_an_outer_header";
    everywhere(test, |mut scene| {
        for source in OUTER {
            let source: IpAddr = source.parse().unwrap();
            scene.dig(source, MTU);
            let client = scene.client_of(2);
            let ends = (source, far_address(source, 2));
            for (class, length) in [(0, 0), (0xb9, 100)] {
                let packet = scene.tcp(client, ACK).with_data(length);
                let packet = packet.but(|packet| packet.ip.class = class);
                let (verdict, frame) = scene.run(&packet);
                assert_eq!(verdict, Verdict::Sent);
                let expected = packet.tunnelled((ROUTER, LEAVES), ends).bytes();
                let frame = without_label(frame);
                assert_eq!(frame, expected, "{:?} by {source}", scene.hook);
            }
        }
    });
}

/// The label of an outer IPv6 header tells flows apart, and is not 0.
fn without_label(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [0x86, 0xdd] {
        let label = u32::from_be_bytes([0, frame[15] & 0x0f, frame[16], frame[17]]);
        assert_ne!(label, 0);
        frame[15] &= 0xf0;
        frame[16..18].fill(0);
    }
    frame
}

#[test]
fn errors_go_through_tunnels_too() {
    everywhere("errors_go_through_tunnels_too", |mut scene| {
        let source: IpAddr = OUTER[0].parse().unwrap();
        scene.dig(source, MTU);
        let client = scene.client_of(1);
        let quoted = scene.answer(client, false);
        let kind = if scene.service.is_ipv4() { 3 } else { 2 };
        let packet = scene.error(kind, &quoted);
        let (verdict, frame) = scene.run(&packet);
        let ends = (source, far_address(source, 1));
        assert_eq!(verdict, Verdict::Sent);
        assert_eq!(frame, packet.tunnelled((ROUTER, LEAVES), ends).bytes());
    });
}

#[test]
fn a_client_behind_the_router_of_a_tunnel_is_no_loop() {
    let test = "a_client_behind_the_router_of_a_tunnel_is_no_loop";
    everywhere(test, |mut scene| {
        scene.dig(OUTER[0].parse().unwrap(), MTU);
        let client = scene.client(1);
        let packet = scene.tcp(client, ACK);
        assert_eq!(packet.from, ROUTER);
        assert_eq!(scene.run(&packet).0, Verdict::Sent);
    });
}

#[test]
fn a_client_is_told_how_long_its_packets_may_be() {
    let test = "a_client_is_told_how_long_its_packets_may_be";
    everywhere(test, |mut scene| {
        for (source, outer) in OUTER.into_iter().zip([20, 40]) {
            scene.dig(source.parse().unwrap(), MTU);
            let client = scene.client_of(2);
            let fits = fitted(&scene, &scene.tcp(client, ACK), MTU - outer);
            assert_eq!(scene.run(&fits).0, Verdict::Sent);
            for packet in [scene.tcp(client, ACK), scene.udp(client)] {
                let too_big = fitted(&scene, &packet, MTU - outer + 1);
                let before = scene.dropped("too-big");
                let (verdict, frame) = scene.run(&too_big);
                assert_eq!(verdict, Verdict::Sent, "{:?} {source}", scene.hook);
                is_told(&scene, &too_big, &frame, MTU - outer);
                assert_eq!(scene.dropped("too-big"), before + 1);
            }
        }
    });
}

/// The packet with so many bytes of IP.
fn fitted(scene: &Scene, packet: &Packet, length: u16) -> Packet {
    let header = if scene.service.is_ipv4() { 20 } else { 40 };
    let transport = match packet.payload {
        Payload::Tcp { .. } => 20,
        _ => 8,
    };
    packet.with_data(usize::from(length) - header - transport)
}

fn is_told(scene: &Scene, packet: &Packet, frame: &[u8], mtu: u16) {
    let is_ipv4 = scene.service.is_ipv4();
    let (kind, quoted) = if is_ipv4 { (3, 64) } else { (2, 96) };
    let mut told = scene.error(kind, packet);
    (told.to, told.from) = (packet.from, packet.to);
    (told.ip.source, told.ip.destination) = (packet.ip.destination, packet.ip.source);
    if let Payload::Icmp { quoted: bytes, .. } = &mut told.payload {
        bytes.truncate(quoted);
    }
    let mut expected = told.bytes();
    let at = if is_ipv4 { 34 } else { 54 };
    expected[at + 1] = if is_ipv4 { 4 } else { 0 };
    expected[at + 4..at + 8].copy_from_slice(&u32::from(mtu).to_be_bytes());
    expected[at + 2..at + 4].copy_from_slice(&frame[at + 2..at + 4]);
    assert_eq!(frame, expected);
    let mut summed = frame[at..].to_vec();
    if !is_ipv4 {
        summed.extend(&frame[22..54]);
        summed.extend(u32::try_from(frame.len() - at).unwrap().to_be_bytes());
        summed.extend([0, 0, 0, 58]);
    }
    assert_eq!(checksum(&summed), 0);
}

#[test]
fn nobody_is_told_about_an_error_that_is_too_big() {
    let test = "nobody_is_told_about_an_error_that_is_too_big";
    everywhere(test, |mut scene| {
        scene.dig(OUTER[0].parse().unwrap(), 1280);
        let client = scene.client(1);
        let quoted = scene.answer(client, false).with_data(1240);
        let kind = if scene.service.is_ipv4() { 3 } else { 2 };
        let packet = scene.error(kind, &quoted);
        assert_eq!(scene.run(&packet).0, Verdict::Dropped);
        assert_eq!(scene.dropped("too-big"), 1);
    });
}

/// `gso_size` in `struct __sk_buff`.
const GSO_SIZE: usize = 176;

#[test]
fn of_a_merged_packet_each_segment_must_fit() {
    let test = "of_a_merged_packet_each_segment_must_fit";
    everywhere(test, |mut scene| {
        if scene.hook != Hook::Tcx {
            return;
        }
        scene.dig(OUTER[0].parse().unwrap(), MTU);
        let client = scene.client_of(2);
        let packet = scene.tcp(client, ACK).with_data(3000);
        let header: u16 = if scene.service.is_ipv4() { 40 } else { 60 };
        for (segment, fits) in [(MTU - header, true), (MTU - header + 1, false)] {
            let mut context = vec![0; 192];
            let size = u32::from(segment).to_ne_bytes();
            context[GSO_SIZE..GSO_SIZE + 4].copy_from_slice(&size);
            let bytes = packet.bytes();
            let before = scene.dropped("too-big");
            // The kernel's test makes no packet that it could cut later: it can only be refused.
            let ran = scene.datapath.run(scene.hook, &bytes, Some(&context), 1);
            ran.unwrap();
            assert_eq!(scene.dropped("too-big") == before, fits, "{segment}");
        }
    });
}
