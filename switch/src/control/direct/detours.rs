//! Checks that go the way of clients' packets: to the service's address, but at one backend.
//!
//! Each backend has a mark, and a table of routes for packets with it, in which the service's address
//! is at that backend. Where the address is this host's own, the kernel would deliver such packets to
//! itself first: so the rule of own addresses, which comes first, is put behind those of the marks. For
//! all other packets one more rule is passed. Of a backend behind a router, the route leads to the router,
//! and a program at the interface's egress puts packets with its mark into the tunnel.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::accept;
use crate::control::contact::group::Family;
use crate::control::contact::host::Host;
use crate::control::health::Via;

/// Marks and tables: this and the backend's number in the lower 16 bits. As in `direct.h`.
const MARK: u32 = 0x504d_0000;
const MASK: u32 = 0xffff_0000;
/// Other packets pass the rules of the marks over.
const SKIP: u32 = 88;
/// The rules of the marks.
const MARKED: u32 = 90;
/// The rule of the host's own addresses, which stands at 0 by itself.
const OWN: u32 = 100;

/// The way of a backend's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detour {
    /// Where clients connect.
    pub service: SocketAddr,
    /// Whom packets are handed to: the backend, or the router to it.
    pub next: IpAddr,
    /// The interface's number.
    pub interface: u32,
    /// The address of this host that it is asked from.
    pub source: IpAddr,
}

impl Detour {
    /// What makes a connection go that way.
    pub fn via(&self, id: u16) -> Via {
        Via::Route {
            mark: mark(id),
            to: self.service,
        }
    }

    fn family(&self) -> Family {
        family(self.service.ip())
    }
}

/// The ways that are laid.
#[derive(Debug)]
pub struct Detours {
    /// The folder of pins.
    pins: PathBuf,
    laid: BTreeMap<u16, Detour>,
    families: Vec<Laid>,
}

/// A family whose rules stand.
#[derive(Debug)]
struct Laid {
    family: Family,
    /// The rule of own addresses stood at the beginning.
    moved: bool,
}

impl Detours {
    /// None yet; what they change of interfaces is noted in this folder.
    pub fn new(pins: &Path) -> Self {
        Self {
            pins: pins.to_owned(),
            laid: BTreeMap::new(),
            families: Vec::new(),
        }
    }

    /// Lays these ways and no others.
    ///
    /// # Errors
    /// The kernel refuses, or another program has its rules in the way.
    pub fn lay(&mut self, host: &Host, wanted: &BTreeMap<u16, Detour>) -> io::Result<()> {
        let gone = self
            .laid
            .iter()
            .filter(|(id, one)| wanted.get(*id) != Some(*one));
        let gone: Vec<u16> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            self.take_up(host, id)?;
        }
        for (id, detour) in wanted {
            if self.laid.contains_key(id) {
                continue;
            }
            self.prepare(host, detour.family())?;
            let by = (detour.interface, detour.next);
            host.set_detour(mark(*id), detour.service.ip(), by, detour.source)?;
            host.add_mark(detour.family(), mark(*id), MARKED)?;
            self.accept_answers(host, detour)?;
            self.laid.insert(*id, *detour);
        }
        for family in [Family::Ipv4, Family::Ipv6] {
            if !self.laid.values().any(|one| one.family() == family) {
                self.close(host, family)?;
            }
        }
        accept::put_back(&self.pins, host, |index| {
            let mut ipv4 = self
                .laid
                .values()
                .filter(|one| one.family() == Family::Ipv4);
            ipv4.any(|one| one.interface == index)
        })
    }

    /// Takes all of them up. What cannot be is left.
    pub fn end(&mut self, host: &Host) {
        if let Err(error) = self.lay(host, &BTreeMap::new()) {
            tracing::debug!("ways of checks are left: {error}");
        }
    }

    /// Whether this one is laid.
    pub fn is_laid(&self, id: u16, detour: &Detour) -> bool {
        self.laid.get(&id) == Some(detour)
    }

    /// Answers come from an address that is this host's own, which IPv4 takes for a forgery otherwise.
    fn accept_answers(&self, host: &Host, detour: &Detour) -> io::Result<()> {
        if detour.family() == Family::Ipv6 {
            return Ok(());
        }
        let devices = host.devices()?;
        let device = devices.iter().find(|one| one.index == detour.interface);
        device.map_or(Ok(()), |device| accept::set(&self.pins, device))
    }

    fn take_up(&mut self, host: &Host, id: u16) -> io::Result<()> {
        if let Some(detour) = self.laid.get(&id) {
            host.remove_mark(detour.family(), mark(id), MARKED)?;
            host.remove_detour(mark(id), detour.service.ip())?;
            self.laid.remove(&id);
        }
        Ok(())
    }

    fn prepare(&mut self, host: &Host, family: Family) -> io::Result<()> {
        if self.families.iter().any(|laid| laid.family == family) {
            return Ok(());
        }
        let left = sweep_family(host, family)?;
        let rules = host.rules(family)?;
        let first = rules
            .iter()
            .filter(|rule| rule.local)
            .map(|rule| rule.priority);
        let moved = match first.min() {
            Some(0) => {
                host.move_local(family, 0, OWN)?;
                true
            }
            Some(at) if at <= MARKED => {
                let text = format!(
                    "another program keeps the rule of this host's own addresses at {at}: checks \
                     cannot go the way of clients' packets"
                );
                return Err(io::Error::other(text));
            }
            _ => left,
        };
        host.add_skip(family, (MARK, MASK), SKIP, OWN)?;
        self.families.push(Laid { family, moved });
        Ok(())
    }

    fn close(&mut self, host: &Host, family: Family) -> io::Result<()> {
        let Some(place) = self.families.iter().position(|laid| laid.family == family) else {
            return Ok(());
        };
        host.remove_skip(family, (MARK, MASK), SKIP, OWN)?;
        if self.families[place].moved {
            host.move_local(family, OWN, 0)?;
        }
        self.families.remove(place);
        Ok(())
    }
}

/// Takes up what a process has left that was killed.
///
/// # Errors
/// The kernel refuses.
pub fn sweep(host: &Host) -> io::Result<()> {
    for family in [Family::Ipv4, Family::Ipv6] {
        if sweep_family(host, family)? {
            host.move_local(family, OWN, 0)?;
        }
    }
    Ok(())
}

/// Whether there was anything. Tables without a rule that leads there do no harm.
fn sweep_family(host: &Host, family: Family) -> io::Result<bool> {
    let mut found = false;
    for rule in host.rules(family)? {
        let Some(of) = rule.mark.filter(|of| of & MASK == MARK) else {
            continue;
        };
        found = true;
        match rule.skips {
            true => host.remove_skip(family, (MARK, MASK), SKIP, OWN)?,
            false => host.remove_mark(family, of, rule.priority)?,
        }
    }
    Ok(found)
}

fn mark(id: u16) -> u32 {
    MARK | u32::from(id)
}

fn family(ip: IpAddr) -> Family {
    match ip {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}
