//! Addresses that a routing daemon announces: they stand on a TUN device that this process owns, so
//! that the route dies with it. BIRD's `direct` protocol, or FRR's `redistribute connected`, passes
//! it on.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::SystemTime;

use ipnet::IpNet;

use super::group::Role;
use super::host::{AddressDevice, Held, Host, Scope};
use super::plan::RoutedPlan;
use super::relay::soft::LOOPBACK;
use super::status::ContactStatus;
use crate::control::clock::rfc3339;
use crate::metrics::{AddressFigures, address_label};

/// The device and its addresses.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) plan: RoutedPlan,
    device: AddressDevice,
    /// Whether the addresses are announced.
    pub(super) is_announced: bool,
    why: &'static str,
    since: SystemTime,
}

impl Routed {
    /// Makes the device, without addresses; or takes part in that of the process which this one
    /// takes over from.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub(super) fn open(host: &Host, plan: RoutedPlan, succeeds: bool) -> Result<Self, String> {
        let device = match succeeds {
            true => AddressDevice::take_over(host, &plan.device),
            false => AddressDevice::create(host, &plan.device),
        };
        Ok(Self {
            device: device.map_err(|error| format!("contact: {error}"))?,
            plan,
            is_announced: false,
            why: "it has not begun to serve yet",
            since: SystemTime::now(),
        })
    }

    /// The process before has announced the addresses: they are this one's now. Those that only its
    /// policy knew go.
    pub(super) fn inherit(&mut self, host: &Host) {
        self.is_announced = true;
        let there = host.addresses(self.device.index).unwrap_or_default();
        let unknown = |net: &&IpNet| !self.plan.addresses.contains(&net.addr());
        for net in there.iter().filter(unknown) {
            if let Err(error) = host.remove_address(self.device.index, *net) {
                tracing::error!("{net} could not be withdrawn: {error}");
            }
        }
        if let Err(error) = self.announce(host) {
            tracing::error!("{}: {error}", self.plan.device);
        }
    }

    /// The addresses are this switch's from now on, and their routes are there to be announced.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub(super) fn announce(&mut self, host: &Host) -> io::Result<()> {
        for ip in &self.plan.addresses {
            self.device.add(host, *ip)?;
            host.remove_address(LOOPBACK, IpNet::from(*ip))?;
        }
        self.turn(true, "there is a route for a routing daemon to announce");
        Ok(())
    }

    /// The routes go. The addresses stay this host's, so that open connections go on until the
    /// network has learned of it, and after.
    pub(super) fn withdraw(&mut self, host: &Host, why: &'static str) {
        for ip in &self.plan.addresses {
            let net = IpNet::from(*ip);
            let moved = host
                .add_address(LOOPBACK, net, Scope::Host)
                .and_then(|()| self.device.remove(host, *ip));
            if let Err(error) = moved {
                tracing::error!("{ip} could not be withdrawn: {error}");
            }
        }
        self.turn(false, why);
    }

    /// The addresses are this host's no more.
    pub(super) fn end(&mut self, host: &Host) {
        for ip in &self.plan.addresses {
            let _ = self.device.remove(host, *ip);
            let _ = host.remove_address(LOOPBACK, IpNet::from(*ip));
        }
        self.turn(false, "this switch ends");
    }

    /// What is to go at once should this process die: the kernel takes its device away only after it
    /// has freed its memory.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> {
        let announced = self.plan.addresses.iter().filter(|_| self.is_announced);
        announced.map(|ip| Held {
            index: self.device.index,
            net: IpNet::from(*ip),
        })
    }

    fn turn(&mut self, is_announced: bool, why: &'static str) {
        self.is_announced = is_announced;
        self.why = why;
        self.since = SystemTime::now();
    }

    /// For `status`; the operator may have had the routes withdrawn.
    pub(super) fn status(&self, yielded: bool) -> ContactStatus {
        ContactStatus {
            addresses: self.plan.addresses.iter().map(IpAddr::to_string).collect(),
            interface: self.plan.device.clone(),
            announce: "bgp".to_owned(),
            role: self.role().word().to_owned(),
            since: rfc3339(self.since),
            why: self.why.to_owned(),
            yielded,
            ..ContactStatus::default()
        }
    }

    /// For the metrics.
    pub(super) fn figures(&self) -> AddressFigures {
        AddressFigures {
            address: address_label(&self.plan.addresses),
            announce: "bgp",
            interface: self.plan.device.clone(),
            role: self.role().word(),
            ..AddressFigures::default()
        }
    }

    fn role(&self) -> Role {
        match self.is_announced {
            true => Role::Active,
            false => Role::Out,
        }
    }

    /// Packets that the kernel routes into the device are nobody's.
    pub(super) fn drain(&self) {
        self.device.drain();
    }
}

impl AsFd for Routed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
