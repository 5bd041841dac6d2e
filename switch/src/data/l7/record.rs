//! What an exchange leaves behind: one entry in the metrics and, if asked for, in the access log.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Scene;
use super::client::Client;
use super::field::Known;
use super::head::{RequestHead, Version};
use super::mark::Mark;
use super::rate::Exceeded;
use super::trace::Trace;
use crate::access_log::Entry;
use crate::data::worker::Worker;
use crate::endpoint::Endpoint;
use crate::error::Reason;
use crate::metrics::{Method, Protocol, RequestDone};
use crate::pool::Pool;
use crate::snapshot::{ListenerSettings, Route};

/// The notes of one exchange.
#[derive(Debug)]
pub struct Record<'a> {
    began: Instant,
    route: Option<&'a Route>,
    pool: Option<&'a Pool>,
    /// Its trace, and who will ask about it.
    pub mark: Option<Rc<Mark>>,
    /// The client's address, also behind a trusted proxy.
    pub client: IpAddr,
    /// The backend that was tried last.
    pub backend: Option<Arc<Endpoint>>,
    /// The status code that the client gets.
    pub status: u16,
    /// What went wrong.
    pub reason: Option<Reason>,
    /// The rate that was exceeded.
    pub exceeded: Option<Exceeded>,
    /// Backends that were tried.
    pub attempts: u32,
    /// From the last attempt's start to its answer's head.
    pub backend_took: Duration,
    /// Content bytes from the client.
    pub request_bytes: u64,
    /// Content bytes to the client.
    pub response_bytes: u64,
}

impl<'a> Record<'a> {
    /// The request's head is complete.
    pub fn begin(scene: &Scene<'a>, request: &RequestHead) -> Self {
        let began = Instant::now();
        Self {
            began,
            mark: Mark::of(scene, request, began),
            route: None,
            pool: None,
            client: scene.conn.peer,
            backend: None,
            status: 0,
            reason: None,
            exceeded: None,
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
    pub fn routed(&mut self, scene: &Scene<'a>, route: &'a Route) {
        self.route = Some(route);
        if let Some(notes) = self.mark.as_ref().and_then(|mark| mark.notes.as_ref()) {
            notes.routed.set(Some(Instant::now()));
        }
        scene.worker.shard.request_started(route.id);
    }

    /// The route that took it.
    pub fn route(&self) -> Option<&'a Route> {
        self.route
    }

    /// The pool that it goes to.
    pub fn pool(&self) -> Option<&'a Pool> {
        self.pool
    }

    /// The trace that it belongs to, where requests are traced.
    pub fn trace(&self) -> Option<&Trace> {
        self.mark.as_ref()?.trace.as_ref()
    }

    /// It goes to this pool.
    pub fn pooled(&mut self, pool: &'a Pool) {
        self.pool = Some(pool);
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
            route: self.route.map(|route| route.id),
            pool: self.pool.map(|pool| pool.id),
            status: self.status,
            method: Method::from_bytes(request.method()),
            protocol: protocol(request.version),
            reason: self.reason,
            took,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            trace: self.mark.as_ref().and_then(|mark| mark.exemplar()),
        });
        if let Some(mark) = &self.mark {
            mark.finish(scene, request, &self);
        }
        if let Some(log) = &scene.worker.log {
            log.line(&self.entry(scene, request, took));
        }
    }

    fn entry<'e>(
        &'e self,
        scene: &'e Scene<'_>,
        request: &'e RequestHead,
        took: Duration,
    ) -> Entry<'e> {
        let target = request.target();
        let query = target.iter().position(|byte| *byte == b'?');
        Entry {
            time: SystemTime::now() - took,
            listener: &scene.listener.policy.name,
            client: Some(self.client),
            method: Some(request.method()),
            host: Some(request.get(request.authority)).filter(|host| !host.is_empty()),
            path: Some(&target[..query.unwrap_or(target.len())]),
            query: query.map(|at| &target[at + 1..]),
            protocol: protocol(request.version),
            status: self.status,
            reason: self.reason,
            route: self.route.map(|route| route.name.as_str()),
            pool: self.pool.map(|pool| pool.name.as_str()),
            backend: self.backend.as_ref().map(|backend| backend.name.as_str()),
            attempts: self.attempts,
            duration: took,
            backend_duration: Some(self.backend_took).filter(|took| !took.is_zero()),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            trace: self.trace().map(|trace| trace.id),
            user_agent: request.values(Known::UserAgent).next(),
            referer: request.values(Known::Referer).next(),
        }
    }
}

/// Notes what could not be read as a request.
pub fn refused(
    worker: &Worker,
    listener: &ListenerSettings,
    client: IpAddr,
    version: Version,
    reason: Reason,
) {
    worker.shard.request(&RequestDone {
        listener: listener.id,
        route: None,
        pool: None,
        status: reason.status(),
        method: Method::Other,
        protocol: protocol(version),
        reason: Some(reason),
        took: Duration::ZERO,
        request_bytes: 0,
        response_bytes: 0,
        trace: None,
    });
    if let Some(log) = &worker.log {
        log.line(&Entry {
            time: SystemTime::now(),
            listener: &listener.policy.name,
            client: Some(client),
            method: None,
            host: None,
            path: None,
            query: None,
            protocol: protocol(version),
            status: reason.status(),
            reason: Some(reason),
            route: None,
            pool: None,
            backend: None,
            attempts: 0,
            duration: Duration::ZERO,
            backend_duration: None,
            request_bytes: 0,
            response_bytes: 0,
            trace: None,
            user_agent: None,
            referer: None,
        });
    }
}

/// The protocol of a version.
pub fn protocol(version: Version) -> Protocol {
    match version {
        Version::Http10 => Protocol::Http10,
        Version::Http11 => Protocol::Http11,
        Version::Http2 => Protocol::Http2,
    }
}
