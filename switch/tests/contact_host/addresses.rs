use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};

use ipnet::IpNet;
use pointsman::control::contact::host::{Host, Scope};

use crate::common::PATIENCE;
use crate::lab::Lab;

#[test]
fn added_addresses_of_both_families_serve_neighbours_at_once() {
    let Some(lab) = Lab::new("added_addresses_of_both_families_serve_neighbours_at_once") else {
        return;
    };
    let link = lab.near.link();
    assert!(link.up && link.running && link.mac != [0; 6], "{link:?}");
    let nets = [
        "10.77.0.10/24",
        "10.77.0.11/32",
        "fd00:77::10/64",
        "fd00:77::11/128",
    ];
    for net in nets.map(|net| net.parse::<IpNet>().unwrap()) {
        let listener = lab.near.inside(|| {
            let host = Host::open().unwrap();
            host.add_address(link.index, net, Scope::Universe).unwrap();
            let listener = TcpListener::bind((net.addr(), 0)).unwrap();
            host.add_address(link.index, net, Scope::Universe).unwrap();
            assert!(host.addresses(link.index).unwrap().contains(&net));
            listener
        });
        let to = listener.local_addr().unwrap();
        lab.far
            .inside(|| TcpStream::connect_timeout(&to, PATIENCE))
            .unwrap();
        lab.near.inside(|| {
            let host = Host::open().unwrap();
            assert!(host.remove_address(link.index, net).unwrap());
            assert!(!host.remove_address(link.index, net).unwrap());
            assert!(!host.addresses(link.index).unwrap().contains(&net));
        });
    }
}

#[test]
fn an_address_on_lo_stays_on_this_host() {
    let Some(lab) = Lab::new("an_address_on_lo_stays_on_this_host") else {
        return;
    };
    lab.near.inside(|| {
        let host = Host::open().unwrap();
        let lo = host.link("lo").unwrap().unwrap();
        for net in ["192.0.2.1/32", "2001:db8::1/128"] {
            let net: IpNet = net.parse().unwrap();
            host.add_address(lo.index, net, Scope::Host).unwrap();
            let listener = TcpListener::bind((net.addr(), 0)).unwrap();
            connect(listener.local_addr().unwrap());
        }
    });
    let shown = lab.near.ip("addr show dev lo");
    assert!(shown.contains("inet 192.0.2.1/32 scope host lo"), "{shown}");
}

fn connect(to: SocketAddr) {
    TcpStream::connect_timeout(&to, PATIENCE).unwrap();
}

#[test]
fn a_link_local_address_is_usable_at_once_too() {
    let Some(lab) = Lab::new("a_link_local_address_is_usable_at_once_too") else {
        return;
    };
    let index = lab.near.link().index;
    lab.near.inside(|| {
        let host = Host::open().unwrap();
        for number in 1..100 {
            let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, number);
            let net = IpNet::new(ip.into(), 64).unwrap();
            host.add_address(index, net, Scope::Universe).unwrap();
            let listener = TcpListener::bind(SocketAddrV6::new(ip, 0, 0, index)).unwrap();
            connect(listener.local_addr().unwrap());
        }
    });
}

#[test]
fn what_is_not_there_is_told_from_what_fails() {
    let Some(lab) = Lab::new("what_is_not_there_is_told_from_what_fails") else {
        return;
    };
    lab.near.inside(|| {
        let host = Host::open().unwrap();
        for name in ["", "nothing0", "a-name-that-is-far-too-long"] {
            assert_eq!(host.link(name).unwrap(), None);
        }
        let none = 4_000_000;
        assert!(!host.remove_link(none).unwrap());
        let net = "10.77.0.10/24".parse().unwrap();
        assert!(!host.remove_address(none, net).unwrap());
        assert!(host.add_address(none, net, Scope::Universe).is_err());
        assert!(host.set_up(none).is_err());
        assert!(host.create_macvlan(none, "x0", [2, 0, 0, 0, 0, 1]).is_err());
        let near = host.link(&lab.near.interface).unwrap().unwrap();
        let taken = host.create_macvlan(near.index, "lo", [2, 0, 0, 0, 0, 1]);
        assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn more_addresses_than_one_reading_holds_are_all_read() {
    let Some(lab) = Lab::new("more_addresses_than_one_reading_holds_are_all_read") else {
        return;
    };
    let index = lab.near.link().index;
    lab.near.inside(|| {
        let host = Host::open().unwrap();
        for number in 0..1500_u32 {
            let ip = IpAddr::from((0x0a50_0000 + number).to_be_bytes());
            host.add_address(index, IpNet::from(ip), Scope::Universe)
                .unwrap();
        }
        let found = host.addresses(index).unwrap();
        let added = found
            .iter()
            .filter(|net| net.addr().to_string().starts_with("10.80."));
        assert_eq!(added.count(), 1500);
    });
}

#[test]
fn whoever_lacks_the_capability_is_told_its_name() {
    let Some(lab) = Lab::new("whoever_lacks_the_capability_is_told_its_name") else {
        return;
    };
    let index = lab.near.link().index;
    let error = lab.near.inside(|| {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let host = Host::open().unwrap();
        host.add_address(index, "10.77.0.10/24".parse().unwrap(), Scope::Universe)
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(
        error
            .to_string()
            .contains("AmbientCapabilities=CAP_NET_ADMIN")
    );
}
