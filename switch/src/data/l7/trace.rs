//! The trace that a request belongs to: found or begun before anything else, told to backends, and
//! made spans of at the end, by the semantic conventions of OpenTelemetry for HTTP.

use std::time::Instant;

use super::Scene;
use super::field::Known;
use super::forward;
use super::head::{RequestHead, Version};
use super::record::Record;
use crate::endpoint::Address;
use crate::error::Side;
use crate::metrics::Method;
use crate::snapshot::Route;
use crate::trace::{Attempt, Context, Header, Kind, Notes, Span, TraceId, Value};

/// Bytes of `tracestate` that are kept at most (W3C Trace Context 3.3.1.5).
const STATE: usize = 512;

/// A request's trace.
#[derive(Debug)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// The client's span; 0: the trace begins here.
    parent: u64,
    sampled: bool,
    /// Whether spans are made.
    pub is_recorded: bool,
}

impl Trace {
    /// The trace that the request names, or a new one; `None` where nothing is traced.
    pub fn begin(scene: &Scene<'_>, request: &RequestHead) -> Option<Self> {
        let tracing = scene.snapshot.tracing?;
        let believed = !tracing.trusted_only || scene.conn.is_trusted();
        let context = believed.then(|| context(request)).flatten();
        let (id, parent, sampled) = match context {
            Some(Context {
                trace,
                parent,
                sampled,
            }) => (trace, parent, sampled),
            None => {
                let id = scene.worker.ids.trace();
                (id, 0, tracing.samples(id))
            }
        };
        Some(Self {
            id,
            parent,
            sampled,
            is_recorded: sampled && tracing.exports,
        })
    }

    /// What a backend is told in the span of this id; `None`: the request's own fields are passed on,
    /// as no span of this switch stands between.
    pub fn header(&self, span: u64) -> Option<Header> {
        let passes = self.parent != 0 && !self.is_recorded;
        let context = Context {
            trace: self.id,
            parent: span,
            sampled: self.sampled,
        };
        (!passes).then(|| Header {
            value: context.value(),
            keeps_state: self.parent != 0,
        })
    }

    /// Lays the request's spans on the queue.
    pub fn finish(
        &self,
        scene: &Scene<'_>,
        request: &RequestHead,
        record: &Record<'_>,
        notes: &Notes,
    ) {
        let now = Instant::now();
        let teller = Teller {
            trace: self,
            scene,
            request,
            record,
            notes,
            now,
            own: scene.worker.ids.span(),
        };
        let attempts = notes.attempts();
        let clients = attempts
            .iter()
            .enumerate()
            .map(|(place, attempt)| teller.client(place, attempt));
        let spans: Vec<Span> = clients.chain([teller.server()]).collect();
        scene.worker.traces.spans.push(spans);
    }
}

/// More than one field is as good as none (3.2).
fn context(request: &RequestHead) -> Option<Context> {
    let mut values = request.values(Known::Traceparent);
    let first = values.next()?;
    match values.next() {
        None => Context::parse(first),
        Some(_) => None,
    }
}

/// Makes spans of notes.
struct Teller<'t> {
    trace: &'t Trace,
    scene: &'t Scene<'t>,
    request: &'t RequestHead,
    record: &'t Record<'t>,
    notes: &'t Notes,
    now: Instant,
    /// The id of the server's span.
    own: u64,
}

