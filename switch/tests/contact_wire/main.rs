//! The contact address on the wire: adverts between this program's sockets and keepalived, and
//! what announcements do to a neighbour. Each test makes two network namespaces with a cable
//! between them, so that it needs root and iproute2.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]
#![cfg(target_os = "linux")]

mod lab;
#[path = "../common/mod.rs"]
mod support;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use pointsman::control::contact::announce::{Announcer, Claim, Conflicts, Mac, conflict};
use pointsman::control::contact::group::Family;
use pointsman::control::contact::vrrp::{
    Advert, Checksum, GROUP_V4, GROUP_V6, VrrpSocket, multicast_group, socket,
};
use pointsman::sys::packet::PacketSocket;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use socket2::SockFilter;

use lab::{Keepalived, Lab, Side, is_installed, wait};

const OURS: Mac = [2, 0, 0, 0, 0, 0x0a];
const THEIRS: Mac = [2, 0, 0, 0, 0, 0x0b];
const STRANGER: Mac = [2, 0, 0, 0, 0, 0x0c];

#[test]
fn keepalived_heeds_our_adverts_and_we_read_its_own() {
    let test = "keepalived_heeds_our_adverts_and_we_read_its_own";
    let Some(lab) = Lab::new(test) else { return };
    if !is_installed("keepalived") {
        return support::skip(test, "keepalived is not installed");
    }
    let (v4, v6) = (lab.ours(Family::Ipv4), lab.ours(Family::Ipv6));
    let open = |source, multicast| vrrp(&lab, Side::Ours, source, multicast);
    let (multicast, unicast, six) = (open(v4, true), open(v4, false), open(v6, true));
    let group = IpAddr::from(GROUP_V4);
    let peer = lab.theirs(Family::Ipv4);
    let with = Checksum::PseudoHeader;
    // Through which socket, to whom, over which destination, in which form.
    let speakers = [
        (51, &multicast, group, group, with),
        (52, &unicast, peer, peer, with),
        (53, &unicast, peer, group, with),
        (54, &six, GROUP_V6.into(), GROUP_V6.into(), with),
        (55, &multicast, group, group, Checksum::Plain),
    ];
    let speak = || {
        for (number, socket, destination, summed, checksum) in &speakers {
            let advert = advert(*number, 200);
            let bytes = advert.encode(*checksum, socket.source(), *summed);
            socket.send(&bytes, *destination).unwrap();
        }
    };
    let groups = speakers.map(|(number, ..)| (number, contact(number)));
    let held = || lab.held(groups.map(|(_, ip)| ip));

    let mut keepalived = Keepalived::start(&lab, &groups);
    wait(
        "keepalived gives way to each form but the plain one",
        || {
            speak();
            held() == [false, false, false, false, true]
        },
    );
    wait("keepalived takes over what we fell silent about", || {
        held() == [true; 5]
    });

    for (number, socket, destination, ..) in &speakers {
        let source = lab.theirs(Family::of(*destination));
        let destination = match destination.is_multicast() {
            true => *destination,
            false => v4,
        };
        let (ends, read) = hear(socket, *number);
        assert_eq!(ends, (255, source, destination));
        assert_eq!(read, (advert(*number, 100), Checksum::PseudoHeader));
    }
    keepalived.stop();
    wait("it says that it ends", || {
        hear(&six, 54).1.0 == advert(54, 0)
    });
}

#[test]
fn adverts_of_our_own_arrive_as_they_were_sent() {
    let Some(lab) = Lab::new("adverts_of_our_own_arrive_as_they_were_sent") else {
        return;
    };
    for family in [Family::Ipv4, Family::Ipv6] {
        let (source, peer) = (lab.ours(family), lab.theirs(family));
        let sender = vrrp(&lab, Side::Ours, source, true);
        let joined = vrrp(&lab, Side::Theirs, peer, true);
        for (destination, number) in [(multicast_group(family), 1), (peer, 2)] {
            let advert = Advert {
                addresses: vec![contact(if source.is_ipv4() { 51 } else { 54 }); 255],
                ..advert(number, 7)
            };
            let bytes = advert.encode(Checksum::PseudoHeader, source, destination);
            sender.send(&bytes, destination).unwrap();
            let (ends, read) = hear(&joined, number);
            assert_eq!(ends, (255, source, destination));
            assert_eq!(read, (advert, Checksum::PseudoHeader));
        }
    }
}

#[test]
fn a_packet_from_the_sockets_own_address_is_passed_over() {
    let Some(lab) = Lab::new("a_packet_from_the_sockets_own_address_is_passed_over") else {
        return;
    };
    let (source, peer) = (lab.ours(Family::Ipv6), lab.theirs(Family::Ipv6));
    lab.ip(Side::Theirs, &format!("addr add {source}/64 dev e0 nodad"));
    let listener = vrrp(&lab, Side::Ours, source, true);
    for (number, source) in [(1, source), (2, peer)] {
        let advert = advert(number, 7).encode(Checksum::PseudoHeader, source, GROUP_V6.into());
        let socket = vrrp(&lab, Side::Theirs, source, true);
        socket.send(&advert, GROUP_V6.into()).unwrap();
    }
    let mut buffer = [0; socket::BUFFER];
    let mut first = None;
    wait("a packet arrives", || {
        let packet = listener.receive(&mut buffer).unwrap();
        first = packet.map(|packet| packet.source);
        first.is_some()
    });
    assert_eq!(first, Some(peer));
}

