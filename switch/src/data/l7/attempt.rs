//! Trying backends, in the order that [`super::retry`] decides, until one answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Client, Outgoing};
use super::head::{Framing, RequestHead, ResponseHead};
use super::record::Record;
use super::relay::{self, Download, Fault, Limits, Upload, Watch};
use super::retry::{Failure, Retry, Rules, Step};
use super::stay::Stay;
use super::view::View;
use super::{Ended, Scene, forward, load_report, must_close, respond, tunnel};
use crate::data::upstream::{self, Connection};
use crate::endpoint::{Endpoint, InFlight};
use crate::error::{Reason, Side};
use crate::event::Event;
use crate::pool::Pool;
use crate::snapshot::Route;

/// Interim responses to one request at most: an endless row of them is no answer.
const INTERIM: usize = 32;

/// Forwards a request to a backend of the pool and its answer to the client.
pub async fn forward<'a, C: Client>(
    scene: &Scene<'a>,
    client: &mut C,
    request: &RequestHead,
    view: &View<'_>,
    route: &'a Route,
    pool: &'a Pool,
    record: &mut Record<'a>,
) -> Result<Ended, Reason> {
    record.pooled(pool);
    let hash = pool.hash_by.as_ref().and_then(|by| view.hash(by));
    let trial = Trial {
        scene,
        request,
        route,
        pool,
        stay: Stay::begin(pool, view),
    };
    let stay = trial.stay.as_ref();
    let mut retry = Retry::new(Rules {
        backends: route.retry.attempts,
        repeatable: request.is_idempotent() || route.retry.unsafe_methods,
        affine: hash.is_some() || stay.is_some_and(Stay::has_home),
    });
    let outcome = loop {
        let pick = |tried: &_| {
            let home = stay.and_then(|stay| stay.home(tried));
            home.or_else(|| scene.worker.pick(pool, hash, tried))
                .cloned()
        };
        let (endpoint, fresh) = match retry.next(pick) {
            Step::Try { endpoint, fresh } => (endpoint, fresh),
            Step::GiveUp(reason) => break Err(reason),
        };
        record.attempts += 1;
        record.backend = Some(endpoint.clone());
        match trial.attempt(client, &endpoint, fresh, record).await {
            Ok(answer) => break trial.deliver(client, answer, record).await,
            Err(failure) => retry.failed(&endpoint, &failure),
        }
    };
    if record.attempts > 1 {
        scene.worker.shard.retry(pool.id, Some(outcome.is_ok()));
    }
    outcome
}

struct Trial<'a> {
    scene: &'a Scene<'a>,
    request: &'a RequestHead,
    route: &'a Route,
    pool: &'a Pool,
    stay: Option<Stay<'a>>,
}

/// A backend's answer, its head in hand.
struct Answer<'a> {
    endpoint: Arc<Endpoint>,
    /// Ends the count of what is under way at the endpoint when dropped.
    _entered: InFlight,
    up: Connection,
    upload: Upload,
    watch: Watch<'a>,
    head: ResponseHead,
}

