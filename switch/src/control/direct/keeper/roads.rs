//! How packets get to backends: by which interface, to which link-layer address, in a tunnel or not.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Keeper, Network};
use crate::control::contact::host::{Device, Neighbour, Way};
use crate::control::direct::face::{Hop, Path};
use crate::control::direct::source::with_own_source;
use crate::control::journal::Happening;

/// How often a neighbour is asked that has not answered yet.
const ASKING: Duration = Duration::from_millis(900);
/// How often the kernel is told that a neighbour is in use: it never sees the packets that are passed
/// on, and would not notice that the link-layer address is another one.
const USING: Duration = Duration::from_secs(5);

/// The road to one address.
#[derive(Debug, Clone, Default)]
pub(super) struct Road {
    /// The way that the kernel knows.
    way: Option<Way>,
    /// The interface's link-layer address.
    source_mac: [u8; 6],
    /// Bytes of a packet at most.
    mtu: u32,
    /// Whom frames go to: the backend or a router.
    next: Option<IpAddr>,
    /// Its link-layer address, as last known.
    mac: Option<[u8; 6]>,
    /// It was asked and does not answer.
    failed: bool,
    asked: Option<Instant>,
    /// Why there is none.
    pub(super) trouble: Option<String>,
}

impl Road {
    /// How packets go, if that is known.
    pub(super) fn hop(&self) -> Option<Hop> {
        let (way, mac) = (self.way?, self.mac?);
        let (interface, source_mac) = (way.interface, self.source_mac);
        match way.gateway {
            None => Some(Hop::Neighbour {
                interface,
                source_mac,
                mac,
            }),
            Some(_) => Some(Hop::Tunnel {
                interface,
                source_mac,
                mac,
                source: way.source?,
                mtu: self.mtu.min(u16::MAX.into()) as u16,
            }),
        }
    }

    /// How checks get there: the interface, whom packets are handed to, and the address to ask from. A
    /// tunnel is known to the kernel once its router has answered; before, the router would get packets
    /// as they are.
    pub(super) fn detour(&self) -> Option<(u32, IpAddr, IpAddr)> {
        let way = self.way.filter(|_| self.trouble.is_none())?;
        let is_known = way.gateway.is_none() || self.hop().is_some();
        is_known.then_some((way.interface, self.next?, way.source?))
    }

    /// The interface, if a tunnel begins there.
    pub(super) fn tunnel(&self) -> Option<u32> {
        let way = self.way.filter(|way| way.gateway.is_some())?;
        Some(way.interface)
    }

