//! A device for contact addresses that routers are told of: it is gone, with its addresses and
//! routes, as soon as the process is, however that ends.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;

use super::netlink::{Host, Scope};
use super::sysctl;
use crate::control::contact::group::Family;
use crate::sys::tun::Tun;

/// A network device that lives as long as this, and as those that share it.
#[derive(Debug)]
pub struct AddressDevice {
    /// The kernel's number for it.
    pub index: u32,
    device: Tun,
}

impl AddressDevice {
    /// A new one of that name, of 1 to 15 bytes, up and without addresses.
    ///
    /// # Errors
    /// There is one of that name (`ResourceBusy`), or this process lacks `CAP_NET_ADMIN` or may not
    /// open `/dev/net/tun`.
    pub fn create(host: &Host, name: &str) -> io::Result<Self> {
        Self::of(host, name, Tun::create(name))
    }

    /// That of the process which this one takes over from, with its addresses; a new one where that
    /// process has none of the name.
    ///
    /// # Errors
    /// What has that name is no such device (`InvalidInput`); else as for [`Self::create`].
    pub fn take_over(host: &Host, name: &str) -> io::Result<Self> {
        Self::of(host, name, Tun::share(name))
    }

    fn of(host: &Host, name: &str, device: io::Result<Tun>) -> io::Result<Self> {
        let device = device.map_err(|error| explained(name, &error))?;
        let link = host.link(name)?;
        let index = link
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
            .index;
        // No link-local address by itself. Without IPv6 in the kernel there is nothing to set.
        let _ = sysctl::replace(&sysctl::path(name, Family::Ipv6, "addr_gen_mode"), "1");
        host.set_up(index)?;
        Ok(Self { index, device })
    }

    /// Adds an address, as a network of its own (/32, /128). One that is there already stays.
    ///
    /// # Errors
    /// As [`Host::add_address`].
    pub fn add(&self, host: &Host, address: IpAddr) -> io::Result<()> {
        host.add_address(self.index, IpNet::from(address), Scope::Universe)
    }

    /// Removes an address; gives back whether it was there.
    ///
    /// # Errors
    /// As [`Host::remove_address`].
    pub fn remove(&self, host: &Host, address: IpAddr) -> io::Result<bool> {
        host.remove_address(self.index, IpNet::from(address))
    }

    /// Throws away what was sent into it; to be called when it is readable. Never waits.
    pub fn drain(&self) {
        self.device.drain();
    }
}

impl AsFd for AddressDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn explained(name: &str, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no /dev/net/tun: load the kernel's module `tun`, or \
                                    give the container the device"
            .to_owned(),
        io::ErrorKind::PermissionDenied => "this process lacks the capability CAP_NET_ADMIN, or \
                                            may not open /dev/net/tun"
            .to_owned(),
        io::ErrorKind::ResourceBusy => "there is an interface of that name already, which another \
                                        process may own: end that one, or name another \
                                        `interface`"
            .to_owned(),
        io::ErrorKind::InvalidInput => {
            "there is an interface of that name that is no switch's, or \
                                        it is no name for one: name another `interface`"
                .to_owned()
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("the device {name}: {why}"))
}
