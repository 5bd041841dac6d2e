//! The data plane as the control plane sees it.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pointsman_config::policy::{BindAddr, PoolTls, Tls};

use crate::control::Listeners;
use crate::data::{self, Census, Drain, Plane};
use crate::endpoint::EndpointId;
use crate::pulse::Pulses;
use crate::shared::tickets::TicketKeys;
use crate::snapshot::{ListenerSettings, Terminator};

/// The data plane until it drains.
#[derive(Debug)]
pub(super) struct Slot {
    plane: RwLock<Option<Plane>>,
    /// It goes on while the plane drains.
    census: Census,
}

impl Slot {
    pub(super) fn new(plane: Plane) -> Self {
        Self {
            plane: RwLock::new(Some(plane)),
            census: Census::default(),
        }
    }

    /// Whether every worker still runs. A plane that drains is whole.
    pub(super) fn is_whole(&self) -> bool {
        self.with(Plane::is_whole).unwrap_or(true)
    }

    /// Takes no new connections, finishes what is under way, and ends the workers. Blocks; gives
    /// back how many connections were cut.
    pub(super) fn drain(&self, how: Drain) -> usize {
        let plane = self
            .plane
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        plane.map_or(0, |plane| plane.drain(how))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&Plane) -> R) -> Option<R> {
        self.plane
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(f)
    }
}

impl Listeners for Slot {
    type Prepared = data::Prepared;

    fn tls(tls: &Tls, tickets: &Arc<TicketKeys>) -> Result<Arc<Terminator>, String> {
        data::tls::terminator(tls, tickets).map_err(|error| error.to_string())
    }

    fn client_tls(tls: &PoolTls) -> Result<Arc<rustls::ClientConfig>, String> {
        data::tls::client_config(tls).map_err(|error| error.to_string())
    }

    fn prepare(&self, listeners: &[Arc<ListenerSettings>]) -> Result<data::Prepared, String> {
        let prepared = self.with(|plane| plane.prepare(listeners));
        prepared
            .ok_or("the process is about to end")?
            .map_err(|error| error.to_string())
    }

    fn commit(&self, prepared: data::Prepared) {
        self.with(|plane| plane.commit(prepared));
        self.census
            .listens(self.addresses().into_iter().map(|(_, address)| address));
    }

    fn set_max_connections(&self, limit: usize) {
        self.with(|plane| plane.set_max_connections(limit));
    }

    fn addresses(&self) -> Vec<(String, BindAddr)> {
        self.with(Plane::addresses).unwrap_or_default()
    }

    fn ask_to_leave(&self, grace: Duration) {
        self.with(|plane| plane.ask_to_leave(grace));
    }

    fn connections_at(&self, addresses: &[IpAddr]) -> usize {
        self.census.connections_at(addresses)
    }

    fn cut(&self, endpoints: &[EndpointId]) {
        self.with(|plane| plane.cut(endpoints));
    }

    fn pulses(&self) -> Arc<Pulses> {
        let none = || Pulses::new(0, Instant::now());
        self.with(Plane::pulses).unwrap_or_else(none)
    }
}
