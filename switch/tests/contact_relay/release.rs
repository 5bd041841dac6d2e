//! The old holder's side alone, with the kernel's own idea of addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use ipnet::IpNet;
use pointsman::control::contact::group::Family;
use pointsman::control::contact::relay::soft::{LOOPBACK, SoftHost as _, SoftRelease};

use crate::lab::{
    Host, INDEX, INTERFACE, Lab, ThisHost, add, contact, ip, neighbour, soon, uninterrupted,
};
use crate::support::{PATIENCE, wait_until};

const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

#[test]
fn a_released_address_leaves_nothing_behind_when_it_ends() {
    if !crate::applies("a_released_address_leaves_nothing_behind_when_it_ends") {
        return;
    }
    Lab::start().within(Host::Old, || {
        let before = state();
        for family in BOTH {
            let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
            add(address);
            soon(|| soft.begin(&mut ThisHost, address));
            assert!(is_local(address));
            assert!(!ip(&format!("addr show dev {INTERFACE}")).contains(&address.to_string()));
            soft.end(&mut ThisHost, address).unwrap();
            assert!(!is_local(address));
            assert_eq!(state(), before);
        }
    });
}

#[test]
fn an_address_that_is_taken_back_was_local_all_the_time() {
    if !crate::applies("an_address_that_is_taken_back_was_local_all_the_time") {
        return;
    }
    Lab::start().within(Host::Old, || {
        for family in BOTH {
            let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
            add(address);
            let before = state();
            soon(|| soft.begin(&mut ThisHost, address));
            soon(|| soft.take_back(&mut ThisHost, address));
            assert!(is_local(address));
            assert_eq!(state(), before);
        }
    });
}

#[test]
fn neighbours_stay_reachable_without_another_address_of_their_network() {
    if !crate::applies("neighbours_stay_reachable_without_another_address_of_their_network") {
        return;
    }
    let lab = Lab::bare();
    for family in BOTH {
        let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
        let received = lab.within(Host::Client, || {
            add(Host::Client.address(family));
            receiver(family)
        });
        lab.within(Host::Old, || {
            add(address);
            soon(|| soft.begin(&mut ThisHost, address));
            send(address.addr(), Host::Client.address(family));
        });
        let from = uninterrupted(|| received.recv_from(&mut [0])).unwrap().1;
        assert_eq!(from.ip(), address.addr());
        lab.within(Host::Old, || soft.end(&mut ThisHost, address))
            .unwrap();
    }
}

#[test]
fn an_address_that_came_first_does_not_take_the_own_one_along() {
    if !crate::applies("an_address_that_came_first_does_not_take_the_own_one_along") {
        return;
    }
    Lab::bare().within(Host::Old, || {
        let name = format!("net/ipv4/conf/{INTERFACE}/promote_secondaries");
        ThisHost.set_sysctl(&name, "0").unwrap();
        let (address, own) = (contact(Family::Ipv4), Host::Old.address(Family::Ipv4));
        let mut soft = SoftRelease::new(INTERFACE, INDEX);
        add(address);
        add(own);
        soon(|| soft.begin(&mut ThisHost, address));
        assert!(ip(&format!("addr show dev {INTERFACE}")).contains(&own.to_string()));
        let route = route_to_client(Family::Ipv4);
        assert!(route.contains(&format!("src {}", own.addr())), "{route}");
        soft.end(&mut ThisHost, address).unwrap();
        assert_eq!(ThisHost.sysctl(&name).unwrap(), "0");
    });
}

#[test]
fn a_released_address_is_no_source_of_what_is_new() {
    if !crate::applies("a_released_address_is_no_source_of_what_is_new") {
        return;
    }
    Lab::start().within(Host::Old, || {
        for family in BOTH {
            let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
            add(address);
            soon(|| soft.begin(&mut ThisHost, address));
            let route = route_to_client(family);
            let own = Host::Old.address(family).addr();
            assert!(route.contains(&format!("src {own} ")), "{route}");
            soft.end(&mut ThisHost, address).unwrap();
        }
    });
}

#[test]
fn nobody_is_told_of_a_released_address() {
    if !crate::applies("nobody_is_told_of_a_released_address") {
        return;
    }
    let lab = Lab::start();
    for family in BOTH {
        let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
        lab.within(Host::Old, || {
            add(address);
            soon(|| soft.begin(&mut ThisHost, address));
        });
        lab.within(Host::Client, || {
            send(any(family), address);
            wait_until("nobody answers", || neighbour(family).contains("FAILED"));
        });
    }
}

#[test]
fn what_is_sent_from_a_released_address_does_not_draw_the_neighbours_back() {
    if !crate::applies("what_is_sent_from_a_released_address_does_not_draw_the_neighbours_back") {
        return;
    }
    let lab = Lab::start();
    for family in BOTH {
        let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
        let received = lab.within(Host::Client, || {
            let entry = format!("{} lladdr 02:00:00:00:07:03", address.addr());
            ip(&format!(
                "neigh replace {entry} dev {INTERFACE} nud reachable"
            ));
            receiver(family)
        });
        lab.within(Host::Old, || {
            add(address);
            soon(|| soft.begin(&mut ThisHost, address));
            ip(&format!("neigh flush dev {INTERFACE}"));
            send(address.addr(), Host::Client.address(family));
        });
        let from = uninterrupted(|| received.recv_from(&mut [0])).unwrap().1;
        assert_eq!(from.ip(), address.addr());
        let neighbour = lab.within(Host::Client, || neighbour(family));
        assert!(neighbour.contains("02:00:00:00:07:03"), "{neighbour}");
    }
}

#[test]
fn nothing_can_be_removed_twice() {
    if !crate::applies("nothing_can_be_removed_twice") {
        return;
    }
    Lab::start().within(Host::Old, || {
        for family in BOTH {
            let (address, mut soft) = (contact(family), SoftRelease::new(INTERFACE, INDEX));
            soon(|| soft.begin(&mut ThisHost, address));
            soft.end(&mut ThisHost, address).unwrap();
            soft.end(&mut ThisHost, address).unwrap();
            assert!(!ThisHost.remove_address(LOOPBACK, address).unwrap());
        }
    });
}

fn route_to_client(family: Family) -> String {
    let client = Host::Client.address(family).addr();
    ip(&format!("route get {client}"))
}

/// Where [`send`] sends to.
fn receiver(family: Family) -> UdpSocket {
    let socket = UdpSocket::bind((Host::Client.address(family).addr(), 9)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn send(from: IpAddr, to: IpNet) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.send_to(b"x", (to.addr(), 9)).unwrap();
}

fn any(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn is_local(address: IpNet) -> bool {
    let family = if address.addr().is_ipv4() { "-4" } else { "-6" };
    let routes = ip(&format!("{family} route show table local type local"));
    routes.contains(&format!("local {} ", address.addr()))
}

/// Addresses, routes and settings of this host.
fn state() -> String {
    let mut state = String::new();
    for command in ["-4 route show table all", "-6 route show table all"] {
        state += &ip(command);
    }
    // Without lifetimes.
    let addresses = ip("-o addr show");
    let addresses = addresses
        .lines()
        .map(|line| line.split('\\').next().unwrap());
    state.extend(addresses.map(|line| format!("{line}\n")));
    for name in ["arp_ignore", "arp_announce", "promote_secondaries"] {
        let path = format!("net/ipv4/conf/{INTERFACE}/{name}");
        state += &format!("{name}={}\n", ThisHost.sysctl(&path).unwrap());
    }
    state
}
