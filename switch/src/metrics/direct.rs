//! What direct return tells of itself: plain figures that the keeper's thread replaces as a whole. The
//! counts are the kernel's, and go on over restarts of the process.

use super::collect::{Page, one_if};
use super::table::Family;

/// The words for what a backend gets: the `state` label.
const STATES: [&str; 4] = ["active", "draining", "dead", "unknown"];

/// Everything that is counted of direct return.
#[derive(Debug, Clone, Default)]
pub struct DirectFigures {
    /// Interfaces that packets are taken up at, and by which datapath.
    pub interfaces: Vec<(String, &'static str)>,
    /// Of each service.
    pub services: Vec<DirectService>,
    /// Of each backend.
    pub backends: Vec<DirectBackend>,
    /// Packets that were left to the host, by reason.
    pub passed: Vec<(&'static str, u64)>,
    /// Flows that were not remembered, as too many began at once.
    pub unlearnt: u64,
    /// Flows of draining backends that other switches are told of.
    pub told: u64,
    /// Those that others have told.
    pub copied: u64,
    /// What they have told and was passed over, by reason.
    pub ignored: Vec<(&'static str, u64)>,
}

/// The figures of a service.
#[derive(Debug, Clone, Default)]
pub struct DirectService {
    /// The listener that it comes from.
    pub listener: String,
    /// Such as `tcp 192.0.2.10:80`.
    pub service: String,
    /// Packets, bytes and new flows that were passed on.
    pub passed_on: Passed,
    /// Packets that were dropped, by reason.
    pub dropped: Vec<(&'static str, u64)>,
}

/// The figures of a backend.
#[derive(Debug, Clone, Default)]
pub struct DirectBackend {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub backend: String,
    /// One of `active`, `draining`, `dead`, `unknown`.
    pub state: String,
    /// Packets, bytes and new flows that were passed on to it.
    pub passed_on: Passed,
}

/// What was passed on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passed {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// New flows.
    pub flows: u64,
}

pub(super) fn collect(page: &mut Page, figures: &DirectFigures) {
    for (interface, datapath) in &figures.interfaces {
        page.put(Family::DirectInterface, &[interface, datapath], 1.0);
    }
    for one in &figures.services {
        let labels = [one.listener.as_str(), &one.service];
        page.put(Family::DirectPackets, &labels, one.passed_on.packets as f64);
        page.put(Family::DirectBytes, &labels, one.passed_on.bytes as f64);
        page.put(Family::DirectFlows, &labels, one.passed_on.flows as f64);
        for (reason, count) in &one.dropped {
            let labels = [one.listener.as_str(), &one.service, reason];
            page.put(Family::DirectDropped, &labels, *count as f64);
        }
    }
    for one in &figures.backends {
        let labels = [one.pool.as_str(), &one.backend];
        let Passed {
            packets,
            bytes,
            flows,
        } = one.passed_on;
        page.put(Family::DirectBackendPackets, &labels, packets as f64);
        page.put(Family::DirectBackendBytes, &labels, bytes as f64);
        page.put(Family::DirectBackendFlows, &labels, flows as f64);
        for state in STATES {
            let labels = [one.pool.as_str(), &one.backend, state];
            page.put(
                Family::DirectBackendState,
                &labels,
                one_if(one.state == state),
            );
        }
    }
    for (reason, count) in &figures.passed {
        page.put(Family::DirectPassed, &[reason], *count as f64);
    }
    page.put(Family::DirectUnlearnt, &[], figures.unlearnt as f64);
    page.put(Family::DirectMirrored, &["out"], figures.told as f64);
    page.put(Family::DirectMirrored, &["in"], figures.copied as f64);
    for (reason, count) in &figures.ignored {
        page.put(Family::DirectMirrorIgnored, &[reason], *count as f64);
    }
}
