//! Sums for `status` and the live view, without the detail of the text format.

use serde::Serialize;

use super::block::{Counter, Histogram, Merge};
use super::label::CODE_CLASSES;
use super::sums::Sums;

/// What was counted since the start of the process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Listeners that had a connection.
    pub listeners: Vec<ListenerTotals>,
    /// Routes that had a request; `_none` for requests that no route took.
    pub routes: Vec<RouteTotals>,
    /// Every backend in force.
    pub backends: Vec<BackendTotals>,
}

/// A listener's counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListenerTotals {
    /// The name in the policy.
    pub name: String,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were accepted.
    pub accepted: u64,
}

/// A route's counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteTotals {
    /// The name in the policy.
    pub name: String,
    /// Finished requests.
    pub requests: u64,
    /// Requests that have a reason why they were not served as wished.
    pub errors: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Finished requests by status.
    pub classes: Classes,
    /// Bytes of request bodies.
    pub request_bytes: u64,
    /// Bytes of response bodies.
    pub response_bytes: u64,
    /// Median duration in seconds, estimated from the histogram.
    pub p50: Option<f64>,
    /// Duration in seconds that one request of a hundred exceeds, estimated likewise.
    pub p99: Option<f64>,
}

/// A backend's counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackendTotals {
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub name: String,
    /// Its state: `starting`, `up`, `down`, `unresolved`, `ejected` or `slow-start`.
    pub state: &'static str,
    /// 0 to 1000.
    pub weight: u64,
    /// Requests and TCP connections under way.
    pub in_flight: u64,
    /// Requests and TCP connections handed to it.
    pub taken: u64,
    /// Finished attempts by status.
    pub classes: Classes,
    /// Median duration of an attempt in seconds.
    pub p50: Option<f64>,
    /// Duration in seconds that one attempt of a hundred exceeds.
    pub p99: Option<f64>,
}

/// Counts by class of status code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// 1xx
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 2xx
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 3xx
    #[serde(rename = "3xx")]
    pub redirect: u64,
    /// 4xx
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 5xx
    #[serde(rename = "5xx")]
    pub server_error: u64,
    /// No answer came.
    pub none: u64,
}

impl Classes {
    /// All classes together.
    pub fn all(&self) -> u64 {
        self.informational
            + self.success
            + self.redirect
            + self.client_error
            + self.server_error
            + self.none
    }

    fn of(counters: &[Counter; CODE_CLASSES.len()]) -> Self {
        let [
            informational,
            success,
            redirect,
            client_error,
            server_error,
            none,
        ] = counters.each_ref().map(Counter::get);
        Self {
            informational,
            success,
            redirect,
            client_error,
            server_error,
            none,
        }
    }
}

impl Totals {
    pub(super) fn of(sums: &Sums) -> Self {
        Self {
            listeners: listeners(sums),
            routes: routes(sums),
            backends: backends(sums),
        }
    }
}

fn listeners(sums: &Sums) -> Vec<ListenerTotals> {
    let totals = sums.listeners.iter().map(|(id, listener)| ListenerTotals {
        name: sums.listener_names.get(*id).to_owned(),
        connections: listener.open(),
        accepted: listener.opened.get(),
    });
    totals.collect()
}

fn routes(sums: &Sums) -> Vec<RouteTotals> {
    let totals = sums.routes.iter().map(|(id, route)| {
        let took = Histogram::default();
        for (_, part) in sums.durations.range((*id, 0)..=(*id, u32::MAX)) {
            took.merge(part);
        }
        RouteTotals {
            name: sums.route_names.get(*id).to_owned(),
            requests: route.finished.get(),
            errors: route.errors.0.iter().map(Counter::get).sum(),
            in_flight: route.in_flight(),
            classes: Classes::of(&route.classes),
            request_bytes: route.request_bytes.get(),
            response_bytes: route.response_bytes.get(),
            p50: took.quantile(0.5),
            p99: took.quantile(0.99),
        }
    });
    totals.collect()
}

fn backends(sums: &Sums) -> Vec<BackendTotals> {
    let totals = sums.backends.iter().map(|backend| BackendTotals {
        pool: backend.pool.clone(),
        name: backend.name.clone(),
        state: backend.state().word(),
        weight: backend.weight,
        in_flight: backend.in_flight,
        taken: backend.taken,
        classes: Classes::of(&backend.counted.classes),
        p50: backend.counted.duration.quantile(0.5),
        p99: backend.counted.duration.quantile(0.99),
    });
    totals.collect()
}