#[test]
fn an_unjoined_socket_hears_no_multicast_though_another_one_does() {
    let Some(lab) = Lab::new("an_unjoined_socket_hears_no_multicast_though_another_one_does")
    else {
        return;
    };
    for family in [Family::Ipv4, Family::Ipv6] {
        let (source, peer) = (lab.ours(family), lab.theirs(family));
        let sender = vrrp(&lab, Side::Ours, source, true);
        let unjoined = vrrp(&lab, Side::Theirs, peer, false);
        let joined = vrrp(&lab, Side::Theirs, peer, true);
        let group = multicast_group(family);
        let bytes = advert(if source.is_ipv4() { 51 } else { 54 }, 7).encode(
            Checksum::PseudoHeader,
            source,
            group,
        );
        sender.send(&bytes, group).unwrap();
        wait("it arrives", || {
            joined.receive(&mut [0; socket::BUFFER]).unwrap().is_some()
        });
        let mut buffer = [0; socket::BUFFER];
        assert_eq!(unjoined.receive(&mut buffer).unwrap(), None);
    }
}

#[test]
fn an_advert_leaves_as_network_control_that_no_router_passes_on() {
    let Some(lab) = Lab::new("an_advert_leaves_as_network_control_that_no_router_passes_on") else {
        return;
    };
    let everything = [SockFilter::new(0x06, 0, 0, u32::MAX)];
    for (family, ethertype) in [(Family::Ipv4, 0x0800), (Family::Ipv6, 0x86dd)] {
        let (source, group) = (lab.ours(family), multicast_group(family));
        let socket = vrrp(&lab, Side::Ours, source, true);
        let tap = lab.inside(Side::Theirs, |index| {
            PacketSocket::receiver(index, ethertype, &everything).unwrap()
        });
        socket.send(&[0x31; 12], group).unwrap();
        let mut frame = [0; 128];
        let (version_and_class, hops_and_protocol, mac) = match family {
            Family::Ipv4 => ([0x45, 0xc0], (22, [255, 112]), [1, 0, 0x5e, 0, 0, 0x12]),
            Family::Ipv6 => ([0x6c, 0x00], (20, [112, 255]), [0x33, 0x33, 0, 0, 0, 0x12]),
        };
        let (at, hops_and_protocol) = hops_and_protocol;
        wait("the advert leaves", || {
            tap.receive_frame(&mut frame).unwrap().is_some() && frame[..6] == mac
        });
        // Behind the class of IPv6 stands a label that the kernel chooses.
        assert_eq!([frame[14], frame[15] & 0xf0], version_and_class);
        assert_eq!(frame[at..at + 2], hops_and_protocol);
    }
}

#[test]
fn sending_from_an_address_that_is_not_there_is_a_plain_error() {
    let Some(lab) = Lab::new("sending_from_an_address_that_is_not_there_is_a_plain_error") else {
        return;
    };
    for (source, destination, length) in [
        ("10.9.0.77", "10.9.0.2", "/24"),
        ("10.9.0.78", "224.0.0.18", "/24"),
        ("fe80::77", "fe80::b", "/64 nodad"),
        ("fe80::78", "ff02::12", "/64 nodad"),
    ] {
        let destination: IpAddr = destination.parse().unwrap();
        let socket = vrrp(&lab, Side::Ours, source.parse().unwrap(), true);
        let error = socket.send(&[0x31; 12], destination).unwrap_err();
        assert!(error.to_string().contains(source), "{error}");
        assert!(error.to_string().contains("ip address"), "{error}");
        lab.ip(Side::Ours, &format!("addr add {source}{length} dev e0"));
        socket.send(&[0x31; 12], destination).unwrap();
    }
    let socket = vrrp(&lab, Side::Ours, lab.ours(Family::Ipv4), true);
    assert!(
        socket
            .send(&[0x31; 12], "fe80::b".parse().unwrap())
            .is_err()
    );
    lab.ip(Side::Ours, "link set e0 down");
    assert!(socket.send(&[0x31; 12], GROUP_V4.into()).is_err());
}

