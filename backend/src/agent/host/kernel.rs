//! Changes as the kernel makes them and takes them back.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::book::Hands;
use super::change::Change;
use super::decap;
use super::mptcp::{Endpoint, PathManager};
use super::network::{self, Network};
use super::setting;

/// Whether a connection may begin further paths to the address that it began at: not to the contact
/// address, where the switch may send them to another server (RFC 8684, 3.1, flag C).
const ALLOW_JOIN: &str = "net/mptcp/allow_join_initial_addr_port";
const ENABLED: &str = "net/mptcp/enabled";
/// Further paths that a connection has at most, and addresses that it takes.
const PATHS: u32 = 4;
/// The first number of our endpoints: people count from 1.
const FIRST_ID: u8 = 100;
/// What the largest packet in a tunnel has room for on a network of 1500 bytes: two headers of IP and
/// one of TCP are gone from it.
const MSS_V4: u32 = 1440;
const MSS_V6: u32 = 1400;
/// Routes that are changed at most.
const MOST_ROUTES: usize = 256;

/// Makes changes.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    network: &'a Network,
}

impl<'a> Kernel<'a> {
    pub(super) fn new(network: &'a Network) -> Self {
        Self { network }
    }
}

impl Hands for Kernel<'_> {
    fn make(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Address { ip } => self.network.add(*ip),
            Change::Setting { name, value, .. } => match setting::read(name)? == *value {
                true => Ok(()),
                false => setting::write(name, value),
            },
            Change::Endpoint { id, ip, signal } => {
                PathManager::open()?.add(endpoint(*id, *ip, *signal))
            }
            Change::Limits { value, .. } => PathManager::open()?.set_limits(*value),
            Change::Tunnel { interface, pins } => decap::pin(interface, pins),
            Change::Mss { route, value, .. } => self.set_mss(route, Some(*value)),
        }
    }

    fn take_back(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Address { ip } => self.network.remove(*ip),
            Change::Setting {
                name,
                before,
                value,
            } => match setting::read(name)? == *value {
                true => setting::write(name, before),
                false => Ok(()),
            },
            Change::Endpoint { id, ip, signal } => {
                PathManager::open()?.remove(endpoint(*id, *ip, *signal))
            }
            Change::Limits { before, value } => {
                let paths = PathManager::open()?;
                match paths.limits()? == *value {
                    true => paths.set_limits(*before),
                    false => Ok(()),
                }
            }
            Change::Tunnel { pins, .. } => decap::unpin(pins),
            Change::Mss {
                route,
                before,
                value,
            } => {
                let route = unhex(route)?;
                let now = self.network.routers()?;
                // Another one has come in its place: it is somebody else's.
                let ours = |now: &&Vec<u8>| {
                    network::with_mss(now, None) == network::with_mss(&route, None)
                };
                match now.iter().find(ours).and_then(|now| network::mss(now)) {
                    Some(mss) if mss == *value => self.put(&route, *before),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Kernel<'_> {
    fn set_mss(&self, route: &str, mss: Option<u32>) -> io::Result<()> {
        let route = unhex(route)?;
        let now = self.network.routers()?;
        let is_there = now.iter().any(|now| {
            network::mss(now) == mss
                && network::with_mss(now, None) == network::with_mss(&route, None)
        });
        match is_there {
            true => Ok(()),
            false => self.put(&route, mss),
        }
    }

    fn put(&self, route: &[u8], mss: Option<u32>) -> io::Result<()> {
        let changed = network::with_mss(route, mss);
        let changed = changed.ok_or_else(|| io::Error::other("the route cannot be read"))?;
        self.network.put_route(&changed)
    }
}

/// Routes by routers, which are to advertise shorter segments, as packets grow in a tunnel. Where a
/// routing daemon has put very many here, those for everything alone. With whether each is for everything.
pub(super) fn shorter_segments(network: &Network) -> io::Result<Vec<(Change, bool)>> {
    let mut routes = network.routers()?;
    if routes.len() > MOST_ROUTES {
        routes.retain(|route| network::is_default(route));
    }
    let routes = routes.into_iter();
    let change = |route: Vec<u8>| {
        let value = match network::is_v4(&route) {
            true => MSS_V4,
            false => MSS_V6,
        };
        let before = network::mss(&route);
        // Without it, so that it is the same route before and after.
        let plain = network::with_mss(&route, None)?;
        let change = Change::Mss {
            route: hex(&plain),
            before,
            value,
        };
        let is_shorter = before.is_some_and(|before| before < value);
        (!is_shorter).then(|| (change, network::is_default(&route)))
    };
    Ok(routes.filter_map(change).collect())
}

/// What has to be so that clients of MPTCP go on by the server's own addresses, and whether it is so
/// already.
pub(super) fn paths(own: &BTreeSet<IpAddr>, contact: &[IpAddr]) -> io::Result<Vec<(Change, bool)>> {
    let manager = PathManager::open()?;
    if setting::read(ENABLED)? == "0" {
        return Err(io::Error::other(
            "MPTCP is switched off: set net.mptcp.enabled = 1",
        ));
    }
    let join = Change::Setting {
        name: ALLOW_JOIN.to_owned(),
        before: setting::read(ALLOW_JOIN)?,
        value: "0".to_owned(),
    };
    let is_off = matches!(&join, Change::Setting { before, .. } if before == "0");
    let before = manager.limits()?;
    let value = (before.0.max(PATHS), before.1.max(PATHS));
    let mut changes = vec![
        (join, is_off),
        (Change::Limits { before, value }, before == value),
    ];
    let known = manager.endpoints()?;
    let mut taken: BTreeSet<u8> = known.iter().map(|known| known.id).collect();
    let ours = own.iter().map(|ip| (ip, true));
    for (ip, signal) in ours.chain(contact.iter().map(|ip| (ip, false))) {
        let there = known.iter().find(|known| known.ip == *ip);
        let id = match there {
            Some(there) => there.id,
            None => (FIRST_ID..=u8::MAX)
                .find(|id| taken.insert(*id))
                .ok_or_else(|| io::Error::other("MPTCP has no room for a further address"))?,
        };
        changes.push((
            Change::Endpoint {
                id,
                ip: *ip,
                signal,
            },
            there.is_some(),
        ));
    }
    Ok(changes)
}

fn endpoint(id: u8, ip: IpAddr, signal: bool) -> Endpoint {
    Endpoint { id, ip, signal }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    bytes.ok_or_else(|| io::Error::other("the state's route cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_outlives_its_text() {
        assert_eq!(unhex(&hex(&[0, 17, 255])).unwrap(), [0, 17, 255]);
        assert!(unhex("0g").is_err() && unhex("é").is_err());
    }
}
