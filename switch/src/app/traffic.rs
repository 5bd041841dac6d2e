//! The rest of the switch as the contact plane sees it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::plane::Slot;
use crate::control::Listeners as _;
use crate::control::contact::Traffic;
use crate::control::readiness::Readiness;
use crate::data::Plane;
use crate::pulse::Pulses;
use crate::shared::InCommon;
use crate::shared::quotas::Used;

/// Puts together what the contact plane asks for.
#[derive(Debug)]
pub(super) struct OwnTraffic {
    plane: Arc<Slot>,
    pulses: Arc<Pulses>,
    readiness: Arc<Readiness>,
    common: InCommon,
    count: Arc<Count>,
}

/// Connections at some addresses, counted in a thread of their own: where there are many it takes
/// longer than a heartbeat may wait.
#[derive(Debug, Default)]
struct Count {
    is_under_way: AtomicBool,
    last: Mutex<Option<(Vec<IpAddr>, usize)>>,
}

impl OwnTraffic {
    pub(super) fn new(plane: Arc<Slot>, readiness: Arc<Readiness>, common: InCommon) -> Self {
        Self {
            pulses: plane.pulses(),
            plane,
            readiness,
            common,
            count: Arc::default(),
        }
    }

    fn begin_count(&self, addresses: &[IpAddr]) {
        if self.count.is_under_way.swap(true, Ordering::Relaxed) {
            return;
        }
        let (plane, count) = (self.plane.clone(), self.count.clone());
        let addresses = addresses.to_vec();
        let run = move || {
            let connections = plane.connections_at(&addresses);
            let mut last = count.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((addresses, connections));
            count.is_under_way.store(false, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("census".to_owned());
        if let Err(error) = thread.spawn(run) {
            tracing::debug!("connections are not counted: {error}");
            self.count.is_under_way.store(false, Ordering::Relaxed);
        }
    }
}

impl Traffic for OwnTraffic {
    fn is_ready(&self) -> bool {
        self.readiness.check().is_ok()
    }

    fn listens(&self) -> bool {
        self.plane.with(Plane::listens).unwrap_or(false)
    }

    fn pulse(&self) -> Duration {
        self.pulses.oldest(Instant::now())
    }

    fn pools_up(&self) -> u32 {
        self.readiness.pools_up()
    }

    fn ask_to_leave(&self, grace: Duration) {
        self.plane.ask_to_leave(grace);
    }

    fn connections_at(&self, addresses: &[IpAddr]) -> Option<usize> {
        let mut last = self
            .count
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = last.take_if(|(counted, _)| counted == addresses);
        drop(last);
        self.begin_count(addresses);
        known.map(|(_, connections)| connections)
    }

    fn ticket_version(&self) -> u64 {
        self.common.tickets.version()
    }

    fn ticket_keys(&self) -> Vec<String> {
        self.common.tickets.export()
    }

    fn adopt_ticket_keys(&self, keys: &[String]) {
        if let Err(error) = self.common.tickets.adopt(keys, SystemTime::now()) {
            tracing::warn!("another switch's ticket keys are of no use: {error}");
        }
    }

    fn quotas(&self, now: Instant) -> Vec<Used> {
        self.common.quotas.export(now)
    }

    fn merge_quotas(&self, clients: &[Used]) {
        self.common.quotas.merge(clients, Instant::now());
    }
}
