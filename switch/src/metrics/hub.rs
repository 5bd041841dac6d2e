//! The hub: names, the shards of all workers, and what the control plane has to tell.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use prometheus::{Registry, TextEncoder};

use super::agents::AgentFigures;
use super::block::{Counter, Histogram};
use super::collect::{Page, Scrape};
use super::contact::ContactFigures;
use super::direct::DirectFigures;
use super::discovery::SourceFigures;
use super::names::Names;
use super::open_metrics;
use super::sample::Sample;
use super::series::{Admission, RequestKey};
use super::shard::{Shard, Shelves};
use super::table::Family;
use super::totals::Totals;
use crate::endpoint::{Endpoint, EndpointId, State as EndpointState};
use crate::trace::Traces;

/// All metrics of the process. Every method may be called from any thread.
#[derive(Debug)]
pub struct Hub {
    state: Arc<State>,
    registry: Registry,
}

impl Hub {
    /// A hub that shows at most `max_series` label combinations of each metric.
    pub fn new(max_series: usize) -> Arc<Hub> {
        let state = Arc::new(State::new(max_series));
        let registry = Registry::new();
        registry
            .register(Box::new(Scrape::new(state.clone())))
            .expect("the names of the table differ, and the registry is new");
        Arc::new(Hub { state, registry })
    }

    /// The id of a listener's name: dense, from 0 on, the same for the life of the process.
    pub fn listener_id(&self, name: &str) -> u32 {
        self.state.listeners.id(name)
    }

    /// The id of a route's name.
    pub fn route_id(&self, name: &str) -> u32 {
        self.state.routes.id(name)
    }

    /// The id of a pool's name.
    pub fn pool_id(&self, name: &str) -> u32 {
        self.state.pools.id(name)
    }

    /// A shard for one worker. What it counted stays when the worker ends.
    pub fn shard(&self) -> Shard {
        let (shard, shelves) = Shard::new(self.state.admission.clone());
        self.state.shards().push(shelves);
        shard
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    /// The same in the text format of OpenMetrics 1.0, with exemplars.
    pub fn encode_open_metrics(&self) -> String {
        open_metrics::text(&Page::of(&self.state))
    }

    /// Sums for `status` and the live view.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.state.sums())
    }

    /// What was counted until now, for rates over the time to another sample.
    pub fn sample(&self) -> Sample {
        let mut sample = Sample::of(&self.state.sums());
        if let Some(direct) = &*self.state.direct.load() {
            sample.add_direct(direct);
        }
        sample
    }

    /// The backends now in force with their weights. The series of all others go away.
    pub fn set_endpoints(&self, backends: Vec<(Arc<Endpoint>, u32)>) {
        let mut control = self.state.control();
        let ids: HashSet<_> = backends.iter().map(|(endpoint, _)| endpoint.id).collect();
        control.checks.retain(|id, _| ids.contains(id));
        control.backends = backends;
        for shard in self.state.shards().iter() {
            shard.backends.retain(|id, block| {
                let keep = ids.contains(&id);
                block.retired.store(!keep, Relaxed);
                keep
            });
        }
    }

    /// A health check of a backend ended.
    pub fn health_check(&self, endpoint: &Endpoint, passed: bool, took: Duration) {
        let mut control = self.state.control();
        let checks = control.checks.entry(endpoint.id).or_default();
        if passed {
            checks.passed.add(1)
        } else {
            checks.failed.add(1)
        }
        checks.duration.record(took);
    }

    /// A backend's state changed. The end of a slow start is none that counts.
    pub fn transition(&self, endpoint: &Endpoint, from: EndpointState, to: EndpointState) {
        let whole = |state| match state {
            EndpointState::SlowStart => EndpointState::Up,
            state => state,
        };
        let (from, to) = (whole(from), whole(to));
        if from == to {
            return;
        }
        let mut control = self.state.control();
        let checks = control.checks.entry(endpoint.id).or_default();
        checks.transitions[from as usize][to as usize].add(1);
    }

    /// A backend was ejected, for this cause.
    pub fn ejected(&self, pool: &str, cause: &'static str) {
        let mut control = self.state.control();
        *control
            .ejections
            .entry((pool.to_owned(), cause))
            .or_default() += 1;
    }

    /// Every pool in force, and whether it is in panic.
    pub fn set_panics(&self, panics: Vec<(String, bool)>) {
        let mut control = self.state.control();
        let in_force = |pool: &str| panics.iter().any(|(other, _)| other == pool);
        if control.ejections.keys().any(|(pool, _)| !in_force(pool)) {
            control.ejections.retain(|(pool, _), _| in_force(pool));
        }
        control.panics = panics;
    }

    /// A new policy came into force, or was refused.
    pub fn reload(&self, success: bool) {
        let mut control = self.state.control();
        control.last_reload = Some(success);
        if success {
            control.reloads += 1;
            control.in_force_since = Some(now());
        } else {
            control.reloads_failed += 1;
        }
    }

