//! Interfaces and addresses of this host (rtnetlink(7)). Requests are written with the types of
//! netlink-packet-route; of what the kernel tells, only the few fields that are needed are read,
//! so that what a later kernel tells beside them cannot make it unreadable.

mod read;
mod route;
mod rules;
mod watch;
mod ways;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

pub use rules::Rule;
pub use watch::{Change, LinkWatch};
pub use ways::{Device, Neighbour, News, Way, WayWatch};

use pointsman_backend::netlink::socket::{self, Socket};

/// Addresses of all interfaces together that are read at most.
const MAX_ADDRESSES: usize = 65_536;
/// Bytes of an interface's name at most (IFNAMSIZ, without the zero).
const MAX_NAME: usize = 15;
/// Another program changed the list while it was read: so often it is read anew.
const READINGS: usize = 5;

/// For an added address to become usable: it takes microseconds, and a millisecond on a busy host.
const SETTLING: Duration = Duration::from_millis(5);
const SETTLING_STEP: Duration = Duration::from_micros(20);

/// The loopback interface's index.
const LOOPBACK: u32 = 1;

const NEEDS_NET_ADMIN: &str = "changing addresses and interfaces needs the capability \
    CAP_NET_ADMIN, which this process lacks: grant it with `setcap \
    cap_net_admin,cap_net_raw,cap_sys_nice+ep` on the program's file, or in its systemd unit with \
    `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_NICE`";

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Such as `eth0`.
    pub name: String,
    /// Its link-layer address; all zeros where it has none of six bytes.
    pub mac: [u8; 6],
    /// It is switched on (IFF_UP).
    pub up: bool,
    /// It is on, has a carrier, and can send (IFF_LOWER_UP and IFF_RUNNING).
    pub running: bool,
}

/// How far an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere: the usual one.
    Universe,
    /// On this host alone, such as an address on `lo`; IPv6 knows no such choice.
    Host,
}

/// Asks the kernel and tells it. Every request waits for its reply a second at most; while another
/// program changes the network's configuration, the kernel may hold up a request for longer.
#[derive(Debug)]
pub struct Host(Socket);

