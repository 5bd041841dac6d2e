//! Where a group's addresses stand: its interface, and the sockets that speak for them there.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use pointsman_config::policy;

use super::announce::{Announcer, conflict, conflict::Conflicts};
use super::group::{Family, GroupId};
use super::host::guardian::Farewell;
use super::host::virtual_mac::VirtualMac;
use super::host::{Host, Link, Scope};
use super::plan::GroupPlan;
use super::vrrp::{Advert, Checksum, Discard, TTL, VrrpSocket, multicast_group, socket};

/// An interface that is there, with everything open that a takeover needs.
#[derive(Debug)]
pub(super) struct Place {
    /// The interface.
    pub(super) link: Link,
    /// From which adverts are sent.
    pub(super) own: IpAddr,
    /// Adverts.
    pub(super) socket: VrrpSocket,
    /// Claims of others, of IPv4.
    pub(super) conflicts: Option<Conflicts>,
    announcer: Announcer,
    virtual_mac: Option<VirtualMac>,
    checksum: policy::Checksum,
    /// As which unicast peers sum up.
    learned: HashMap<IpAddr, Checksum>,
}

/// The greatest index that an interface could have.
const NO_LINK: u32 = i32::MAX as u32;

/// An advert that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) from: IpAddr,
    pub(super) priority: u8,
    pub(super) interval: std::time::Duration,
}

