//! One worker's counters.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::block::{BackendBlock, Counter, Histogram, ListenerBlock, PoolBlock, RouteBlock};
use super::label::{Delta, RequestDone, code_class, tls_version};
use super::names::NONE;
use super::series::{Admission, RequestKey, Series, Shelf};
use crate::endpoint::{Endpoint, EndpointId};
use crate::trace::TraceId;

/// The counters of one worker. It can be moved to the worker's thread but not shared: all writes
/// come from that thread, and are plain loads and stores.
#[derive(Debug)]
pub struct Shard {
    requests: Series<RequestKey, Counter>,
    durations: Series<(u32, u32), Histogram>,
    routes: Series<u32, RouteBlock>,
    backends: Series<EndpointId, BackendBlock>,
    pools: Series<u32, PoolBlock>,
    listeners: Series<u32, ListenerBlock>,
    admission: Arc<Admission<RequestKey>>,
}

impl Shard {
    /// An empty shard and what the scraper reads of it.
    pub(super) fn new(admission: Arc<Admission<RequestKey>>) -> (Self, Shelves) {
        let shard = Self {
            requests: Series::new(),
            durations: Series::new(),
            routes: Series::new(),
            backends: Series::new(),
            pools: Series::new(),
            listeners: Series::new(),
            admission,
        };
        let shelves = Shelves {
            requests: shard.requests.shelf(),
            durations: shard.durations.shelf(),
            routes: shard.routes.shelf(),
            backends: shard.backends.shelf(),
            pools: shard.pools.shelf(),
            listeners: shard.listeners.shelf(),
        };
        (shard, shelves)
    }

    /// A request was taken by a route: it is in flight until [`request`](Self::request) is called
    /// for the same route.
    pub fn request_started(&self, route: u32) {
        self.routes.write(route, |block| block.started.add(1));
    }

    /// A client's request is finished, however it ended. Called once per request; with a route,
    /// only after [`request_started`](Self::request_started).
    pub fn request(&self, done: &RequestDone) {
        let route = done.route.unwrap_or(NONE);
        let key = RequestKey {
            listener: done.listener,
            route,
            code: done.status,
            method: done.method,
            protocol: done.protocol,
        };
        self.requests
            .write_admitted(key, &self.admission, |count| count.add(1));
        self.durations
            .write((route, done.pool.unwrap_or(NONE)), |h| {
                h.record_traced(done.took, done.trace)
            });
        self.routes.write(route, |block| {
            block.finished.add(1);
            block.classes[code_class(Some(done.status))].add(1);
            block.request_bytes.add(done.request_bytes);
            block.response_bytes.add(done.response_bytes);
            if let Some(reason) = done.reason {
                block.errors.0[reason as usize].add(1);
            }
        });
    }

    /// One try at a backend is over; `status` is `None` when no answer came. `took` is the time
    /// from the choice of the backend to the head of its answer, or to the failure; `trace` the
    /// request's, if it is recorded.
    pub fn attempt(
        &self,
        endpoint: &Endpoint,
        status: Option<u16>,
        took: Duration,
        trace: Option<TraceId>,
    ) {
        self.backend(endpoint, |block| {
            block.classes[code_class(status)].add(1);
            block.duration.record_traced(took, trace);
        });
    }

    /// A new connection to a backend stands.
    pub fn connect(&self, _pool: u32, endpoint: &Endpoint, took: Duration) {
        self.backend(endpoint, |block| block.connect.record(took));
    }

    /// A request that was tried more than once was answered in the end, or not.
    pub fn retry(&self, pool: u32, success: bool) {
        self.pools.write(pool, |block| match success {
            true => block.retried.add(1),
            false => block.retry_failed.add(1),
        });
    }

    /// A try was not made since the pool's retry budget was spent.
    pub fn retry_refused(&self, pool: u32) {
        self.pools.write(pool, |block| block.retry_refused.add(1));
    }

    /// A second backend was asked while the first had not answered, and answered first or not.
    pub fn hedge(&self, pool: u32, won: bool) {
        self.pools.write(pool, |block| match won {
            true => block.hedges_won.add(1),
            false => block.hedges_lost.add(1),
        });
    }

    /// A request waits for a backend that has room, until [`unqueued`](Self::unqueued) is called.
    pub fn queued(&self, pool: u32) {
        self.pools.write(pool, |block| block.queued.add(1));
    }

    /// A request waits no longer.
    pub fn unqueued(&self, pool: u32, waited: Duration) {
        self.pools.write(pool, |block| {
            block.unqueued.add(1);
            block.queue_wait.record(waited);
        });
    }

    /// A request waited for too long.
    pub fn queue_timeout(&self, pool: u32) {
        self.pools.write(pool, |block| block.queue_timeouts.add(1));
    }

    /// A client's connection was accepted or ended.
    pub fn connection(&self, listener: u32, delta: Delta) {
        self.listeners.write(listener, |block| match delta {
            Delta::Opened => block.opened.add(1),
            Delta::Closed => block.closed.add(1),
        });
    }

    /// A client's connection was not taken in: the process is at its limit (`overload`), or the
    /// listener is.
    pub fn connection_refused(&self, listener: u32, overload: bool) {
        self.listeners.write(listener, |block| match overload {
            true => block.refused_by_overload.add(1),
            false => block.refused_by_limit.add(1),
        });
    }

    /// A request that two parsers may read differently was made plain and passed.
    pub fn request_ambiguous(&self, listener: u32) {
        self.listeners
            .write(listener, |block| block.ambiguous.add(1));
    }

    /// A TLS handshake with a client ended; the version (`1.3`, `TLSv1.3` or `TLSv1_3`) is `None`
    /// when none was agreed upon.
    pub fn tls_handshake(&self, listener: u32, ok: bool, version: Option<&'static str>) {
        self.listeners.write(listener, |block| {
            let counters = if ok {
                &block.tls_done
            } else {
                &block.tls_failed
            };
            counters[tls_version(version)].add(1);
        });
    }

    /// Bytes that a TCP listener passed on since the last call: from the client and to it.
    pub fn tcp_bytes(&self, listener: u32, in_: u64, out: u64) {
        self.listeners.write(listener, |block| {
            block.bytes_in.add(in_);
            block.bytes_out.add(out);
        });
    }

    fn backend(&self, endpoint: &Endpoint, write: impl FnOnce(&BackendBlock)) {
        self.backends
            .write_fresh(endpoint.id, |block| block.retired.load(Relaxed), write);
    }
}

/// What the scraper reads of one shard.
#[derive(Debug)]
pub(super) struct Shelves {
    pub(super) requests: Arc<Shelf<RequestKey, Counter>>,
    pub(super) durations: Arc<Shelf<(u32, u32), Histogram>>,
    pub(super) routes: Arc<Shelf<u32, RouteBlock>>,
    pub(super) backends: Arc<Shelf<EndpointId, BackendBlock>>,
    pub(super) pools: Arc<Shelf<u32, PoolBlock>>,
    pub(super) listeners: Arc<Shelf<u32, ListenerBlock>>,
}