    /// The certificates in force: listener, first host, and the end in seconds since 1970.
    pub fn set_certificates(&self, certificates: Vec<(String, String, i64)>) {
        self.state.control().certificates = certificates;
    }

    /// The digest of the policy in force. To be told at the start and after each reload.
    pub fn config_info(&self, digest: &str) {
        let mut control = self.state.control();
        control.digest = Some(digest.to_owned());
        control.last_reload.get_or_insert(true);
        control.in_force_since.get_or_insert_with(now);
    }

    /// How the contact addresses stand, in place of what was told before; `None`: there are none.
    /// Does not block, so that the contact thread may call it at any time.
    pub fn set_contact(&self, figures: Option<ContactFigures>) {
        self.state.contact.store(figures.map(Arc::new));
    }

    /// How direct return stands, in place of what was told before; `None`: there is none.
    pub fn set_direct(&self, figures: Option<DirectFigures>) {
        self.state.direct.store(figures.map(Arc::new));
    }

    /// A source of backends told a list of so many, or failed; whether the list is another one.
    pub fn discovered(&self, source: &str, backends: Option<usize>, changed: bool) {
        let mut control = self.state.control();
        control.sources.told(source, backends, changed, now());
    }

    /// Backends are looked for in these sources alone: the series of all others go away.
    pub fn keep_sources(&self, sources: impl Iterator<Item = String>) {
        self.state.control().sources.keep(&sources.collect());
    }

    /// How many servers that agents have registered are in which state, by pool.
    pub fn set_agents(&self, census: BTreeMap<(String, &'static str), u64>) {
        self.state.control().agents.census = census;
    }

    /// An agent registered a server of this pool.
    pub fn agent_registered(&self, pool: &str) {
        AgentFigures::count(&mut self.state.control().agents.registered, pool);
    }

    /// The session of an agent of this pool ended without a farewell.
    pub fn agent_lost(&self, pool: &str) {
        AgentFigures::count(&mut self.state.control().agents.lost, pool);
    }

    /// Somebody was not taken as an agent, for this reason.
    pub fn agent_refused(&self, reason: &'static str) {
        *self
            .state
            .control()
            .agents
            .refused
            .entry(reason)
            .or_default() += 1;
    }

    /// Shows what becomes of spans.
    pub fn watch_traces(&self, traces: Arc<Traces>) {
        self.state.traces.store(Some(traces));
    }

    /// Shows a counter that is kept elsewhere.
    pub fn watch(&self, what: Watched, counter: Arc<AtomicU64>) {
        self.state.control().watched[what as usize] = Some(counter);
    }
}

/// Counters that are kept where they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Events that the control plane could not take up.
    EventsDropped,
    /// Lines that the access log's target could not take up.
    AccessLogDropped,
}

/// What hub and scraper share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) max_series: usize,
    pub(super) listeners: Names,
    pub(super) routes: Names,
    pub(super) pools: Names,
    pub(super) admission: Arc<Admission<RequestKey>>,
    /// The most series of each family that were ever left out of a scrape.
    pub(super) dropped: [AtomicU64; Family::ALL.len()],
    /// Not behind the lock of `control`: nobody who holds a lock may keep the contact thread waiting.
    pub(super) contact: ArcSwapOption<ContactFigures>,
    pub(super) direct: ArcSwapOption<DirectFigures>,
    pub(super) traces: ArcSwapOption<Traces>,
    shards: Mutex<Vec<Shelves>>,
    control: Mutex<Control>,
}

impl State {
    fn new(max_series: usize) -> Self {
        Self {
            max_series,
            listeners: Names::default(),
            routes: Names::default(),
            pools: Names::default(),
            admission: Arc::new(Admission::new(max_series)),
            dropped: std::array::from_fn(|_| AtomicU64::new(0)),
            contact: ArcSwapOption::empty(),
            direct: ArcSwapOption::empty(),
            traces: ArcSwapOption::empty(),
            shards: Mutex::default(),
            control: Mutex::default(),
        }
    }

    pub(super) fn shards(&self) -> MutexGuard<'_, Vec<Shelves>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the control plane told.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) backends: Vec<(Arc<Endpoint>, u32)>,
    pub(super) checks: HashMap<EndpointId, Checks>,
    /// By pool and cause.
    pub(super) ejections: BTreeMap<(String, &'static str), u64>,
    pub(super) panics: Vec<(String, bool)>,
    pub(super) reloads: u64,
    pub(super) reloads_failed: u64,
    pub(super) last_reload: Option<bool>,
    /// Seconds since 1970.
    pub(super) in_force_since: Option<f64>,
    pub(super) digest: Option<String>,
    pub(super) certificates: Vec<(String, String, i64)>,
    pub(super) sources: SourceFigures,
    pub(super) agents: AgentFigures,
    pub(super) watched: [Option<Arc<AtomicU64>>; 2],
}

/// What the control plane told of one backend.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) passed: Counter,
    pub(super) failed: Counter,
    pub(super) duration: Histogram,
    /// By the state before, then the state after.
    pub(super) transitions: [[Counter; EndpointState::ALL.len()]; EndpointState::ALL.len()],
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
