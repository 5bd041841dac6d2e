//! Addresses that a routing daemon announces: they stand on a TUN device that this process owns, so
//! that the route dies with it. BIRD's `direct` protocol, or FRR's `redistribute connected`, passes
//! it on.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::SystemTime;

use ipnet::IpNet;

use super::group::Role;
use super::host::{Host, Scope};
use super::plan::RoutedPlan;
use super::relay::soft::LOOPBACK;
use super::status::ContactStatus;
use crate::control::clock::rfc3339;
use crate::metrics::{AddressFigures, address_label};
use crate::sys::tun::Tun;

/// The device and its addresses.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) plan: RoutedPlan,
    tun: Tun,
    index: u32,
    /// Whether the addresses are announced.
    pub(super) is_announced: bool,
    since: SystemTime,
}

impl Routed {
    /// Makes the device, without addresses.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub(super) fn open(host: &Host, plan: RoutedPlan) -> Result<Self, String> {
        let of = |error: io::Error| format!("contact: the device {}: {error}", plan.device);
        let tun = Tun::create(&plan.device).map_err(of)?;
        let link = host.link(&plan.device).map_err(of)?;
        let index = link
            .ok_or_else(|| of(io::ErrorKind::NotFound.into()))?
            .index;
        host.set_up(index).map_err(of)?;
        Ok(Self {
            plan,
            tun,
            index,
            is_announced: false,
            since: SystemTime::now(),
        })
    }

    /// The addresses are this switch's from now on, and their routes are there to be announced.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub(super) fn announce(&mut self, host: &Host) -> io::Result<()> {
        for ip in &self.plan.addresses {
            host.add_address(self.index, IpNet::from(*ip), Scope::Universe)?;
            host.remove_address(LOOPBACK, IpNet::from(*ip))?;
        }
        self.is_announced = true;
        self.since = SystemTime::now();
        Ok(())
    }

    /// The routes go. The addresses stay this host's, so that open connections go on until the
    /// network has learned of it, and after.
    pub(super) fn withdraw(&mut self, host: &Host) {
        for ip in &self.plan.addresses {
            let net = IpNet::from(*ip);
            let moved = host
                .add_address(LOOPBACK, net, Scope::Host)
                .and_then(|()| host.remove_address(self.index, net));
            if let Err(error) = moved {
                tracing::error!("{ip} could not be withdrawn: {error}");
            }
        }
        self.is_announced = false;
        self.since = SystemTime::now();
    }

    /// The addresses are this host's no more.
    pub(super) fn end(&mut self, host: &Host) {
        for ip in &self.plan.addresses {
            let _ = host.remove_address(self.index, IpNet::from(*ip));
            let _ = host.remove_address(LOOPBACK, IpNet::from(*ip));
        }
        self.is_announced = false;
        self.since = SystemTime::now();
    }

    /// For `status`.
    pub(super) fn status(&self) -> ContactStatus {
        ContactStatus {
            addresses: self.plan.addresses.iter().map(IpAddr::to_string).collect(),
            interface: self.plan.device.clone(),
            announce: "bgp".to_owned(),
            role: self.role().word().to_owned(),
            since: rfc3339(self.since),
            why: match self.is_announced {
                true => "there is a route for a routing daemon to announce",
                false => "the route is withdrawn",
            }
            .to_owned(),
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
        self.tun.drain();
    }
}

impl AsFd for Routed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }
}
