//! One try: a request at one backend, until the head of its answer is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::client::Client;
use super::super::deadline::Deadline;
use super::super::forward::Told;
use super::super::head::{Framing, RequestHead, ResponseHead};
use super::super::mark::Mark;
use super::super::relay::{self, Fault, Limits, Upload, Watch};
use super::super::retry::Failure;
use super::super::stay::Stay;
use super::super::{Scene, forward, load_report, respond};
use super::outgoing;
use crate::data::timer::Alarm;
use crate::data::upstream::{self, Connection};
use crate::data::verdict;
use crate::endpoint::{Endpoint, InFlight};
use crate::error::{Reason, Side};
use crate::event::Event;
use crate::pool::Pool;
use crate::snapshot::Route;
use crate::trace::Notes;

/// Interim responses to one request at most: an endless row of them is no answer.
const INTERIM: usize = 32;

/// What the tries of one request have in common.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) request: &'a RequestHead,
    pub(super) route: &'a Route,
    pub(super) pool: &'a Pool,
    /// The request's trace, and who will ask about it.
    pub(super) mark: Option<&'a Mark>,
    /// Where the client belongs, in pools that keep clients.
    pub(super) stay: Option<&'a Stay<'a>>,
    /// When the exchange must have ended.
    pub(super) end: Option<Instant>,
}

/// A backend's answer, its head in hand.
pub(super) struct Answer<'a> {
    /// Ends the count of what is under way at the endpoint when dropped.
    pub(super) entered: InFlight,
    pub(super) up: Connection,
    pub(super) upload: Upload,
    pub(super) watch: Watch<'a>,
    pub(super) head: ResponseHead,
    /// From the try's start to the answer's head.
    pub(super) took: Duration,
}

impl Answer<'_> {
    /// The same with its time watched by another alarm.
    pub(super) fn by(self, alarm: &Alarm) -> Answer<'_> {
        let Self {
            entered,
            up,
            upload,
            watch,
            head,
            took,
        } = self;
        let watch = watch.by(alarm);
        Answer {
            entered,
            up,
            upload,
            watch,
            head,
            took,
        }
    }

    /// Whether content was taken from the client: it cannot be sent again.
    pub(super) fn is_spent(&self) -> bool {
        self.upload.bytes > 0 || !self.upload.done
    }
}

impl<'a> Trial<'a> {
    /// Whether a backend may get the request though another may have got it, too.
    pub(super) fn is_repeatable(&self) -> bool {
        self.request.is_idempotent() || self.route.retry.unsafe_methods
    }

    /// Tries the endpoint whose place is given.
    pub(super) async fn attempt<C: Client>(
        &self,
        client: &mut C,
        entered: InFlight,
        fresh: bool,
    ) -> Result<Answer<'a>, Failure> {
        let endpoint = entered.endpoint();
        let began = Instant::now();
        let limits = self.limits(began);
        let span = self.mark.map_or(0, |_| self.scene.worker.ids.span());
        let mut note = self
            .notes()
            .map(|notes| notes.attempt(endpoint, span, began));
        let mut up = match self.connection(endpoint, fresh, &limits, began).await {
            Ok(up) => up,
            Err(reason) => {
                if let Some(note) = &mut note {
                    note.failed(reason);
                }
                self.failed(endpoint, reason, began);
                return Err(Failure::unconnected(reason));
            }
        };
        if let Some(note) = &note {
            note.connected(up.reused);
        }
        self.ask(&mut up, endpoint, &limits, span);
        let mut upload = Upload::new(self.request);
        let mut watch = Watch::new(self.scene.alarm, limits);
        match self.head(client, &mut up, &mut upload, &mut watch).await {
            Ok(mut head) => {
                let took = began.elapsed();
                if let Some(note) = &mut note {
                    note.answered(head.status);
                }
                self.pool.answered(endpoint, head.status, took);
                if self.pool.load_report {
                    load_report::take(&mut head, up.input.filled(), endpoint);
                }
                let shard = &self.scene.worker.shard;
                let trace = self.mark.and_then(Mark::exemplar);
                shard.attempt(endpoint, Some(head.status), took, trace);
                endpoint.answered(took, matches!(head.status, 429 | 503));
                if verdict::is_error(head.status) {
                    verdict::answered_with_error(self.scene.worker, self.pool, endpoint);
                }
                Ok(Answer {
                    entered,
                    up,
                    upload,
                    watch,
                    head,
                    took,
                })
            }
            Err(fault) => {
                if let Some(note) = &mut note {
                    note.failed(fault.reason);
                }
                if matches!(fault.reason, Reason::Timeout | Reason::Reset) {
                    endpoint.answered(began.elapsed(), true);
                }
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

    /// What happens, where somebody will ask.
    pub(super) fn notes(&self) -> Option<&'a Notes> {
        self.mark?.notes.as_ref()
    }

    /// Writes the request's head. Not within the future of a try, which would have room for all of it.
    fn ask(&self, up: &mut Connection, endpoint: &Endpoint, limits: &Limits, span: u64) {
        let trace = self.mark.and_then(|mark| mark.trace.as_ref());
        let header = trace.and_then(|trace| trace.header(span));
        forward::request(
            &mut up.output,
            self.request,
            self.scene.conn,
            self.route,
            &endpoint.name,
            self.stay.map(Stay::cookie),
            Told {
                deadline: self.deadline(limits),
                trace: header.as_ref(),
            },
        );
    }

    async fn connection(
        &self,
        endpoint: &Arc<Endpoint>,
        fresh: bool,
        limits: &Limits,
        began: Instant,
    ) -> Result<Connection, Reason> {
        // What cannot be sent twice asks the kernel whether the connection still stands.
        let certain = self.request.framing != Framing::None || !self.request.is_idempotent();
        if !fresh && let Some(up) = self.scene.worker.upstreams.take(endpoint, certain) {
            return Ok(up);
        }
        let until = |end: Option<Instant>| {
            end.map_or(Duration::MAX, |end| end.saturating_duration_since(began))
        };
        let left = until(limits.total);
        let limit = self.pool.connect_timeout.min(until(limits.per_try));
        let up = upstream::connect(endpoint, limit.min(left), self.scene.alarm).await;
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

    /// What the backend is told of the time that it has.
    fn deadline(&self, limits: &Limits) -> Option<Deadline<'_>> {
        let header = self.route.deadline_header.as_ref()?;
        let end = limits.total.into_iter().chain(limits.per_try).min()?;
        Some(Deadline {
            header: header.as_bytes(),
            left: end.saturating_duration_since(Instant::now()),
        })
    }

    fn limits(&self, now: Instant) -> Limits {
        let (listener, route) = (&self.scene.listener.policy.timeouts, &self.route.timeouts);
        // What could not be tried again anyway is not cut off.
        let per_try = self.route.retry.per_try;
        let per_try =
            per_try.filter(|_| self.request.framing == Framing::None && self.is_repeatable());
        Limits {
            response: route.response,
            body_rate: listener.body_rate,
            stall: listener.idle,
            total: self.end,
            per_try: per_try.map(|per_try| now + per_try),
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
        self.scene.worker.shard.attempt(
            endpoint,
            None,
            began.elapsed(),
            self.mark.and_then(Mark::exemplar),
        );
        verdict::failed(self.scene.worker, self.pool, endpoint, reason);
        if reason != Reason::StaleConnection {
            self.pool.failed(endpoint, began.elapsed());
            self.scene.worker.events.send(Event::EndpointFailed {
                endpoint: endpoint.clone(),
                reason,
            });
        }
    }
}
