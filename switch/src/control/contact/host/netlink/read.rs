//! What the kernel tells of interfaces and addresses.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteType};

pub(super) use pointsman_backend::netlink::attributes::read as attributes;

use super::Link;
use super::socket::Message;

/// Bytes before the attributes.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
/// In an interface's description (rtnetlink(7)).
const IFLA_INFO_KIND: u16 = 1;

/// An interface, and whether it is one that a switch may have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundLink {
    pub link: Link,
    /// Such as `veth`, or nothing where a device drives it.
    pub kind: String,
    pub is_macvlan: bool,
    /// The index of the interface that it stands on.
    pub parent: Option<u32>,
}

/// The interface of a message that tells of one.
pub(super) fn new_link(message: Message<'_>) -> Option<FoundLink> {
    (message.kind == libc::RTM_NEWLINK).then(|| link(message.content))?
}

/// The interface and the address of a message that tells of one.
pub(super) fn new_address(message: Message<'_>) -> Option<(u32, IpNet)> {
    (message.kind == libc::RTM_NEWADDR).then(|| address(message.content))?
}

/// Whether it is the route to an address of this host.
pub(super) fn is_local_route(message: Message<'_>) -> bool {
    let header = RouteHeader::parse(message.content);
    message.kind == libc::RTM_NEWROUTE && header.is_ok_and(|found| found.kind == RouteType::Local)
}

/// Whether it is the route to this address of this host, by way of this interface.
pub(super) fn is_local_route_of(message: Message<'_>, index: u32, ip: Ipv6Addr) -> bool {
    let rest = message.content.get(ROUTE_HEADER..).unwrap_or_default();
    let has = |kind, wanted: &[u8]| attributes(rest).any(|found| found == (kind, wanted));
    is_local_route(message)
        && has(libc::RTA_DST, &ip.octets())
        && has(libc::RTA_OIF, &index.to_ne_bytes())
}

/// `None` too where it is a bridge's view of one of its ports, which says nothing of the interface
/// itself: a port that leaves its bridge is told of as if it were gone.
pub(super) fn link(content: &[u8]) -> Option<FoundLink> {
    let header = LinkHeader::parse(content).ok()?;
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let sending = LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        mac: [0; 6],
        up: header.flags.contains(LinkFlags::Up),
        running: header.flags.contains(sending),
    };
    let (mut kind_of_link, mut parent) = (String::new(), None);
    for (kind, value) in attributes(content.get(LINK_HEADER..)?) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_LINK => parent = value.try_into().ok().map(u32::from_ne_bytes),
            libc::IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                kind_of_link = kind.map_or_else(String::new, |(_, kind)| text(kind));
            }
            _ => {}
        }
    }
    Some(FoundLink {
        link,
        is_macvlan: kind_of_link == "macvlan",
        kind: kind_of_link,
        parent,
    })
}

/// The interface's index, and the address with the length of its prefix.
pub(super) fn address(content: &[u8]) -> Option<(u32, IpNet)> {
    let header = AddressHeader::parse(content).ok()?;
    let (mut own, mut other) = (None, None);
    for (kind, value) in attributes(content.get(ADDRESS_HEADER..)?) {
        match kind {
            libc::IFA_LOCAL => own = ip(value),
            libc::IFA_ADDRESS => other = ip(value),
            _ => {}
        }
    }
    // With a peer, as on a point-to-point interface, IFA_ADDRESS is the peer's.
    let net = IpNet::new(own.or(other)?, header.prefix_len).ok()?;
    Some((header.index, net))
}

pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).expect("short");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link_content(family: u8, flags: u32) -> Vec<u8> {
        let mut content = vec![family, 0, 1, 0];
        content.extend(7_u32.to_ne_bytes());
        content.extend(flags.to_ne_bytes());
        content.extend([0; 4]);
        content.extend(attribute(libc::IFLA_IFNAME, b"eth0\0"));
        content.extend(attribute(99, &[1, 2, 3]));
        content.extend(attribute(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]));
        content
    }

    const ALL_FLAGS: u32 = (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOWER_UP) as u32;

    #[test]
    fn an_interface_runs_when_it_is_up_and_has_a_carrier() {
        let found = link(&link_content(0, ALL_FLAGS)).expect("an interface");
        let expected = Link {
            index: 7,
            name: "eth0".to_owned(),
            mac: [2, 0, 0, 0, 0, 9],
            up: true,
            running: true,
        };
        assert_eq!((found.link, found.is_macvlan), (expected, false));
        let found = link(&link_content(0, libc::IFF_UP as u32)).expect("an interface");
        assert!(found.link.up && !found.link.running);
    }

    #[test]
    fn what_a_bridge_tells_of_its_ports_is_passed_over() {
        assert_eq!(link(&link_content(libc::AF_BRIDGE as u8, ALL_FLAGS)), None);
    }

    #[test]
    fn the_own_address_counts_and_not_the_peers() {
        let mut content = vec![2, 32, 0, 0];
        content.extend(3_u32.to_ne_bytes());
        content.extend(attribute(libc::IFA_ADDRESS, &[10, 0, 0, 2]));
        content.extend(attribute(libc::IFA_LOCAL, &[10, 0, 0, 1]));
        let net = "10.0.0.1/32".parse().expect("an address");
        assert_eq!(address(&content), Some((3, net)));
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = link(&content);
            let _ = address(&content);
        }
    }
}