impl Place {
    /// Opens everything on the group's interface. A successor goes on with the device that the
    /// process before has for a virtual MAC.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub(super) fn open(host: &Host, plan: &GroupPlan, succeeds: bool) -> Result<Self, String> {
        let name = &plan.interface;
        let of = |what: &str, error: io::Error| format!("contact: {name}: {what}: {error}");
        // Nothing has this index: what is wanted is whether it may be asked for.
        host.remove_link(NO_LINK)
            .map_err(|error| of("addresses", error))?;
        let link = host
            .link(name)
            .map_err(|error| of("the interface", error))?
            .ok_or_else(|| format!("contact: there is no interface `{name}`"))?;
        let own = own_address(host, plan, &link)?;
        let multicast = plan.unicast.is_empty();
        let socket = VrrpSocket::open(name, link.index, own, multicast)
            .map_err(|error| of("VRRP", error))?;
        let virtual_mac = plan
            .virtual_mac
            .then(|| virtual_mac(host, &link, plan.id, succeeds))
            .transpose()
            .map_err(|error| of("virtual_mac", error))?;
        let (index, mac) = match &virtual_mac {
            Some(virtual_mac) => (virtual_mac.index, virtual_mac.mac),
            None => (link.index, link.mac),
        };
        let announcer = Announcer::open(index, mac).map_err(|error| of("announcing", error))?;
        let mut place = Self {
            link,
            own,
            socket,
            conflicts: None,
            announcer,
            virtual_mac,
            checksum: plan.checksum,
            learned: HashMap::new(),
        };
        place
            .watch(&plan.addresses)
            .map_err(|error| of("ARP", error))?;
        Ok(place)
    }

    /// Another policy holds for the same interface.
    pub(super) fn change(&mut self, plan: &GroupPlan) {
        self.checksum = plan.checksum;
        if let Err(error) = self.watch(&plan.addresses) {
            tracing::warn!("{}: claims of others are not seen: {error}", self.link.name);
        }
    }

    /// Another process goes on with what stands on the interface.
    pub(super) fn bequeath(&mut self) {
        if let Some(virtual_mac) = &mut self.virtual_mac {
            virtual_mac.leave();
        }
    }

    /// This process goes on with what stands on the interface.
    pub(super) fn inherit(&mut self) {
        if let Some(virtual_mac) = &mut self.virtual_mac {
            virtual_mac.claim();
        }
    }

    /// Where the addresses are put: the interface, or the device of the virtual MAC.
    pub(super) fn index(&self) -> u32 {
        self.virtual_mac
            .as_ref()
            .map_or(self.link.index, |virtual_mac| virtual_mac.index)
    }

    /// The name of that.
    pub(super) fn name(&self) -> &str {
        let virtual_mac = self.virtual_mac.as_ref();
        virtual_mac.map_or(&self.link.name, |virtual_mac| virtual_mac.name())
    }

    /// The device that is to be removed with the addresses.
    pub(super) fn device(&self) -> Option<u32> {
        self.virtual_mac
            .as_ref()
            .map(|virtual_mac| virtual_mac.index)
    }

    /// The link-layer address that frames for this switch itself go to.
    pub(super) fn mac(&self) -> [u8; 6] {
        self.link.mac
    }

    /// Puts the addresses on the network and announces each at once.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub(super) fn acquire(&self, host: &Host, addresses: &[IpNet]) -> io::Result<()> {
        let mut outcome = Ok(());
        for net in addresses {
            match host.add_address(self.index(), self.as_put(*net), Scope::Universe) {
                Ok(()) => self.announce(&[*net]),
                Err(error) if outcome.is_ok() => {
                    outcome = Err(io::Error::new(error.kind(), format!("{net}: {error}")));
                }
                Err(_) => {}
            }
        }
        outcome
    }

    /// Takes the addresses off the network.
    pub(super) fn release(&self, host: &Host, addresses: &[IpNet]) {
        for net in addresses {
            if let Err(error) = host.remove_address(self.index(), self.as_put(*net)) {
                tracing::error!("{net} could not be taken off {}: {error}", self.link.name);
            }
        }
    }

    /// As the address stands on its device: there, another route to the network than the
    /// interface's own would draw the host's own traffic.
    pub(super) fn as_put(&self, net: IpNet) -> IpNet {
        match self.virtual_mac {
            Some(_) => IpNet::from(net.addr()),
            None => net,
        }
    }

    /// The same for several.
    pub(super) fn all_as_put(&self, nets: &[IpNet]) -> Vec<IpNet> {
        nets.iter().map(|net| self.as_put(*net)).collect()
    }

    /// Tells the neighbours where the addresses are.
    pub(super) fn announce(&self, addresses: &[IpNet]) {
        for net in addresses {
            if let Err(error) = self.announcer.announce(net.addr()) {
                tracing::debug!("{net} could not be announced: {error}");
            }
        }
    }

    /// Sends an advert to all members; how many went out.
    pub(super) fn advertise(&self, plan: &GroupPlan, priority: u8) -> u64 {
        let mut sent = 0;
        for (destination, packet) in self.adverts(plan, priority) {
            match self.socket.send(&packet, destination) {
                Ok(()) => sent += 1,
                Err(error) => tracing::debug!("advert to {destination}: {error}"),
            }
        }
        sent
    }

    /// What another process is to send should this one die.
    pub(super) fn farewells(&self, plan: &GroupPlan) -> Vec<Farewell> {
        let adverts = self.adverts(plan, 0).into_iter();
        let farewell = |(destination, packet)| Farewell {
            interface: self.link.name.clone(),
            index: self.link.index,
            source: self.own,
            destination,
            port: None,
            packet,
        };
        adverts.map(farewell).collect()
    }

    fn adverts(&self, plan: &GroupPlan, priority: u8) -> Vec<(IpAddr, Vec<u8>)> {
        let advert = Advert {
            group: plan.id.number,
            priority,
            interval: plan.interval,
            addresses: plan.addresses.iter().map(IpNet::addr).collect(),
        };
        let destinations = match plan.unicast.as_slice() {
            [] => vec![multicast_group(plan.id.family)],
            peers => peers
                .iter()
                .copied()
                .filter(|peer| *peer != self.own)
                .collect(),
        };
        let encoded = destinations.into_iter().map(|destination| {
            let checksum = self.checksum_for(destination);
            (destination, advert.encode(checksum, self.own, destination))
        });
        encoded.collect()
    }

    fn checksum_for(&self, destination: IpAddr) -> Checksum {
        match self.checksum {
            policy::Checksum::PseudoHeader => Checksum::PseudoHeader,
            policy::Checksum::Rfc9568 => Checksum::Plain,
            policy::Checksum::Auto => {
                let learned = self.learned.get(&destination);
                learned.copied().unwrap_or(Checksum::PseudoHeader)
            }
        }
    }

    /// The next advert of the group that can be believed, or why one cannot be.
    pub(super) fn next_advert(&mut self, plan: &GroupPlan) -> Option<Result<Heard, &'static str>> {
        let mut buffer = [0; socket::BUFFER];
        let packet = match self.socket.receive(&mut buffer) {
            Ok(packet) => packet?,
            Err(error) => {
                tracing::debug!("adverts: {error}");
                return None;
            }
        };
        let (source, destination) = (packet.source, packet.destination);
        if packet.ttl != TTL {
            return Some(Err(Discard::Ttl.word()));
        }
        if !plan.unicast.is_empty() && !plan.unicast.contains(&source) {
            return Some(Err("source"));
        }
        let decoded = Advert::decode(packet.payload, source, destination, true);
        let (advert, checksum) = match decoded {
            Ok(decoded) => decoded,
            Err(discard) => return Some(Err(discard.word())),
        };
        if advert.group != plan.id.number {
            return Some(Err("other-group"));
        }
        let same = plan
            .addresses
            .iter()
            .map(IpNet::addr)
            .eq(advert.addresses.iter().copied());
        if !same && plan.id.number == advert.group && advert.priority > 0 {
            return Some(Err("addresses"));
        }
        if plan.unicast.contains(&source) {
            self.learned.insert(source, checksum);
        }
        Some(Ok(Heard {
            from: source,
            priority: advert.priority,
            interval: advert.interval,
        }))
    }

    /// Whoever claims one of the addresses; `None`: nobody does now.
    pub(super) fn next_claim(&self) -> Option<conflict::Claim> {
        let mut buffer = [0; conflict::BUFFER];
        self.conflicts.as_ref()?.next(&mut buffer).ok()?
    }

    fn watch(&mut self, addresses: &[IpNet]) -> io::Result<()> {
        let v4: Vec<Ipv4Addr> = addresses
            .iter()
            .filter_map(|net| match net.addr() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            })
            .collect();
        if v4.is_empty() {
            return Ok(());
        }
        let own = self
            .virtual_mac
            .as_ref()
            .map_or(self.link.mac, |virtual_mac| virtual_mac.mac);
        // To open another socket would take longer than heartbeats can wait.
        let mut conflicts = match self.conflicts.take() {
            Some(open) => open,
            None => Conflicts::open(self.link.index)?,
        };
        conflicts.watch(&v4, own)?;
        self.conflicts = Some(conflicts);
        Ok(())
    }
}