#[test]
fn an_announcement_moves_an_address_in_the_neighbours_table() {
    let Some(lab) = Lab::new("an_announcement_moves_an_address_in_the_neighbours_table") else {
        return;
    };
    let announcer = lab.inside(Side::Ours, |index| Announcer::open(index, OURS).unwrap());
    for ip in ["10.9.0.100", "fd00:9::100", "fe80::100"] {
        let address: IpAddr = ip.parse().unwrap();
        let all = || announcer.announce(address);
        let one = || announcer.announce_to(address, THEIRS);
        for announce in [&all as &dyn Fn() -> io::Result<()>, &one] {
            let wrong = "02:00:00:00:00:99";
            lab.ip(
                Side::Theirs,
                &format!("neigh replace {ip} lladdr {wrong} dev e0 nud reachable"),
            );
            announce().unwrap();
            wait("the entry is put right", || {
                let entry = lab.ip(Side::Theirs, &format!("neigh show {ip} dev e0"));
                entry.contains("02:00:00:00:00:0a")
            });
        }
    }
}

#[test]
fn who_else_claims_a_watched_address_is_told() {
    let Some(lab) = Lab::new("who_else_claims_a_watched_address_is_told") else {
        return;
    };
    let mut conflicts = lab.inside(Side::Ours, |index| Conflicts::open(index).unwrap());
    let announcer = |mac| {
        lab.inside(Side::Theirs, move |index| {
            Announcer::open(index, mac).unwrap()
        })
    };
    let (stranger, echo) = (announcer(STRANGER), announcer(OURS));
    let ip = |last: u8| IpAddr::from([10, 9, 0, last]);
    let next = |conflicts: &Conflicts| conflicts.next(&mut [0; conflict::BUFFER]).unwrap();
    let claim = |last| Claim {
        ip: ip(last),
        mac: STRANGER,
    };

    stranger.announce(ip(100)).unwrap();
    wait("every claim is told at first", || {
        next(&conflicts) == Some(claim(100))
    });
    while next(&conflicts).is_some() {}

    let watched: Vec<_> = (100..=140).map(|last| [10, 9, 0, last].into()).collect();
    conflicts.watch(&watched, OURS).unwrap();
    for last in [99, 141, 140, 120] {
        echo.announce(ip(last)).unwrap();
        stranger.announce(ip(last)).unwrap();
    }
    stranger.announce("fe80::100".parse().unwrap()).unwrap();
    let mut told = Vec::new();
    wait("both frames of each claim are told", || {
        told.extend(next(&conflicts));
        told.len() == 4
    });
    assert_eq!(told, [claim(140), claim(140), claim(120), claim(120)]);
    assert_eq!(next(&conflicts), None);

    conflicts.watch(&[], OURS).unwrap();
    stranger.announce(ip(100)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let mut waiting = [rustix::event::PollFd::new(
        &conflicts,
        rustix::event::PollFlags::IN,
    )];
    let soon = rustix::event::Timespec::default();
    assert_eq!(rustix::event::poll(&mut waiting, Some(&soon)).unwrap(), 0);

    let many = vec![[10, 9, 1, 1].into(); 1000];
    conflicts.watch(&many, OURS).unwrap();
    lab.ip(Side::Ours, "link set e0 down");
    assert_eq!(next(&conflicts), None);
    lab.ip(Side::Ours, "link set e0 up");
    wait("claims are told again", || {
        let _ = stranger.announce([10, 9, 1, 1].into());
        next(&conflicts).is_some()
    });
}

#[test]
fn without_the_capability_an_error_says_how_to_grant_it() {
    let open = || {
        // Capabilities are each thread's own.
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, sets).unwrap();
        let source = "127.0.0.1".parse().unwrap();
        [
            VrrpSocket::open("lo", 1, source, false).unwrap_err(),
            Announcer::open(1, OURS).unwrap_err(),
            Conflicts::open(1).unwrap_err(),
        ]
    };
    for error in std::thread::spawn(open).join().unwrap() {
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("cap_net_raw+ep"), "{error}");
    }
}

fn vrrp(lab: &Lab, side: Side, source: IpAddr, multicast: bool) -> VrrpSocket {
    lab.inside(side, move |index| {
        VrrpSocket::open("e0", index, source, multicast).unwrap()
    })
}

/// What both sides of group `number` advertise.
fn advert(number: u8, priority: u8) -> Advert {
    Advert {
        group: number,
        priority,
        interval: Duration::from_millis(100),
        addresses: vec![contact(number)],
    }
}

/// The contact address of a group: 54 is the one of IPv6.
fn contact(number: u8) -> IpAddr {
    match number {
        54 => "fe80::100".parse().unwrap(),
        _ => IpAddr::from([10, 9, 0, number + 100]),
    }
}

/// The next advert of a group, with TTL and ends, within five seconds.
fn hear(socket: &VrrpSocket, group: u8) -> ((u8, IpAddr, IpAddr), (Advert, Checksum)) {
    let mut heard = None;
    wait("an advert arrives", || {
        let mut buffer = [0; socket::BUFFER];
        let Some(packet) = socket.receive(&mut buffer).unwrap() else {
            return false;
        };
        let (source, destination) = (packet.source, packet.destination);
        let read = Advert::decode(packet.payload, source, destination, false).unwrap();
        let fits = read.0.group == group;
        if fits {
            heard = Some(((packet.ttl, source, destination), read));
        }
        fits
    });
    heard.unwrap()
}
