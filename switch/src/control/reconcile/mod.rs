//! The one owner of what may change. Everything arrives as a message; however many arrive
//! together, one snapshot follows.

mod desk;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pointsman_config::policy::Policy;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::desk::Message;
use super::Listeners;
use super::agents::{self, Registrar};
use super::contact::desk::ContactParts;
use super::contact::exchange::Heard;
use super::contact::plan::Plan;
use super::direct::Direct;
use super::direct::plan::{Identity, Plan as DirectPlan};
use super::discovery::{Discovery, Found};
use super::endpoints::LastCheck;
use super::explain::Look;
use super::health::checker::{Checker, Finding};
use super::journal::Happening;
use super::orders;
use super::random::SplitMix;
use super::readiness::Readiness;
use super::source::{Loaded, Refused, Source};
use super::state::State;
use super::status;
use crate::endpoint::{Endpoint, EndpointId, Health};
use crate::error::Reason;
use crate::event::Event;

pub use self::desk::Desk;

/// Findings, lookups and requests that may wait.
const CAPACITY: usize = 1024;
/// Messages of one kind that are taken up before the next snapshot.
const BURST: usize = 256;
/// Between two snapshots: a thousand backends that go down within a second make a hundred
/// snapshots at most.
const GAP: Duration = Duration::from_millis(10);
/// How often backends are weighed by the loads that they report.
const WEIGHING: Duration = Duration::from_secs(1);
/// How often is looked at least whether an operator's order has ended.
const LOOK: Duration = Duration::from_secs(60);

/// The task that owns the state.
#[derive(Debug)]
pub struct Reconciler<L> {
    state: State,
    listeners: Arc<L>,
    source: Source,
    readiness: Arc<Readiness>,
    contact: Option<ContactParts>,
    registrar: Registrar,
    direct: Arc<Direct>,
    checker: Checker,
    discovery: Discovery,
    inbox: Inbox,
    /// The state has changed since the last snapshot.
    stale: bool,
    /// When the last snapshot was published.
    published: Option<Instant>,
    /// The endpoints have changed since the checker was told.
    moved: bool,
    /// The first round of checks is over.
    checked: bool,
}

#[derive(Debug)]
struct Inbox {
    messages: mpsc::Receiver<Message>,
    events: mpsc::Receiver<Event>,
    findings: mpsc::Receiver<Finding>,
    found: mpsc::Receiver<Found>,
}

impl<L: Listeners> Reconciler<L> {
    /// Takes over the state. Checks and lookups begin with [`Reconciler::run`].
    pub fn new(
        state: State,
        listeners: Arc<L>,
        source: Source,
        readiness: Arc<Readiness>,
        events: mpsc::Receiver<Event>,
        (contact, registrar, direct): (Option<ContactParts>, Registrar, Arc<Direct>),
    ) -> (Self, Desk) {
        let (desk, messages) = mpsc::channel(CAPACITY);
        let (find, findings) = mpsc::channel(CAPACITY);
        let (look, found) = mpsc::channel(CAPACITY);
        let seed = SplitMix::process_seed();
        let reconciler = Self {
            state,
            listeners,
            source,
            readiness,
            contact,
            discovery: Discovery::new(look, seed.rotate_left(32), registrar.clone()),
            registrar,
            direct,
            checker: Checker::new(find, seed),
            inbox: Inbox {
                messages,
                events,
                findings,
                found,
            },
            stale: false,
            published: None,
            moved: true,
            checked: false,
        };
        (reconciler, Desk(desk))
    }

    /// Runs until nobody can send messages any more.
    pub async fn run(mut self) {
        let mut events_open = true;
        let mut weighing = tokio::time::interval(WEIGHING);
        weighing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.readiness.set_pools_up(self.state.pools_up());
        self.settle();
        self.tell_others();
        loop {
            let due = self.due();
            let wake = self.state.deadline();
            // The clock may be set meanwhile: an hour is looked at again after a minute.
            let end = self.state.overlay().next_end(SystemTime::now());
            let (has_end, next_end) = (end.is_some(), end.unwrap_or_default().min(LOOK));
            tokio::select! {
                message = self.inbox.messages.recv() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                event = self.inbox.events.recv(), if events_open => match event {
                    Some(event) => self.event(event),
                    None => events_open = false,
                },
                Some(finding) = self.inbox.findings.recv() => self.finding(finding),
                Some(found) = self.inbox.found.recv() => self.found(found),
                () = tokio::time::sleep_until(due.into()), if self.stale => {}
                _ = weighing.tick(), if self.state.hears_loads() => {
                    self.stale |= self.state.has_new_loads();
                }
                () = until(wake) => {}
                () = changed(&self.direct) => self.moved = true,
                heard = heard(self.contact.as_ref()) => self.heard(heard),
                () = tokio::time::sleep(next_end), if has_end => self.end_orders(),
            }
            self.stale |= self.state.advance(Instant::now());
            self.take_up_what_waits();
            if !self.stale || self.due() <= Instant::now() {
                self.settle();
            }
        }
    }