impl Teller<'_> {
    /// The request as its client sees it.
    fn server(&self) -> Span {
        let (record, request) = (self.record, self.request);
        let conn = self.scene.conn;
        let mut attributes = self.method();
        let mut add = |name, value| attributes.push((name, value));
        add("url.scheme", conn.scheme.into());
        add("url.path", Value::text(path(request.target())));
        add("http.response.status_code", record.status.into());
        add(
            "client.address",
            Value::Text(record.client.to_canonical().to_string()),
        );
        add(
            "network.peer.address",
            Value::Text(conn.peer.to_canonical().to_string()),
        );
        add("network.protocol.version", version(request.version).into());
        add(
            "pointsman.listener",
            (&*self.scene.listener.policy.name).into(),
        );
        let authority = request.get(request.authority);
        let (host, port) = split(authority);
        if !host.is_empty() {
            add("server.address", Value::text(host));
        }
        if let Some(port) = port {
            add("server.port", port.into());
        }
        if let Some(agent) = request.values(Known::UserAgent).next() {
            add("user_agent.original", Value::text(agent));
        }
        if let Some(route) = record.route() {
            add("pointsman.route", route.name.as_str().into());
        }
        if let Some(pool) = record.pool() {
            add("pointsman.pool", pool.name.as_str().into());
        }
        add("http.request.body.size", record.request_bytes.into());
        add("http.response.body.size", record.response_bytes.into());
        // Mistakes of the client are none of the server.
        let failed = record.reason.filter(|reason| reason.side() != Side::Client);
        let error = failed.map(|reason| reason.word().to_owned());
        let error = error.or_else(|| (record.status >= 500).then(|| record.status.to_string()));
        let method = span_method(request);
        let name = match record.route() {
            Some(Route { name, .. }) => format!("{method} {name}"),
            None => method.to_owned(),
        };
        let times = (self.notes.began, self.now);
        let ids = (self.own, self.trace.parent);
        self.span(ids, Kind::Server, name, times)
            .with(attributes, error)
    }

    /// A try at a backend.
    fn client(&self, place: usize, attempt: &Attempt) -> Span {
        let endpoint = &attempt.endpoint;
        let mut attributes = self.method();
        let mut add = |name, value| attributes.push((name, value));
        let (host, port) = split(endpoint.name.as_bytes());
        add("server.address", Value::text(host));
        if let Some(port) = port {
            add("server.port", port.into());
        }
        match &endpoint.address {
            Address::Tcp(socket) => {
                add("network.peer.address", Value::Text(socket.ip().to_string()));
                add("network.peer.port", socket.port().into());
            }
            Address::Unix(path) => {
                let path = path.as_os_str().as_encoded_bytes();
                add("network.peer.address", Value::text(path));
                add("network.transport", "unix".into());
            }
        }
        if let Some(route) = self.record.route() {
            let target = forward::target(self.request, route);
            let scheme = match endpoint.tls.is_on() {
                true => "https://",
                false => "http://",
            };
            let parts = [scheme.as_bytes(), endpoint.name.as_bytes(), path(&target)];
            let url = parts.concat();
            add("url.full", Value::text(&url));
        }
        add("pointsman.backend", endpoint.name.as_str().into());
        if place > 0 {
            add("http.request.resend_count", (place as u64).into());
        }
        if attempt.hedge {
            add("pointsman.hedge", true.into());
        }
        if let Some((_, reused)) = attempt.connected {
            add("pointsman.connection.reused", reused.into());
        }
        let mut error = attempt.failed.map(|reason| reason.word().to_owned());
        match attempt.answered {
            Some((_, status)) => {
                add("http.response.status_code", status.into());
                error = (status >= 400).then(|| status.to_string());
            }
            None => {
                error.get_or_insert_with(|| "given_up".to_owned());
            }
        }
        let times = (attempt.began, attempt.ended.unwrap_or(self.now));
        let name = span_method(self.request).to_owned();
        let mut span = self
            .span((attempt.span, self.own), Kind::Client, name, times)
            .with(attributes, error);
        let connected = attempt.connected.map(|(at, _)| (at, "connected"));
        let answered = attempt.answered.map(|(at, _)| (at, "head of the answer"));
        let events = connected.into_iter().chain(answered);
        span.events
            .extend(events.map(|(at, what)| (self.clock(at), what)));
        span
    }

    fn span(
        &self,
        (id, parent): (u64, u64),
        kind: Kind,
        name: String,
        (start, end): (Instant, Instant),
    ) -> Span {
        Span {
            trace: self.trace.id,
            id,
            parent,
            kind,
            name,
            state: self.state(),
            start: self.clock(start),
            end: self.clock(end),
            attributes: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }

    fn clock(&self, at: Instant) -> std::time::SystemTime {
        self.notes.wall + at.saturating_duration_since(self.notes.began)
    }

    fn method(&self) -> Vec<(&'static str, Value)> {
        let sent = self.request.method();
        let word = Method::from_bytes(sent).word();
        let mut attributes = vec![("http.request.method", word.into())];
        if word.as_bytes() != sent {
            attributes.push(("http.request.method_original", Value::text(sent)));
        }
        attributes
    }

    fn state(&self) -> String {
        if self.trace.parent == 0 {
            return String::new();
        }
        let values: Vec<_> = self.request.values(Known::Tracestate).collect();
        let state = values.join(&b","[..]);
        let fits = state.len() <= STATE && state.is_ascii();
        String::from_utf8(state)
            .ok()
            .filter(|_| fits)
            .unwrap_or_default()
    }
}

/// A method's part of a span's name (semantic conventions for HTTP, "Name").
fn span_method(request: &RequestHead) -> &'static str {
    match Method::from_bytes(request.method()) {
        Method::Other => "HTTP",
        method => method.word(),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}

/// Without the query, which may hold what is not for everybody.
fn path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| *byte == b'?');
    &target[..end.unwrap_or(target.len())]
}

/// Host and port of an authority.
fn split(authority: &[u8]) -> (&[u8], Option<u16>) {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let port = |at: usize| std::str::from_utf8(&authority[at + 1..]).ok()?.parse().ok();
    match colon.and_then(|at| Some((at, port(at)?))) {
        Some((at, port)) => (&authority[..at], Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_taken_apart() {
        for (text, host, port) in [
            ("a.example:8080", "a.example", Some(8080)),
            ("a.example", "a.example", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::1]", "[::1]", None),
            ("", "", None),
        ] {
            assert_eq!(split(text.as_bytes()), (host.as_bytes(), port), "{text}");
        }
    }
}
