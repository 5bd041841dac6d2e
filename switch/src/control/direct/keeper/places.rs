//! The interfaces at which packets to services arrive.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Keeper, Network};
use crate::control::contact::host::Device;
use crate::control::direct::face::{Attached, Hook, Mode, Path};
use crate::control::journal::Happening;

/// What a service needs of interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its address.
    pub address: IpAddr,
    /// Where packets are to be taken up.
    pub mode: Mode,
    /// The interface on which the address is held, where the policy says that.
    pub interface: Option<String>,
    /// The link-layer address that packets come to there, if it is not the interface's.
    pub virtual_mac: Option<[u8; 6]>,
}

/// An interface that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The interface's number.
    pub(super) index: u32,
    /// What was asked for.
    mode: Mode,
    /// What it became.
    pub(super) hook: Hook,
    /// What was tried before, and why it was not.
    pub(super) passed_over: Vec<String>,
}

/// Which interfaces are to be attached, and how. The one that holds an address; for an address that
/// stands on none, or on one where nothing arrives (as `lo`), every one on which the host has another
/// address: routers may send it there, and an address may come later.
pub(super) fn wanted(
    wishes: &[Wish],
    devices: &[Device],
    addresses: &[(u32, IpNet)],
) -> BTreeMap<String, Mode> {
    let mut wanted: BTreeMap<String, Mode> = BTreeMap::new();
    let served = |ip: IpAddr| wishes.iter().any(|wish| wish.address == ip);
    let link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    for wish in wishes {
        let holds = |device: &&Device| match &wish.interface {
            Some(name) => device.name == *name,
            None => {
                let mut own = addresses.iter().filter(|(index, _)| *index == device.index);
                device.outward && own.any(|(_, net)| net.addr() == wish.address)
            }
        };
        let mut names: Vec<&str> = devices
            .iter()
            .filter(holds)
            .map(|device| device.name.as_str())
            .collect();
        if names.is_empty() && wish.interface.is_none() {
            let arrives = |device: &&Device| {
                let mut own = addresses.iter().filter(|(index, _)| *index == device.index);
                let usual = |ip: IpAddr| !served(ip) && !link_local(ip);
                device.outward && device.up && own.any(|(_, net)| usual(net.addr()))
            };
            let some = devices.iter().filter(arrives);
            names = some.map(|device| device.name.as_str()).collect();
        }
        for name in names {
            let mode = wanted.entry(name.to_owned()).or_insert(wish.mode);
            if *mode == Mode::Auto {
                *mode = wish.mode;
            }
        }
    }
    wanted
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// Attaches what the plan wants and leaves what it does not.
    pub(super) fn attach_all(&mut self) {
        let wishes: Vec<Wish> = self.plan.iter().flat_map(super::Plan::wishes).collect();
        if let Err(error) = self.accept_macs(&wishes) {
            self.trouble("link-layer addresses", error.to_string());
        }
        let (devices, wanted) = match self.look_around(&wishes) {
            Ok(found) => found,
            Err(error) => return self.trouble("network", error.to_string()),
        };
        for (name, mode) in &wanted {
            if let Err(error) = self.attach(name, *mode, &devices) {
                self.trouble(name.clone(), error.to_string());
            }
        }
        for wish in wishes.iter().filter_map(|wish| wish.interface.as_ref()) {
            if !wanted.contains_key(wish) {
                self.trouble(wish.clone(), "there is no such interface");
            }
        }
        if wanted.is_empty() && !wishes.is_empty() {
            self.trouble(
                "interfaces",
                "packets to the services arrive at no interface",
            );
        }
        self.leave(&wanted, &devices);
    }

    /// Attaches what these wishes want, and leaves nothing.
    pub(super) fn attach_for(&mut self, wishes: &[Wish]) -> Result<(), String> {
        self.accept_macs(wishes)
            .map_err(|error| error.to_string())?;
        let (devices, wanted) = self
            .look_around(wishes)
            .map_err(|error| format!("the network cannot be looked at: {error}"))?;
        for (name, mode) in &wanted {
            self.attach(name, *mode, &devices)
                .map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }

    /// Before a group's address is here: when it comes, so do packets to it.
    fn accept_macs(&mut self, wishes: &[Wish]) -> io::Result<()> {
        let mut macs = wishes.iter().filter_map(|wish| wish.virtual_mac);
        macs.try_for_each(|mac| self.path.accept_mac(mac))
    }

    fn look_around(
        &mut self,
        wishes: &[Wish],
    ) -> io::Result<(Vec<Device>, BTreeMap<String, Mode>)> {
        let devices = self.net.devices()?;
        let addresses = self.net.addresses()?;
        let wanted = wanted(wishes, &devices, &addresses);
        Ok((devices, wanted))
    }

    fn attach(&mut self, name: &str, mode: Mode, devices: &[Device]) -> io::Result<()> {
        let index = devices.iter().find(|one| one.name == name);
        let index = index.map_or(0, |device| device.index);
        if let Some(place) = self.places.get(name)
            && (place.index, place.mode) == (index, mode)
        {
            return Ok(());
        }
        let Attached {
            index,
            hook,
            replaced,
            passed_over,
            ..
        } = self.path.attach(name, mode)?;
        let place = Place {
            index,
            mode,
            hook,
            passed_over,
        };
        let word = hook.word();
        let text = match replaced {
            true => format!("{name} is attached by {word}, in place of a former process"),
            false => format!("{name} is attached by {word}"),
        };
        let event = Happening::info("direct-attached", text);
        self.happenings
            .push(event.about("interface", name).about("hook", word));
        self.places.insert(name.to_owned(), place);
        Ok(())
    }

    /// Leaves all interfaces that nobody wants, those of a former process as well.
    fn leave(&mut self, wanted: &BTreeMap<String, Mode>, devices: &[Device]) {
        let mut names: Vec<String> = self.places.keys().cloned().collect();
        for (index, _) in self.path.attached() {
            let known = devices.iter().find(|device| device.index == index);
            names.extend(known.map(|device| device.name.clone()));
        }
        names.sort_unstable();
        names.dedup();
        for name in names.iter().filter(|name| !wanted.contains_key(*name)) {
            match self.path.detach(name) {
                Ok(()) => {
                    self.places.remove(name);
                    let text = format!("{name} is left: no service needs it any more");
                    let event = Happening::info("direct-detached", text);
                    self.happenings.push(event.about("interface", name));
                }
                Err(_) if !devices.iter().any(|device| device.name == *name) => {
                    // It went with its interface.
                    self.places.remove(name);
                }
                Err(error) => self.trouble(name.clone(), error.to_string()),
            }
        }
    }
}
