//! What an exchange leaves behind: one entry in the metrics and, if asked for, in the access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Scene;
use super::client::Client;
use super::head::{RequestHead, Version};
use crate::endpoint::Endpoint;
use crate::error::Reason;
use crate::metrics::{Method, Protocol, RequestDone};
use crate::pool::Pool;
use crate::snapshot::Route;

/// The notes of one exchange.
#[derive(Debug)]
pub struct Record {
    began: Instant,
    route: Option<u32>,
    route_name: Option<String>,
    pool: Option<u32>,
    /// The backend that was tried last.
    pub backend: Option<Arc<Endpoint>>,
    /// The status code that the client gets.
    pub status: u16,
    /// What went wrong.
    pub reason: Option<Reason>,
    /// Backends that were tried.
    pub attempts: u32,
    /// From the last attempt's start to its answer's head.
    pub backend_took: Duration,
    /// Content bytes from the client.
    pub request_bytes: u64,
    /// Content bytes to the client.
    pub response_bytes: u64,
}

impl Record {
    /// The request's head is complete.
    pub fn begin(_scene: &Scene<'_>, _request: &RequestHead) -> Self {
        Self {
            began: Instant::now(),
            route: None,
            route_name: None,
            pool: None,
            backend: None,
            status: 0,
            reason: None,
            attempts: 0,
            backend_took: Duration::ZERO,
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// When the request's head was complete.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// A route took the request.
    pub fn routed(&mut self, scene: &Scene<'_>, route: &Route) {
        self.route = Some(route.id);
        if scene.worker.log.is_some() {
            self.route_name = Some(route.name.clone());
        }
        scene.worker.shard.request_started(route.id);
    }

    /// It goes to this pool.
    pub fn pooled(&mut self, pool: &Pool) {
        self.pool = Some(pool.id);
    }

    /// The request is not served as its client wished.
    pub fn failed(&mut self, reason: Reason) {
        self.reason = Some(reason);
        if self.status == 0 {
            self.status = reason.status();
        }
    }

    /// Takes over how much of the body came.
    pub fn took_body<C: Client>(&mut self, client: &C) {
        self.request_bytes = client.body_bytes();
    }

    /// Hands the notes to metrics and log.
    pub fn finish(self, scene: &Scene<'_>, request: &RequestHead) {
        let took = self.began.elapsed();
        scene.worker.shard.request(&RequestDone {
            listener: scene.listener.id,
            route: self.route,
            pool: self.pool,
            status: self.status,
            method: Method::from_bytes(request.method()),
            protocol: protocol(request.version),
            reason: self.reason,
            took,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
        });
    }
}

fn protocol(version: Version) -> Protocol {
    match version {
        Version::Http10 => Protocol::Http10,
        Version::Http11 => Protocol::Http11,
        Version::Http2 => Protocol::Http2,
    }
}