    fn take_up_what_waits(&mut self) {
        for _ in 0..BURST {
            let Ok(finding) = self.inbox.findings.try_recv() else {
                break;
            };
            self.finding(finding);
        }
        for _ in 0..BURST {
            let Ok(event) = self.inbox.events.try_recv() else {
                break;
            };
            self.event(event);
        }
        for _ in 0..BURST {
            let Ok(found) = self.inbox.found.try_recv() else {
                break;
            };
            self.found(found);
        }
    }

    /// What the kernel passes on by itself. Until the first checks are over it goes on as the process
    /// before has left it: a backend that is not known to be well is no worse than it was then.
    fn direct(&self) {
        let policy = self.state.policy();
        let known = self.checked || self.readiness.check().is_ok();
        if known || !policy.is_direct() {
            let plan = DirectPlan::of(policy, &self.state.snapshot());
            self.direct.want(plan);
        }
    }

    /// When the next snapshot may be published: the first one of a burst at once.
    fn due(&self) -> Instant {
        self.published.map_or_else(Instant::now, |last| last + GAP)
    }

    /// Publishes what has changed and tells those who watch it.
    fn settle(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.state.publish();
            self.published = Some(Instant::now());
            self.readiness.set_pools_up(self.state.pools_up());
            self.tell_others();
        }
        self.cut_disabled();
        if std::mem::take(&mut self.moved) {
            let direct = &self.direct;
            let via = |endpoint: &Endpoint| direct.vias().get(&Identity::of(endpoint)?);
            self.checker.update(self.state.checks(via));
            self.discovery.update(self.state.wanted().iter().cloned());
            let labels = self.state.wanted().iter().map(ToString::to_string);
            self.state.hub().keep_sources(labels);
        }
        if !self.checked && self.state.is_checked() {
            self.checked = true;
            self.readiness.set_checked();
        }
        self.direct();
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Apply(loaded, reply) => {
                let result = self.apply(*loaded);
                // Whoever asked may read the state next: let it be the new one.
                self.settle();
                let _ = reply.send(result);
            }
            Message::Status(reply) => {
                self.settle();
                let _ = reply.send(self.told().whole());
            }
            Message::News(generation, reply) => {
                self.settle();
                let _ = reply.send(self.told().news(generation));
            }
            Message::Look(reply) => {
                self.settle();
                let _ = reply.send(Look::at(
                    &self.state,
                    self.listeners.addresses(),
                    Some(self.direct.clone()),
                ));
            }
            Message::Order(order, reply) => {
                let done = orders::carry_out(&mut self.state, &order);
                self.stale |= done.is_ok();
                self.settle();
                let _ = reply.send(done);
            }
            Message::Known(reply) => drop(reply.send(self.state.known())),
        }
    }

    /// What the other switches of the group go on with after a takeover.
    fn tell_others(&self) {
        if let Some(contact) = &self.contact {
            let (ejections, overlay) = (self.state.export_ejections(), self.state.export_overlay());
            contact.exchange.tell(ejections, overlay);
        }
    }

    /// Takes over what the others have found out, or were told by their operators.
    fn heard(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            self.stale |= match heard {
                Heard::Ejections(known) => self.state.adopt_ejections(&known),
                Heard::Overlay(entries) => {
                    let new = self.state.adopt_overlay(entries);
                    orders::tell_of_heard(&self.state, &new);
                    !new.is_empty()
                }
            };
        }
    }

    fn end_orders(&mut self) {
        let ended = self.state.overlay_mut().expire(SystemTime::now());
        self.stale |= !ended.is_empty();
        orders::tell_of_ended(&self.state, &ended);
    }

    fn cut_disabled(&mut self) {
        let disabled = self.state.take_to_cut();
        if !disabled.is_empty() {
            self.listeners.cut(&disabled);
        }
    }

    /// What the status is collected from.
    fn told(&self) -> status::Sources<'_, L> {
        status::Sources {
            state: &self.state,
            listeners: &self.listeners,
            source: &self.source,
            readiness: &self.readiness,
            board: self.contact.as_ref().map(|contact| &*contact.board),
            registrar: &self.registrar,
            direct: &self.direct,
        }
    }

    fn apply(&mut self, mut loaded: Loaded) -> Result<Arc<Policy>, Refused> {
        let fallbacks = self.direct.settle(&mut loaded)?;
        let frame = self.state.draft(&mut loaded);
        let prepared = self
            .listeners
            .prepare(frame.listeners())
            .map_err(Refused::Bind)?;
        let agents = agents::prepare(&loaded.policy, Some(&self.registrar));
        let agents = agents.map_err(Refused::Bind)?;
        self.change_contacts(&loaded).map_err(Refused::Contact)?;
        self.warn_of_what_takes_a_restart(&loaded);
        let before = self.endpoint_ids();
        let policy = loaded.policy.clone();
        self.listeners
            .set_max_connections(loaded.policy.process.max_connections);
        self.state.adopt(loaded, frame);
        self.listeners.commit(prepared);
        self.registrar.commit(agents);
        self.readiness.set_pools_up(self.state.pools_up());
        self.stale = false;
        self.moved = true;
        let after = self.endpoint_ids();
        tracing::info!(
            policy = %policy.digest,
            backends_added = after.difference(&before).count(),
            backends_removed = before.difference(&after).count(),
            "policy in force"
        );
        self.state.journal().note(
            Happening::info("reload", format!("policy {} in force", policy.digest))
                .about("policy", &policy.digest),
        );
        let journal = self.state.journal();
        fallbacks.into_iter().for_each(|event| journal.tell(event));
        orders::tell_of_stray(&mut self.state);
        Ok(policy)
    }

    fn change_contacts(&self, loaded: &Loaded) -> Result<(), String> {
        let plan = Plan::of(&loaded.policy);
        match &self.contact {
            Some(contact) => contact.plans.change(plan),
            None if plan.is_empty() => Ok(()),
            None => {
                tracing::warn!("[contact] is new: `pointsman upgrade` puts it into force");
                Ok(())
            }
        }
    }

    fn warn_of_what_takes_a_restart(&self, loaded: &Loaded) {
        let (old, new) = (self.state.policy(), &loaded.policy);
        if old.admin.listen != new.admin.listen {
            tracing::warn!("admin.listen has changed: it takes effect at the next start");
        }
        if old.process.workers != new.process.workers {
            tracing::warn!("process.workers has changed: it takes effect at the next start");
        }
        if old.access_log != new.access_log {
            tracing::warn!("access_log has changed: it takes effect at the next start");
        }
    }

    fn endpoint_ids(&self) -> HashSet<EndpointId> {
        let snapshot = self.state.snapshot();
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        members.map(|member| member.endpoint.id).collect()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::EndpointFailed { endpoint, reason } if is_connect(reason) => {
                if let Some(entry) = self.state.entry_mut(endpoint.id) {
                    let error = Some(format!("{} (a client's connection)", reason.word()));
                    entry.last = Some(LastCheck {
                        at: SystemTime::now(),
                        took: None,
                        error,
                    });
                    entry.refuses = true;
                    self.checker.trouble(endpoint.id);
                }
            }
            Event::EndpointFailed { .. } => {}
            Event::EndpointErrs { endpoint, cause } => {
                self.stale |= self.state.erred(&endpoint, cause, Instant::now());
            }
        }
    }

    fn finding(&mut self, finding: Finding) {
        if !self.checker.is_current(&finding) {
            return;
        }
        let Some(entry) = self.state.entry_mut(finding.endpoint) else {
            return;
        };
        let endpoint = entry.endpoint.clone();
        if let Some((result, took)) = finding.check {
            let error = result.err();
            self.state
                .hub()
                .health_check(&endpoint, error.is_none(), took);
            if let Some(entry) = self.state.entry_mut(finding.endpoint) {
                entry.last = Some(LastCheck {
                    at: SystemTime::now(),
                    took: Some(took),
                    error,
                });
                let refuses = finding.refuses.unwrap_or(entry.refuses);
                // Who is spread to in panic depends on it.
                self.stale |= entry.refuses != refuses && endpoint.health() == Health::Down;
                entry.refuses = refuses;
            }
        }
        let Some(health) = finding.became else { return };
        if self.state.set_health(finding.endpoint, health) {
            self.stale = true;
            let entry = self.state.entry(finding.endpoint);
            let last = entry.and_then(|entry| entry.last.as_ref());
            let why = last.and_then(|last| last.error.as_deref());
            let (pool, backend) = (&endpoint.pool, &endpoint.name);
            tracing::info!(%pool, %backend, why, "backend is {}", health.word());
            let because = why.map(|why| format!(": {why}")).unwrap_or_default();
            let text = format!("{pool}/{backend} is {}{because}", health.word());
            let event = match health {
                Health::Down => Happening::warning("backend-health", text),
                _ => Happening::info("backend-health", text),
            };
            let event = event.about("pool", pool).about("backend", backend);
            self.state
                .journal()
                .note(event.about("state", health.word()));
        }
    }

    fn found(&mut self, found: Found) {
        let (source, count) = (
            found.source.clone(),
            found.backends.as_ref().ok().map(Vec::len),
        );
        let before = self.state.lookup_error(&source).cloned();
        match (&found.backends, &before) {
            (Err(error), Some(before)) if before.error == *error => {}
            (Err(error), _) => tracing::warn!("{source}: {error}"),
            (Ok(_), Some(_)) => tracing::info!("{source}: found again"),
            (Ok(_), None) => {}
        }
        let changed = self.state.learn(found);
        self.state
            .hub()
            .discovered(&source.to_string(), count, changed);
        if changed {
            tracing::info!(
                "{source}: the backends have changed, there are {}",
                count.unwrap_or(0)
            );
            self.stale = true;
            self.moved = true;
        }
    }
}

async fn heard(contact: Option<&ContactParts>) -> Vec<Heard> {
    match contact {
        Some(contact) => contact.exchange.heard().await,
        None => std::future::pending().await,
    }
}

async fn changed(direct: &Direct) {
    direct.vias().changed().await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The backend did not even take the connection: it speaks against its health.
fn is_connect(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConnectRefused | Reason::ConnectTimeout | Reason::ConnectFailed
    )
}
