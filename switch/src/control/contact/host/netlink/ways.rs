//! How packets get to another host: by which interface, from which address, over which router; and
//! the link-layer addresses of neighbours.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::socket::{Message, Socket, messages};
use super::{Host, MAX_ADDRESSES, READINGS, explained, read};
use crate::control::contact::group::Family;

/// Bytes before the attributes.
const LINK_HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
const NEIGHBOUR_HEADER: usize = 12;
/// In a neighbour's description (`linux/neighbour.h`).
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// In a route's description (`linux/rtnetlink.h`).
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
/// In an interface's description.
const IFLA_INFO_KIND: u16 = 1;
/// Interfaces and neighbours that are read at most.
const MAX_ENTRIES: usize = 65_536;

/// The way to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The interface's number.
    pub interface: u32,
    /// The router; `None`: the host is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The address that packets are sent from.
    pub source: Option<IpAddr>,
    /// Bytes of a packet at most, where the route says that.
    pub mtu: Option<u32>,
    /// It is this host itself.
    pub local: bool,
}

/// An interface as packets of others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's number for it.
    pub index: u32,
    /// Such as `eth0`.
    pub name: String,
    /// Its link-layer address; all zeros where it has none of six bytes.
    pub mac: [u8; 6],
    /// Bytes of a packet at most.
    pub mtu: u32,
    /// It is switched on.
    pub up: bool,
    /// Frames of Ethernet come in here from other hosts: no loopback, tunnel or dummy, and nothing that
    /// stands on top of another interface with an address of its own (macvlan).
    pub outward: bool,
}

/// What is known of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface that it is at.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address.
    pub mac: Option<[u8; 6]>,
    /// It was asked, and does not answer.
    pub failed: bool,
}

/// Something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A neighbour.
    Neighbour(Neighbour),
    /// Interfaces, addresses or routes.
    Ways,
    /// There was more than the socket holds: everything is to be read anew.
    Overflow,
}

impl Host {
    /// The way to another host; `None`: there is none.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn way(&self, to: IpAddr) -> io::Result<Option<Way>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        message.attributes = vec![RouteAttribute::Destination(route_address(to))];
        let mut found = None;
        let request = RouteNetlinkMessage::GetRoute(message);
        let asked = self.0.request(request, 0, |reply| {
            found = found.take().or(way(reply));
            Ok(())
        });
        match asked {
            Ok(()) => Ok(found),
            Err(Errno::TIMEDOUT) => Err(explained(Errno::TIMEDOUT)),
            Err(_) => Ok(None),
        }
    }

    /// Every interface.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let request = || RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.dump(request, device)
    }

    /// The addresses of all interfaces.
    ///
    /// # Errors
    /// The kernel does not answer, or the host has more than 65536 addresses.
    pub fn all_addresses(&self) -> io::Result<Vec<(u32, ipnet::IpNet)>> {
        let request = || RouteNetlinkMessage::GetAddress(Default::default());
        let found = self.dump(request, read::new_address)?;
        match found.len() > MAX_ADDRESSES {
            true => Err(explained(Errno::TOOBIG)),
            false => Ok(found),
        }
    }

    /// Every neighbour that is known.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn neighbours(&self) -> io::Result<Vec<Neighbour>> {
        let request = || RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        self.dump(request, neighbour)
    }

    /// Has the kernel find out a neighbour's link-layer address, or whether the one that it knows still
    /// holds. Whether it does is heard later.
    ///
    /// # Errors
    /// This process lacks `CAP_NET_ADMIN`, which the text then says, or there is no such interface.
    pub fn solicit(&self, interface: u32, address: IpAddr) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header = NeighbourHeader {
            family: family(address),
            ifindex: interface,
            state: NeighbourState::None,
            flags: NeighbourFlags::Use,
            ..NeighbourHeader::default()
        };
        let address = match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        };
        message.attributes = vec![NeighbourAttribute::Destination(address)];
        let request = RouteNetlinkMessage::NewNeighbour(message);
        self.tell(request, NLM_F_CREATE | NLM_F_REPLACE)
            .map_err(explained)
    }

    fn dump<T>(
        &self,
        request: impl Fn() -> RouteNetlinkMessage,
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut last = Errno::INTR;
        for _ in 0..READINGS {
            let mut all = Vec::new();
            let asked = self.0.request(request(), NLM_F_DUMP, |reply| {
                if all.len() >= MAX_ENTRIES {
                    return Err(Errno::TOOBIG);
                }
                all.extend(read(reply));
                Ok(())
            });
            match asked {
                Ok(()) => return Ok(all),
                Err(error) => last = error,
            }
            if last != Errno::INTR {
                break;
            }
        }
        Err(explained(last))
    }
}

