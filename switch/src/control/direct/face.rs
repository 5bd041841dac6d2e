//! The kernel's part as the keeper knows it: what it is told, and what it tells. A trait, so that the
//! keeper can be simulated.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

pub use super::kernel::{
    Attached, Backend, Counters, Flow, Found, Hook, Hop, Key, Member, Mode, Protocol, State,
};

use super::kernel::Datapath;

/// The programs and tables in the kernel.
pub trait Path: Send {
    /// Takes packets up at an interface.
    ///
    /// # Errors
    /// The kernel refuses, in words for the operator.
    fn attach(&mut self, interface: &str, mode: Mode) -> io::Result<Attached>;
    /// Leaves an interface alone.
    ///
    /// # Errors
    /// The kernel refuses.
    fn detach(&mut self, interface: &str) -> io::Result<()>;
    /// Puts packets that check backends into their tunnels at these interfaces, and no others, as long as
    /// this process is there.
    ///
    /// # Errors
    /// The kernel has no TCX (Linux 6.6), or refuses.
    fn lead_checks(&mut self, interfaces: &BTreeSet<u32>) -> io::Result<()>;
    /// Takes frames for this link-layer address, too, whatever those of the interfaces are.
    ///
    /// # Errors
    /// The kernel refuses, or there is no room.
    fn accept_mac(&mut self, mac: [u8; 6]) -> io::Result<()>;
    /// The interfaces, by number.
    fn attached(&self) -> Vec<(u32, Hook)>;
    /// Writes a backend.
    ///
    /// # Errors
    /// The kernel refuses.
    fn set_backend(&mut self, id: u16, backend: &Backend) -> io::Result<()>;
    /// Changes what a backend gets.
    ///
    /// # Errors
    /// The kernel refuses.
    fn set_state(&mut self, id: u16, state: State) -> io::Result<()>;
    /// Forgets a backend.
    ///
    /// # Errors
    /// The kernel refuses.
    fn remove_backend(&mut self, id: u16) -> io::Result<()>;
    /// Every backend.
    ///
    /// # Errors
    /// The kernel refuses.
    fn backends(&self) -> io::Result<Vec<(u16, Backend)>>;
    /// Writes a service.
    ///
    /// # Errors
    /// The kernel refuses, or there is no room.
    fn set_service(&mut self, key: Key, members: &[Member]) -> io::Result<()>;
    /// Forgets a service.
    ///
    /// # Errors
    /// The kernel refuses.
    fn remove_service(&mut self, key: Key) -> io::Result<()>;
    /// Every service.
    fn services(&self) -> Vec<Key>;
    /// Who gets the packets of a client.
    ///
    /// # Errors
    /// The kernel refuses.
    fn lookup(&self, key: Key, client: SocketAddr) -> io::Result<Option<(u16, Found)>>;
    /// What is counted.
    ///
    /// # Errors
    /// The kernel refuses.
    fn counters(&self) -> io::Result<Counters>;
    /// Flows of a backend.
    ///
    /// # Errors
    /// The kernel refuses.
    fn flows(&self, id: u16, limit: usize) -> io::Result<Vec<Flow>>;
    /// Remembers flows; how many were new.
    ///
    /// # Errors
    /// The kernel refuses.
    fn insert_flows(&mut self, flows: &[(Flow, u16)]) -> io::Result<usize>;
    /// Forgets flows of a backend that have been silent for so long; how many there were.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget_flows(&mut self, id: u16, flows: &[Flow]) -> io::Result<usize>;
}

impl Path for Datapath {
    fn attach(&mut self, interface: &str, mode: Mode) -> io::Result<Attached> {
        Datapath::attach(self, interface, mode)
    }

    fn detach(&mut self, interface: &str) -> io::Result<()> {
        Datapath::detach(self, interface)
    }

    fn lead_checks(&mut self, interfaces: &BTreeSet<u32>) -> io::Result<()> {
        Datapath::lead_checks(self, interfaces)
    }

    fn accept_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        Datapath::accept_mac(self, mac)
    }

    fn attached(&self) -> Vec<(u32, Hook)> {
        Datapath::attached(self)
    }

    fn set_backend(&mut self, id: u16, backend: &Backend) -> io::Result<()> {
        Datapath::set_backend(self, id, backend)
    }

    fn set_state(&mut self, id: u16, state: State) -> io::Result<()> {
        Datapath::set_state(self, id, state)
    }

    fn remove_backend(&mut self, id: u16) -> io::Result<()> {
        Datapath::remove_backend(self, id)
    }

    fn backends(&self) -> io::Result<Vec<(u16, Backend)>> {
        Datapath::backends(self)
    }

    fn set_service(&mut self, key: Key, members: &[Member]) -> io::Result<()> {
        Datapath::set_service(self, key, members)
    }

    fn remove_service(&mut self, key: Key) -> io::Result<()> {
        Datapath::remove_service(self, key)
    }

    fn services(&self) -> Vec<Key> {
        Datapath::services(self)
    }

    fn lookup(&self, key: Key, client: SocketAddr) -> io::Result<Option<(u16, Found)>> {
        Datapath::lookup(self, key, client)
    }

    fn counters(&self) -> io::Result<Counters> {
        Datapath::counters(self)
    }

    fn flows(&self, id: u16, limit: usize) -> io::Result<Vec<Flow>> {
        Datapath::flows(self, id, limit)
    }

    fn insert_flows(&mut self, flows: &[(Flow, u16)]) -> io::Result<usize> {
        Datapath::insert_flows(self, flows)
    }

    fn forget_flows(&mut self, id: u16, flows: &[Flow]) -> io::Result<usize> {
        Datapath::forget_flows(self, id, flows)
    }
}