impl Host {
    /// Of the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// There is no room for a socket, or a sandbox forbids netlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(0)?))
    }

    /// The interface of that name, if there is one.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn link(&self, name: &str) -> io::Result<Option<Link>> {
        Ok(self.find(name)?.map(|found| found.link))
    }

    /// The same, and whether it is one of software alone (`veth`, `bridge`, `vlan` and so on), which
    /// has no device that drives it.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn link_and_kind(&self, name: &str) -> io::Result<Option<(Link, bool)>> {
        let found = self.find(name)?;
        Ok(found.map(|found| {
            let is_software = !found.kind.is_empty() || found.link.index == LOOPBACK;
            (found.link, is_software)
        }))
    }

    fn find(&self, name: &str) -> io::Result<Option<read::FoundLink>> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Ok(None);
        }
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let mut found = None;
        let request = RouteNetlinkMessage::GetLink(message);
        let asked = self.0.request(request, 0, |reply| {
            found = found.take().or(read::new_link(reply));
            Ok(())
        });
        match asked {
            Ok(()) => Ok(found),
            Err(Errno::NODEV) => Ok(None),
            Err(error) => Err(explained(error)),
        }
    }

    /// The addresses of an interface, each with the length of its network's prefix.
    ///
    /// # Errors
    /// The kernel does not answer, or the host has more than 65536 addresses.
    pub fn addresses(&self, index: u32) -> io::Result<Vec<IpNet>> {
        for _ in 0..READINGS {
            match self.dump_addresses(index) {
                Err(Errno::INTR) => {}
                done => return done.map_err(explained),
            }
        }
        Err(explained(Errno::INTR))
    }

    fn dump_addresses(&self, index: u32) -> Result<Vec<IpNet>, Errno> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let (mut read, mut addresses) = (0, Vec::new());
        self.0.request(request, NLM_F_DUMP, |reply| {
            read += 1;
            if read > MAX_ADDRESSES {
                return Err(Errno::TOOBIG);
            }
            let found = read::new_address(reply);
            addresses.extend(found.filter(|found| found.0 == index).map(|found| found.1));
            Ok(())
        })?;
        Ok(addresses)
    }

    /// Adds an address, usable when this returns: duplicate address detection (RFC 4862, 5.4) would hold an
    /// IPv6 address back for a second. One that is there already is left as it is.
    ///
    /// # Errors
    /// There is no such interface, IPv6 is switched off there, or this process lacks
    /// `CAP_NET_ADMIN`, which the text then says.
    pub fn add_address(&self, index: u32, net: IpNet, scope: Scope) -> io::Result<()> {
        let mut message = address_message(index, net);
        if net.addr().is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            message.attributes.push(flags);
        }
        if scope == Scope::Host {
            message.header.scope = AddressScope::Host;
        }
        let request = RouteNetlinkMessage::NewAddress(message);
        match self.tell(request, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) => self.wait_until_local(index, net.addr()),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(explained(error)),
        }
    }

    /// The kernel enters the route to an IPv6 address of this host a moment after the address.
    /// Whoever is told of the address before would send into the void, and only try again after a
    /// second.
    fn wait_until_local(&self, index: u32, ip: IpAddr) -> io::Result<()> {
        let IpAddr::V6(ip) = ip else { return Ok(()) };
        let until = Instant::now() + SETTLING;
        while !self.is_local(index, ip)? && Instant::now() < until {
            std::thread::sleep(SETTLING_STEP);
        }
        Ok(())
    }

    fn is_local(&self, index: u32, ip: Ipv6Addr) -> io::Result<bool> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        message.header.destination_prefix_length = 128;
        message.attributes = vec![
            RouteAttribute::Destination(RouteAddress::Inet6(ip)),
            RouteAttribute::Oif(index),
        ];
        let mut is_local = false;
        let request = RouteNetlinkMessage::GetRoute(message);
        let asked = self.0.request(request, 0, |reply| {
            is_local |= read::is_local_route(reply);
            Ok(())
        });
        match asked {
            Err(Errno::TIMEDOUT) => Err(explained(Errno::TIMEDOUT)),
            // There is no route at all yet.
            _ => Ok(is_local),
        }
    }

    /// Removes an address; gives back whether it was there.
    ///
    /// IPv4: where it is the first one of its network on this interface, the kernel removes the
    /// network's others with it, unless `promote_secondaries` is set.
    ///
    /// # Errors
    /// This process lacks `CAP_NET_ADMIN`, which the text then says.
    pub fn remove_address(&self, index: u32, net: IpNet) -> io::Result<bool> {
        let request = RouteNetlinkMessage::DelAddress(address_message(index, net));
        match self.tell(request, 0) {
            Ok(()) => Ok(true),
            Err(Errno::ADDRNOTAVAIL | Errno::NODEV) => Ok(false),
            Err(error) => Err(explained(error)),
        }
    }

    /// Creates a second interface on top of another one, with a link-layer address of its own
    /// (macvlan, private mode); gives back its index. It is down. A macvlan of that name is
    /// replaced.
    ///
    /// # Errors
    /// There is another kind of interface of that name (`AlreadyExists`), the parent cannot have
    /// such a child, or this process lacks `CAP_NET_ADMIN`, which the text then says.
    pub fn create_macvlan(&self, parent: u32, name: &str, mac: [u8; 6]) -> io::Result<u32> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is no name for a network interface"),
            ));
        }
        if let Some(stale) = self.find(name)?.filter(|found| found.is_macvlan) {
            self.remove_link(stale.link.index)?;
        }
        let request = RouteNetlinkMessage::NewLink(macvlan_message(parent, name, mac));
        self.tell(request, NLM_F_CREATE | NLM_F_EXCL)
            .map_err(explained)?;
        let created = self.link(name)?;
        let created = created.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(created.index)
    }

    /// The index of the macvlan of that name, if there is one with this link-layer address on top of
    /// this interface.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn macvlan(&self, parent: u32, name: &str, mac: [u8; 6]) -> io::Result<Option<u32>> {
        let fits = |found: &read::FoundLink| {
            found.is_macvlan && found.parent == Some(parent) && found.link.mac == mac
        };
        Ok(self.find(name)?.filter(fits).map(|found| found.link.index))
    }

    /// Removes an interface; gives back whether it was there.
    ///
    /// # Errors
    /// It is of a kind that cannot be removed, or this process lacks `CAP_NET_ADMIN`, which the
    /// text then says.
    pub fn remove_link(&self, index: u32) -> io::Result<bool> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        match self.tell(RouteNetlinkMessage::DelLink(message), 0) {
            Ok(()) => Ok(true),
            Err(Errno::NODEV) => Ok(false),
            Err(error) => Err(explained(error)),
        }
    }

    /// Switches an interface on.
    ///
    /// # Errors
    /// There is none of that index, it cannot be switched on, or this process lacks
    /// `CAP_NET_ADMIN`, which the text then says.
    pub fn set_up(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.tell(RouteNetlinkMessage::SetLink(message), 0)
            .map_err(explained)
    }

    fn tell(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
        self.0.request(message, flags, |_| Ok(()))
    }
}

fn address_message(index: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = net.prefix_len();
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(net.addr()),
        AddressAttribute::Address(net.addr()),
    ];
    message
}

fn macvlan_message(parent: u32, name: &str, mac: [u8; 6]) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::Link(parent),
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(
                MacVlanMode::Private,
            )])),
        ]),
    ];
    message
}

fn explained(error: Errno) -> io::Error {
    match error {
        Errno::PERM | Errno::ACCESS => {
            io::Error::new(io::ErrorKind::PermissionDenied, NEEDS_NET_ADMIN)
        }
        Errno::TOOBIG => io::Error::other(format!(
            "this host has more than {MAX_ADDRESSES} addresses: they are not read"
        )),
        error => error.into(),
    }
}
