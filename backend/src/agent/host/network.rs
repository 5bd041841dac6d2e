//! Interfaces, addresses and routes of this host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::netlink::{Message, Socket, attributes};

/// The loopback interface's index.
pub(super) const LOOPBACK: u32 = 1;
/// Another program changed the list while it was read: so often it is read anew.
const READINGS: usize = 5;
/// Entries of one list at most.
const MOST: usize = 65_536;

/// Interface, IPv4 address, IPv6 address (`linux/rtnetlink.h`).
const CHANGES: u32 = 0x1 | 0x10 | 0x100;

// `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;
const RTA_TABLE: u16 = 15;
const RTA_METRICS: u16 = 8;
const RTAX_ADVMSS: u16 = 8;
const RT_TABLE_MAIN: u8 = 254;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// Asks the kernel and tells it.
#[derive(Debug)]
pub(super) struct Network(Socket);

impl Network {
    /// Of the network namespace that the calling thread is in.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(0)?))
    }

    /// A socket that has something to read when interfaces or addresses change.
    pub(super) fn watch() -> io::Result<Socket> {
        Ok(Socket::open(CHANGES)?)
    }

    /// Index and name of every interface.
    pub(super) fn links(&self) -> io::Result<Vec<(u32, String)>> {
        let request = || RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.list(request, |message| {
            let content = (message.kind == RTM_NEWLINK).then_some(message.content)?;
            let index = u32::from_ne_bytes(*content.get(4..)?.first_chunk()?);
            let mut parts = attributes::read(content.get(LINK_HEADER..)?);
            let name = parts.find(|(kind, _)| *kind == IFLA_IFNAME)?.1;
            let end = name.iter().position(|byte| *byte == 0);
            let name = &name[..end.unwrap_or(name.len())];
            Some((index, String::from_utf8_lossy(name).into_owned()))
        })
    }

    /// Every address, with the index of its interface.
    pub(super) fn addresses(&self) -> io::Result<Vec<(u32, IpAddr)>> {
        let request = || RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.list(request, |message| {
            let content = (message.kind == RTM_NEWADDR).then_some(message.content)?;
            let index = u32::from_ne_bytes(*content.get(4..)?.first_chunk()?);
            let parts: Vec<_> = attributes::read(content.get(ADDRESS_HEADER..)?).collect();
            let of = |wanted| parts.iter().find(|(kind, _)| *kind == wanted);
            // With a peer, IFA_ADDRESS is the peer's.
            let value = of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS))?.1;
            Some((index, ip(value)?))
        })
    }

    /// Puts an address on the loopback interface, for this host alone. One that is there stays.
    pub(super) fn add(&self, ip: IpAddr) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewAddress(on_loopback(ip));
        match self.tell(message, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes it off again. That it is not there is no error.
    pub(super) fn remove(&self, ip: IpAddr) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelAddress(on_loopback(ip));
        match self.tell(message, 0) {
            Ok(()) | Err(Errno::ADDRNOTAVAIL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The routes of the main table that lead to a router, or everywhere, as the kernel tells them.
    pub(super) fn routers(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut routes = vec![];
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut content = vec![0; ROUTE_HEADER];
            content[0] = u8::from(family);
            self.0
                .request_raw(RTM_GETROUTE, NLM_F_DUMP, &content, |message| {
                    if message.kind == RTM_NEWROUTE && is_by_router(message.content) {
                        routes.push(message.content.to_vec());
                    }
                    match routes.len() {
                        0..MOST => Ok(()),
                        _ => Err(Errno::TOOBIG),
                    }
                })?;
        }
        Ok(routes)
    }

    /// Puts a route as it was told in place of the one that is there.
    pub(super) fn put_route(&self, route: &[u8]) -> io::Result<()> {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        Ok(self.0.request_raw(RTM_NEWROUTE, flags, route, |_| Ok(()))?)
    }

    fn tell(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
        self.0.request(message, flags, |_| Ok(()))
    }

    fn list<T>(
        &self,
        request: impl Fn() -> RouteNetlinkMessage,
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..READINGS {
            let mut list = vec![];
            let asked = self.0.request(request(), NLM_F_DUMP, |message| {
                list.extend(read(message));
                match list.len() {
                    0..MOST => Ok(()),
                    _ => Err(Errno::TOOBIG),
                }
            });
            match asked {
                Ok(()) => return Ok(list),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::INTR.into())
    }
}

/// The same route, with or without an advertised segment size (RFC 9293, 3.7.1).
pub(super) fn with_mss(route: &[u8], mss: Option<u32>) -> Option<Vec<u8>> {
    let mut changed = route.get(..ROUTE_HEADER)?.to_vec();
    // What the kernel alone may say of a route (RTM_F_ and RTNH_F_ flags) is not sent back.
    changed[8..ROUTE_HEADER].fill(0);
    // With the number of an object of its own (ip-nexthop(8)), the way itself is not to be said.
    let by_number = parts(route).any(|kind| kind == RTA_NH_ID);
    let mut metrics = vec![];
    for (kind, value) in attributes::read(route.get(ROUTE_HEADER..)?) {
        match kind & 0x3fff {
            RTA_OIF | RTA_GATEWAY | RTA_MULTIPATH | RTA_VIA if by_number => {}
            RTA_METRICS => {
                let others = attributes::read(value).filter(|(kind, _)| *kind != RTAX_ADVMSS);
                others.for_each(|(kind, value)| attributes::put(&mut metrics, kind, value));
            }
            // RTA_CACHEINFO and RTA_PREF are the kernel's words, too.
            12 | 20 => {}
            kind => attributes::put(&mut changed, kind, value),
        }
    }
    // Of two routes by the same number, the kernel takes the one without metrics for the other one; 0 is
    // none.
    let none = (by_number && metrics.is_empty()).then_some(0);
    if let Some(mss) = mss.or(none) {
        attributes::put(&mut metrics, RTAX_ADVMSS, &mss.to_ne_bytes());
    }
    if !metrics.is_empty() {
        attributes::put_nested(&mut changed, RTA_METRICS, &metrics);
    }
    Some(changed)
}

/// The segment size that a route advertises, if it says so.
pub(super) fn mss(route: &[u8]) -> Option<u32> {
    let mut parts = attributes::read(route.get(ROUTE_HEADER..)?);
    let metrics = parts.find(|(kind, _)| kind & 0x3fff == RTA_METRICS)?.1;
    let mut metrics = attributes::read(metrics);
    let mss = metrics.find(|(kind, _)| *kind == RTAX_ADVMSS)?.1;
    Some(u32::from_ne_bytes(mss.try_into().ok()?))
}

/// Whether a route is of IPv4.
pub(super) fn is_v4(route: &[u8]) -> bool {
    route.first() == Some(&u8::from(AddressFamily::Inet))
}

/// Whether a route of the main table is for everything.
pub(super) fn is_default(route: &[u8]) -> bool {
    is_main(route) && route[1] == 0 && parts(route).all(|kind| kind != RTA_DST)
}

/// Whether a route of the main table is for everything, or leads to a router: clients may be there.
fn is_by_router(route: &[u8]) -> bool {
    let leads = |kind| [RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH, RTA_NH_ID].contains(&kind);
    is_default(route) || (is_main(route) && parts(route).any(leads))
}

fn parts(route: &[u8]) -> impl Iterator<Item = u16> {
    let parts = route.get(ROUTE_HEADER..).unwrap_or_default();
    attributes::read(parts).map(|(kind, _)| kind & 0x3fff)
}

/// Whether it is a way (RTN_UNICAST) of the main table.
fn is_main(route: &[u8]) -> bool {
    let (Some(header), Some(rest)) = (route.get(..ROUTE_HEADER), route.get(ROUTE_HEADER..)) else {
        return false;
    };
    let table = attributes::read(rest).find(|(kind, _)| *kind == RTA_TABLE);
    let table = table.and_then(|(_, value)| Some(u32::from_ne_bytes((*value).try_into().ok()?)));
    let is_main = table.unwrap_or(header[4].into()) == u32::from(RT_TABLE_MAIN);
    is_main && header[7] == 1
}

fn on_loopback(ip: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = LOOPBACK;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    match ip {
        IpAddr::V4(_) => {
            message.header.family = AddressFamily::Inet;
            message.header.prefix_len = 32;
            // Connections that this host opens do not get it as their source.
            message.header.scope = AddressScope::Host;
        }
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.prefix_len = 128;
            message.header.flags = AddressHeaderFlags::Nodad;
            // Nor here: as an old address it is chosen last (RFC 6724, rule 3).
            let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
            message.attributes.push(AddressAttribute::Flags(flags));
            message
                .attributes
                .push(AddressAttribute::CacheInfo(deprecated()));
        }
    }
    message
}

fn deprecated() -> netlink_packet_route::address::CacheInfo {
    let mut info = netlink_packet_route::address::CacheInfo::default();
    info.ifa_preferred = 0;
    info.ifa_valid = u32::MAX;
    info
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route() -> Vec<u8> {
        let mut route = vec![2, 0, 0, 0, RT_TABLE_MAIN, 3, 0, 1, 1, 0, 0, 0];
        attributes::put(&mut route, RTA_TABLE, &254u32.to_ne_bytes());
        attributes::put(&mut route, 5, &[10, 0, 0, 1]);
        attributes::put(&mut route, 4, &2u32.to_ne_bytes());
        route
    }

    #[test]
    fn a_route_gets_a_segment_size_and_loses_it_again() {
        let plain = with_mss(&route(), None).unwrap();
        let changed = with_mss(&plain, Some(1440)).unwrap();
        assert_eq!((mss(&plain), mss(&changed)), (None, Some(1440)));
        assert_eq!(mss(&with_mss(&changed, Some(1400)).unwrap()), Some(1400));
        assert_eq!(with_mss(&changed, None).unwrap(), plain);
        assert!(is_default(&changed) && is_v4(&changed));
    }

    #[test]
    fn only_a_way_for_everything_is_a_default_route() {
        assert!(is_default(&route()));
        let mut network = route();
        network[1] = 24;
        let mut local = route();
        local[7] = 2;
        let mut other_table = route();
        other_table[4] = 100;
        let place = ROUTE_HEADER + 4;
        other_table[place..place + 4].copy_from_slice(&100u32.to_ne_bytes());
        for route in [&network, &local, &other_table] {
            assert!(!is_default(route));
        }
        assert!(is_by_router(&network) && !is_by_router(&local) && !is_by_router(&other_table));
        let mut link = vec![2, 24, 0, 0, RT_TABLE_MAIN, 2, 253, 1, 0, 0, 0, 0];
        attributes::put(&mut link, RTA_DST, &[10, 0, 0, 0]);
        assert!(!is_by_router(&link), "it leads to neighbours");
        attributes::put(&mut link, RTA_NH_ID, &7u32.to_ne_bytes());
        assert!(is_by_router(&link));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (is_default(&bytes), is_by_router(&bytes));
            let _ = (mss(&bytes), with_mss(&bytes, Some(1)));
        }
    }
}