fn virtual_mac(host: &Host, link: &Link, id: GroupId, succeeds: bool) -> io::Result<VirtualMac> {
    let adopted = match succeeds {
        true => VirtualMac::adopt(host, link, id)?,
        false => None,
    };
    adopted.map_or_else(|| VirtualMac::create(host, link, id), Ok)
}

/// The address of this switch itself: the policy's, or the interface's first one that is no contact
/// address. Over IPv6 it is link-local unless the peers are not (RFC 9568, 5.1.2.1).
fn own_address(host: &Host, plan: &GroupPlan, link: &Link) -> Result<IpAddr, String> {
    if let Some(source) = plan.source {
        return Ok(source);
    }
    let there = host
        .addresses(link.index)
        .map_err(|error| format!("contact: {}: {error}", link.name))?;
    let far = plan.unicast.iter().any(|peer| !is_link_local(*peer));
    let mut fit = there.iter().map(IpNet::addr).filter(|ip| {
        let contact = plan.addresses.iter().any(|net| net.addr() == *ip);
        let near = plan.id.family == Family::Ipv4 || is_link_local(*ip) != far;
        Family::of(*ip) == plan.id.family && !contact && near
    });
    fit.next().ok_or_else(|| {
        let family = match plan.id.family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 if far => "global IPv6",
            Family::Ipv6 => "link-local IPv6",
        };
        format!(
            "contact: {} has no {family} address of its own beside the contact addresses: give it \
             one, or name `source`",
            link.name
        )
    })
}

/// Whether an address of IPv6 is for its link alone.
pub(super) fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
