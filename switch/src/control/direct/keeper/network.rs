//! What the keeper asks of the host's network. A trait, so that it can be simulated.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::contact::host::{Device, Host, Neighbour, Way};

/// The host's network.
pub trait Network: Send {
    /// The way to another host; `None`: there is none.
    ///
    /// # Errors
    /// The kernel does not answer.
    fn way(&mut self, to: IpAddr) -> io::Result<Option<Way>>;
    /// Every interface.
    ///
    /// # Errors
    /// The kernel does not answer.
    fn devices(&mut self) -> io::Result<Vec<Device>>;
    /// The addresses of all interfaces, by number.
    ///
    /// # Errors
    /// The kernel does not answer.
    fn addresses(&mut self) -> io::Result<Vec<(u32, IpNet)>>;
    /// Every neighbour that is known.
    ///
    /// # Errors
    /// The kernel does not answer.
    fn neighbours(&mut self) -> io::Result<Vec<Neighbour>>;
    /// Has a neighbour asked for its link-layer address.
    ///
    /// # Errors
    /// The kernel refuses.
    fn solicit(&mut self, interface: u32, address: IpAddr) -> io::Result<()>;
}

impl Network for Host {
    fn way(&mut self, to: IpAddr) -> io::Result<Option<Way>> {
        Host::way(self, to)
    }

    fn devices(&mut self) -> io::Result<Vec<Device>> {
        Host::devices(self)
    }

    fn addresses(&mut self) -> io::Result<Vec<(u32, IpNet)>> {
        self.all_addresses()
    }

    fn neighbours(&mut self) -> io::Result<Vec<Neighbour>> {
        Host::neighbours(self)
    }

    fn solicit(&mut self, interface: u32, address: IpAddr) -> io::Result<()> {
        Host::solicit(self, interface, address)
    }
}