impl<'a> Trial<'a> {
    async fn attempt<C: Client>(
        &self,
        client: &mut C,
        endpoint: &Arc<Endpoint>,
        fresh: bool,
        record: &mut Record<'_>,
    ) -> Result<Answer<'a>, Failure> {
        let began = Instant::now();
        let limits = self.limits(record);
        let entered = endpoint.enter();
        let mut up = match self.connection(endpoint, fresh, limits.total).await {
            Ok(up) => up,
            Err(reason) => {
                self.failed(endpoint, reason, began);
                return Err(Failure::unconnected(reason));
            }
        };
        forward::request(
            &mut up.output,
            self.request,
            self.scene.conn,
            self.route,
            &endpoint.name,
            self.stay.as_ref().map(Stay::cookie),
        );
        let mut upload = Upload::new(self.request);
        let mut watch = Watch::new(self.scene.alarm, limits);
        match self.head(client, &mut up, &mut upload, &mut watch).await {
            Ok(mut head) => {
                record.backend_took = began.elapsed();
                self.pool
                    .answered(endpoint, head.status, record.backend_took);
                if self.pool.load_report {
                    load_report::take(&mut head, up.input.filled(), endpoint);
                }
                let shard = &self.scene.worker.shard;
                shard.attempt(
                    self.pool.id,
                    endpoint,
                    Some(head.status),
                    record.backend_took,
                );
                let endpoint = endpoint.clone();
                Ok(Answer {
                    endpoint,
                    _entered: entered,
                    up,
                    upload,
                    watch,
                    head,
                })
            }
            Err(fault) => {
                self.failed(endpoint, fault.reason, began);
                Err(Failure {
                    reason: fault.reason,
                    answered: fault.answered,
                    sent: !upload.nothing_sent(),
                    spent: upload.bytes > 0,
                })
            }
        }
    }

    async fn connection(
        &self,
        endpoint: &Arc<Endpoint>,
        fresh: bool,
        total: Option<Instant>,
    ) -> Result<Connection, Reason> {
        // What cannot be sent twice asks the kernel whether the connection still stands.
        let certain = self.request.framing != Framing::None || !self.request.is_idempotent();
        if !fresh && let Some(up) = self.scene.worker.upstreams.take(endpoint.id, certain) {
            return Ok(up);
        }
        let began = Instant::now();
        let left = total.map_or(Duration::MAX, |total| {
            total.saturating_duration_since(began)
        });
        let limit = self.pool.connect_timeout.min(left);
        let up = upstream::connect(endpoint, limit, self.scene.alarm).await;
        let up = up.map_err(|reason| match reason {
            Reason::ConnectTimeout if left <= limit => Reason::TotalTimeout,
            reason => reason,
        })?;
        self.scene
            .worker
            .shard
            .connect(self.pool.id, endpoint, began.elapsed());
        Ok(up)
    }

    fn limits(&self, record: &Record<'_>) -> Limits {
        let (listener, route) = (&self.scene.listener.policy.timeouts, &self.route.timeouts);
        Limits {
            response: route.response,
            body_rate: listener.body_rate,
            stall: listener.idle,
            total: route.total.map(|total| record.began() + total),
            max_body: self.route.max_body.unwrap_or(u64::MAX),
        }
    }

    /// The final response's head; interim ones are passed on.
    async fn head<C: Client>(
        &self,
        client: &mut C,
        up: &mut Connection,
        upload: &mut Upload,
        watch: &mut Watch<'_>,
    ) -> Result<ResponseHead, Fault> {
        let to_head = self.request.method() == b"HEAD";
        let mut answered = false;
        for _ in 0..INTERIM {
            let outcome = relay::head(client, up, upload, watch, to_head).await;
            let head = outcome.map_err(|fault| fault.after(answered))?;
            match head.status {
                101 if self.request.upgrade.is_some() => return Ok(head),
                101 => {
                    return Err(Fault {
                        reason: Reason::BadResponse,
                        answered: true,
                    });
                }
                100..200 => {
                    if client.takes_interim() {
                        let lines =
                            respond::fields(&head, up.input.filled(), &self.route.response_headers);
                        client.interim(&outgoing(
                            &head,
                            up.input.filled(),
                            &lines,
                            Framing::None,
                            false,
                        ));
                    }
                    up.input.consume(head.length);
                    // The connection proved alive, and the request arrived.
                    (answered, up.reused) = (true, false);
                }
                _ => return Ok(head),
            }
        }
        Err(Fault {
            reason: Reason::BadResponse,
            answered: true,
        })
    }

    fn failed(&self, endpoint: &Arc<Endpoint>, reason: Reason, began: Instant) {
        if reason.side() != Side::Endpoint {
            return;
        }
        self.scene
            .worker
            .shard
            .attempt(self.pool.id, endpoint, None, began.elapsed());
        if reason != Reason::StaleConnection {
            self.pool.failed(endpoint, began.elapsed());
            self.scene.worker.events.send(Event::EndpointFailed {
                endpoint: endpoint.clone(),
                reason,
            });
        }
    }

    /// Passes the answer on and keeps the connection if it can serve again.
    async fn deliver<C: Client>(
        &self,
        client: &mut C,
        mut answer: Answer<'_>,
        record: &mut Record<'_>,
    ) -> Result<Ended, Reason> {
        record.status = answer.head.status;
        let (head, up) = (&answer.head, &mut answer.up);
        if head.status == 101 {
            return self.tunnel(client, answer, record).await;
        }
        let framing = head.framing.unwrap_or(Framing::Close);
        let close = must_close(self.scene, client, self.request);
        let cookie = self.set_cookie(&answer.endpoint);
        let mut lines = respond::fields(head, up.input.filled(), &self.route.response_headers);
        lines.extend(
            cookie
                .as_deref()
                .map(|cookie| (&b"Set-Cookie"[..], cookie.as_bytes())),
        );
        client.begin(
            self.request,
            &outgoing(head, up.input.filled(), &lines, framing, close),
        )?;
        drop(lines);
        up.input.consume(head.length);
        let mut download = Download::new(framing);
        let outcome = relay::body(
            client,
            up,
            &mut answer.upload,
            &mut download,
            &mut answer.watch,
        )
        .await;
        record.response_bytes = download.bytes;
        outcome.inspect_err(|reason| self.cut_short(&answer.endpoint, *reason))?;
        let clean = answer.upload.done && !answer.upload.broken && answer.up.input.is_empty();
        if answer.head.keep_alive && clean && !self.scene.worker.is_draining() {
            let keep = self.pool.idle_timeout;
            self.scene
                .worker
                .upstreams
                .put(answer.endpoint.id, answer.up, keep);
        }
        Ok(Ended::Complete)
    }

    fn set_cookie(&self, endpoint: &Endpoint) -> Option<String> {
        let over_tls = self.scene.conn.scheme == "https";
        self.stay.as_ref()?.set_cookie(endpoint, over_tls)
    }

    fn cut_short(&self, endpoint: &Arc<Endpoint>, reason: Reason) {
        if reason.side() == Side::Endpoint {
            self.scene.worker.events.send(Event::EndpointFailed {
                endpoint: endpoint.clone(),
                reason,
            });
        }
    }

    async fn tunnel<C: Client>(
        &self,
        client: &mut C,
        mut answer: Answer<'_>,
        record: &mut Record<'_>,
    ) -> Result<Ended, Reason> {
        let (head, up) = (&answer.head, &mut answer.up);
        let cookie = self.set_cookie(&answer.endpoint);
        let mut lines = respond::fields(head, up.input.filled(), &self.route.response_headers);
        lines.extend(
            cookie
                .as_deref()
                .map(|cookie| (&b"Set-Cookie"[..], cookie.as_bytes())),
        );
        let protocol = self
            .request
            .upgrade
            .map(|span| self.request.get(span))
            .unwrap_or_default();
        lines.push((b"Connection", b"Upgrade"));
        lines.push((b"Upgrade", protocol));
        client.interim(&outgoing(
            head,
            up.input.filled(),
            &lines,
            Framing::None,
            false,
        ));
        drop(lines);
        up.input.consume(head.length);
        std::future::poll_fn(|cx| client.poll_flush(cx)).await?;
        let (stream, input) = client.tunnel().ok_or(Reason::Internal)?;
        let moved = tunnel::run(
            (stream, input),
            (&mut up.stream, &mut up.input),
            self.scene.alarm,
            self.route.timeouts.tunnel,
        )
        .await;
        record.request_bytes = moved.up;
        record.response_bytes = moved.down;
        Ok(Ended::Tunnelled)
    }
}

/// A backend's head on its way to the client; it was parsed from these bytes.
pub(super) fn outgoing<'o>(
    head: &ResponseHead,
    bytes: &'o [u8],
    lines: &'o [(&'o [u8], &'o [u8])],
    framing: Framing,
    close: bool,
) -> Outgoing<'o> {
    Outgoing {
        status: head.status,
        phrase: head.phrase.in_bytes(bytes),
        fields: lines,
        framing,
        content_length: head
            .content_length
            .filter(|_| !matches!(head.status, 100..200 | 204)),
        close,
    }
}