    /// The address of this host that the backend is asked from at its own address.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.way?.source
    }

    /// Whether packets get there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.failed && self.trouble.is_none() && self.hop().is_some()
    }

    /// Takes the way that the kernel knows now.
    fn follow(&mut self, to: IpAddr, way: Option<Way>, devices: &[Device]) {
        let device = way.and_then(|way| devices.iter().find(|one| one.index == way.interface));
        self.trouble = match (&way, device) {
            (None, _) => Some("there is no route to it".to_owned()),
            (Some(way), _) if way.local => Some("it is an address of this host".to_owned()),
            (_, Some(device)) if device.mac == [0; 6] => Some(format!(
                "the way to it is {}, which is no Ethernet",
                device.name
            )),
            (_, Some(device)) if !device.up => Some(format!("{} is down", device.name)),
            (_, None) => Some("the way to it has no interface".to_owned()),
            _ => None,
        };
        let next = way.map(|way| way.gateway.unwrap_or(to));
        let old = (self.way.map(|way| way.interface), self.next);
        if old != (way.map(|way| way.interface), next) {
            (self.mac, self.failed, self.asked) = (None, false, None);
        }
        self.way = way;
        self.next = next;
        if let Some(device) = device {
            self.source_mac = device.mac;
            let mtu = way.and_then(|way| way.mtu).unwrap_or(device.mtu);
            self.mtu = mtu.min(device.mtu);
        }
    }

    /// What is known of a neighbour; whether that changes anything.
    fn learn(&mut self, neighbour: &Neighbour) -> bool {
        let own = self.way.map(|way| way.interface) == Some(neighbour.interface)
            && self.next == Some(neighbour.address);
        if !own {
            return false;
        }
        let before = (self.mac, self.failed);
        match neighbour.mac {
            Some(mac) => (self.mac, self.failed) = (Some(mac), false),
            None if neighbour.failed => self.failed = true,
            // It is being asked, or was forgotten: what was known holds until it is known better.
            None => self.asked = self.asked.filter(|_| self.mac.is_none()),
        }
        before != (self.mac, self.failed)
    }

    /// Whether the neighbour is to be asked.
    fn asks(&self, now: Instant) -> bool {
        let pause = match self.mac.is_some() && !self.failed {
            true => USING,
            false => ASKING,
        };
        self.trouble.is_none() && self.asked.is_none_or(|asked| now >= asked + pause)
    }
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// Looks the ways up where they may be others, and asks neighbours.
    pub(super) fn find_ways(&mut self, now: Instant) {
        let wanted = self.addresses();
        self.roads.retain(|address, _| wanted.contains(address));
        let new = wanted.iter().any(|one| !self.roads.contains_key(one));
        if self.lost || new {
            if let Err(error) = self.look_up(&wanted) {
                self.trouble("network", error.to_string());
            } else {
                self.lost = false;
            }
        }
        let mut asked = Vec::new();
        for road in self.roads.values_mut().filter(|road| road.asks(now)) {
            if let (Some(way), Some(next)) = (road.way, road.next) {
                road.asked = Some(now);
                asked.push((way.interface, next));
            }
        }
        asked.sort_unstable();
        asked.dedup();
        for (interface, next) in asked {
            if let Err(error) = self.net.solicit(interface, next) {
                self.trouble(format!("neighbour {next}"), error.to_string());
            }
        }
        let unknown = |road: &Road| road.trouble.is_none() && !road.is_open();
        if self.roads.values().any(unknown) {
            self.next = self.next.min(now + ASKING);
        }
    }

    fn look_up(&mut self, wanted: &BTreeSet<IpAddr>) -> std::io::Result<()> {
        let devices = self.net.devices()?;
        let addresses = self.net.addresses()?;
        for address in wanted {
            let way = self.net.way(*address)?;
            let way =
                way.map(|way| with_own_source(way, *address, &addresses, |ip| self.serves(ip)));
            self.roads
                .entry(*address)
                .or_default()
                .follow(*address, way, &devices);
        }
        for neighbour in self.net.neighbours()? {
            self.neighbour(&neighbour);
        }
        Ok(())
    }

    fn serves(&self, ip: IpAddr) -> bool {
        let mut served = self.plan.iter().flat_map(|plan| plan.services.keys());
        served.any(|key| key.address == ip)
    }

    /// Every address that packets are to get to.
    fn addresses(&self) -> BTreeSet<IpAddr> {
        let planned = self.plan.iter().flat_map(|plan| plan.backends.keys());
        let planned = planned.map(|identity| identity.address);
        let retired = self.retired.values().map(|retired| retired.address);
        planned.chain(retired).collect()
    }

    /// Something is known of a neighbour; whether that changes anything.
    pub(super) fn neighbour(&mut self, neighbour: &Neighbour) -> bool {
        let mut changed = false;
        let mut told = Vec::new();
        for (address, road) in &mut self.roads {
            let (was_open, was_failed, old) = (road.is_open(), road.failed, road.mac);
            if !road.learn(neighbour) {
                continue;
            }
            changed = true;
            if road.failed && !was_failed {
                told.push(lost(*address, neighbour.address));
            } else if was_failed && road.is_open() {
                told.push(found(*address, neighbour.address));
            } else if was_open && old != road.mac {
                told.push(moved(*address, neighbour.address));
            }
        }
        self.happenings.extend(told);
        changed
    }
}

fn lost(address: IpAddr, next: IpAddr) -> Happening {
    let text = match address == next {
        true => format!("{address} does not answer on its network: it gets no packets"),
        false => format!("{next}, the router to {address}, does not answer: it gets no packets"),
    };
    Happening::warning("direct-neighbour-lost", text).about("address", address.to_string())
}

fn found(address: IpAddr, next: IpAddr) -> Happening {
    let text = match address == next {
        true => format!("{address} answers again on its network"),
        false => format!("{next}, the router to {address}, answers again"),
    };
    Happening::info("direct-neighbour-found", text).about("address", address.to_string())
}

fn moved(address: IpAddr, next: IpAddr) -> Happening {
    let text = format!("{next} has another link-layer address: packets to {address} follow");
    Happening::info("direct-neighbour-moved", text).about("address", address.to_string())
}
