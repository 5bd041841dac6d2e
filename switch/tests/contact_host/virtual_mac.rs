use std::net::{IpAddr, TcpListener, TcpStream};

use ipnet::IpNet;
use pointsman::control::contact::group::{Family, GroupId};
use pointsman::control::contact::host::{Host, Scope, VirtualMac};

use crate::common::PATIENCE;
use crate::lab::{Lab, Namespace};

fn group(family: Family) -> GroupId {
    GroupId { number: 51, family }
}

/// The link-layer address that a host has for another one.
fn neighbour(host: &Namespace, ip: IpAddr) -> String {
    let shown = host.ip(&format!("neigh show {ip}"));
    let after = shown.split("lladdr ").nth(1).unwrap_or_default();
    after.split(' ').next().unwrap_or_default().to_owned()
}

fn setting(host: &Namespace, key: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/conf/{}/{key}", host.interface);
    host.inside(|| std::fs::read_to_string(path)).unwrap()
}

#[test]
fn neighbours_learn_the_virtual_link_layer_address_and_no_other() {
    let test = "neighbours_learn_the_virtual_link_layer_address_and_no_other";
    let Some(lab) = Lab::new(test) else { return };
    let (near, far) = (&lab.near, &lab.far);
    // Strict, as some distributions have it: clients' packets must pass all the same.
    let strict = || std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
    near.inside(strict).unwrap();
    let cases = [
        (Family::Ipv4, "10.77.0.10/32", "00:00:5e:00:01:33"),
        (Family::Ipv6, "fd00:77::10/128", "00:00:5e:00:02:33"),
    ];
    for (family, net, mac) in cases {
        let net: IpNet = net.parse().unwrap();
        let (virtual_mac, listener) = near.inside(|| {
            let host = Host::open().unwrap();
            let parent = host.link(&near.interface).unwrap().unwrap();
            let made = VirtualMac::create(&host, &parent, group(family)).unwrap();
            assert_eq!(host.addresses(made.index).unwrap(), []);
            host.add_address(made.index, net, Scope::Universe).unwrap();
            (made, TcpListener::bind((net.addr(), 0)).unwrap())
        });
        let to = listener.local_addr().unwrap();
        far.inside(|| TcpStream::connect_timeout(&to, PATIENCE))
            .unwrap();
        assert_eq!(neighbour(far, net.addr()), mac);
        let [a, b, c, d, e, f] = virtual_mac.mac;
        assert_eq!(
            format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
            mac
        );

        // The host asks for its client from the contact address: nor does that tell another one.
        near.ip(&format!("neigh flush dev {}", near.interface));
        far.inside(|| TcpStream::connect_timeout(&to, PATIENCE))
            .unwrap();
        assert_eq!(neighbour(far, net.addr()), mac);

        near.inside(|| drop(virtual_mac));
        let links = near.ip("link show");
        assert!(!links.contains("pm-51"), "{links}");
    }
}

#[test]
fn the_parents_own_address_keeps_its_link_layer_address_and_its_settings_come_back() {
    let test = "the_parents_own_address_keeps_its_link_layer_address_and_its_settings_come_back";
    let Some(lab) = Lab::new(test) else { return };
    let (near, far) = (&lab.near, &lab.far);
    let create = || {
        let host = Host::open().unwrap();
        let parent = host.link(&near.interface).unwrap().unwrap();
        VirtualMac::create(&host, &parent, group(Family::Ipv4)).unwrap()
    };
    assert_eq!(setting(near, "arp_ignore"), "0\n");
    let made = near.inside(create);
    assert_eq!(setting(near, "arp_ignore"), "1\n");
    let listener = near.inside(|| TcpListener::bind("10.77.0.1:0").unwrap());
    let to = listener.local_addr().unwrap();
    for _ in 0..3 {
        far.ip(&format!("neigh flush dev {}", far.interface));
        far.inside(|| TcpStream::connect_timeout(&to, PATIENCE))
            .unwrap();
        let mac = neighbour(far, to.ip());
        assert!(!mac.is_empty() && !mac.starts_with("00:00:5e"), "{mac}");
    }
    // As after a kill: the next process finds one of that name.
    let again = near.inside(create);
    assert_ne!(again.index, made.index);
    near.inside(|| drop(made));
    assert_eq!(setting(near, "arp_ignore"), "1\n");
    assert!(near.ip("link show").contains(again.name()));
    near.inside(|| drop(again));
    assert_eq!(setting(near, "arp_ignore"), "0\n");
    assert_eq!(setting(near, "arp_announce"), "0\n");
}

#[test]
fn one_that_is_adopted_stays_until_the_process_that_claims_it_ends() {
    let test = "one_that_is_adopted_stays_until_the_process_that_claims_it_ends";
    let Some(lab) = Lab::new(test) else { return };
    let near = &lab.near;
    let parent = |host: &Host| host.link(&near.interface).unwrap().unwrap();
    let adopt = |family| {
        near.inside(|| {
            let host = Host::open().unwrap();
            VirtualMac::adopt(&host, &parent(&host), group(family)).unwrap()
        })
    };
    let mut first = near.inside(|| {
        let host = Host::open().unwrap();
        VirtualMac::create(&host, &parent(&host), group(Family::Ipv4)).unwrap()
    });
    assert!(adopt(Family::Ipv6).is_none(), "there is none of that name");
    let is_there = || near.ip("link show").contains("pm-51-4");
    let refused = adopt(Family::Ipv4).unwrap();
    assert_eq!(refused.index, first.index);
    near.inside(|| drop(refused));
    assert!(is_there(), "it is the first one's still");

    let mut second = adopt(Family::Ipv4).unwrap();
    first.leave();
    near.inside(|| drop(first));
    assert!(is_there());
    assert_eq!(setting(near, "arp_ignore"), "1\n");
    second.claim();
    near.inside(|| drop(second));
    assert!(!is_there());

    near.ip(&format!(
        "link add pm-51-4 link {} type macvlan",
        near.interface
    ));
    assert!(adopt(Family::Ipv4).is_none(), "it has another address");
}