/// Hears of changes of neighbours, interfaces, addresses and routes; never waits.
#[derive(Debug)]
pub struct WayWatch(Socket);

impl WayWatch {
    /// Link, neighbour, addresses and routes of both families (`linux/rtnetlink.h`).
    const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;

    /// Of the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// There is no room for a socket, or a sandbox forbids netlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(Self::GROUPS)?))
    }

    /// Everything that has come, of one reading; empty: nothing.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn read(&mut self) -> io::Result<Vec<News>> {
        let mut buffer = Socket::buffer();
        match self.0.receive(&mut buffer) {
            Ok(received) => Ok(messages(received).map(news).collect()),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(Errno::NOBUFS | Errno::MSGSIZE) => Ok(vec![News::Overflow]),
            Err(error) => Err(error.into()),
        }
    }
}

impl std::os::fd::AsFd for WayWatch {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn news(message: Message<'_>) -> News {
    match message.kind {
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => match neighbour_content(message.content) {
            // Forgotten, which is not the same as silent.
            Some(found) if message.kind == libc::RTM_DELNEIGH => News::Neighbour(Neighbour {
                mac: None,
                failed: false,
                ..found
            }),
            Some(found) => News::Neighbour(found),
            None => News::Ways,
        },
        _ => News::Ways,
    }
}

fn way(message: Message<'_>) -> Option<Way> {
    if message.kind != libc::RTM_NEWROUTE {
        return None;
    }
    let header = RouteHeader::parse(message.content).ok()?;
    let local = match header.kind {
        RouteType::Unicast => false,
        RouteType::Local => true,
        _ => return None,
    };
    let mut way = Way {
        interface: 0,
        gateway: None,
        source: None,
        mtu: None,
        local,
    };
    for (kind, value) in read::attributes(message.content.get(ROUTE_HEADER..)?) {
        match kind {
            libc::RTA_OIF => way.interface = value.try_into().ok().map(u32::from_ne_bytes)?,
            libc::RTA_GATEWAY => way.gateway = read::ip(value),
            // A family of two bytes, and an address.
            RTA_VIA => way.gateway = value.get(2..).and_then(read::ip),
            libc::RTA_PREFSRC => way.source = read::ip(value),
            libc::RTA_METRICS => {
                let mut metrics = read::attributes(value);
                let mtu = metrics.find(|(kind, _)| *kind == RTAX_MTU);
                way.mtu = mtu.and_then(|(_, value)| value.try_into().ok().map(u32::from_ne_bytes));
            }
            _ => {}
        }
    }
    Some(way)
}

fn device(message: Message<'_>) -> Option<Device> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let header = LinkHeader::parse(message.content).ok()?;
    let found = read::link(message.content)?;
    let mut device = Device {
        index: found.link.index,
        name: found.link.name,
        mac: found.link.mac,
        mtu: 0,
        up: found.link.up,
        outward: header.link_layer_type == LinkLayerType::Ether
            && !header.flags.contains(LinkFlags::Loopback)
            && found.link.mac != [0; 6],
    };
    for (kind, value) in read::attributes(message.content.get(LINK_HEADER..)?) {
        match kind {
            libc::IFLA_MTU => device.mtu = value.try_into().ok().map_or(0, u32::from_ne_bytes),
            libc::IFLA_LINKINFO => {
                let kind = read::attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                let kind = kind.map(|(_, kind)| read::text(kind)).unwrap_or_default();
                let inward = [
                    "dummy", "macvlan", "macvtap", "ipvlan", "tun", "ifb", "nlmon",
                ];
                device.outward &= !inward.contains(&kind.as_str());
            }
            _ => {}
        }
    }
    Some(device)
}

fn neighbour(message: Message<'_>) -> Option<Neighbour> {
    (message.kind == libc::RTM_NEWNEIGH).then(|| neighbour_content(message.content))?
}

fn neighbour_content(content: &[u8]) -> Option<Neighbour> {
    let header = NeighbourHeader::parse(content).ok()?;
    if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for (kind, value) in read::attributes(content.get(NEIGHBOUR_HEADER..)?) {
        match kind {
            NDA_DST => address = read::ip(value),
            NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
            _ => {}
        }
    }
    let knows = matches!(
        header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    );
    Some(Neighbour {
        interface: header.ifindex,
        address: address?,
        mac: mac.filter(|mac| knows && *mac != [0; 6]),
        failed: header.state == NeighbourState::Failed,
    })
}

/// The kernel's word for a family.
pub(super) fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    }
}

/// The word for an address's family.
pub(super) fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

pub(super) fn route_address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}
