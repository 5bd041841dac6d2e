//! What `GET /status` and `pointsman status` tell.

use std::time::SystemTime;

use pointsman_config::policy::{self, BackendAddr, BindAddr, Discover};
use serde::{Deserialize, Serialize};

use super::Listeners;
use super::agents::Registrar;
use super::agents::status::AgentStatus;
use super::clock::rfc3339;
use super::contact::status::{Board, ContactsStatus};
use super::direct::Direct;
use super::direct::board::DirectStatus;
use super::endpoints::LastCheck;
use super::overlay::OverlayEntry;
use super::readiness::Readiness;
use super::source::Source;
use super::state::State;
use crate::endpoint::{Duty, Endpoint, Health, State as EndpointState, WHOLE, clock};
use crate::metrics::Totals;
use crate::pool::Member;
use crate::route::Split;
use crate::snapshot::{Action, Snapshot};

/// The state of the process. Times of day are RFC 3339, durations seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Since the start.
    pub uptime: f64,
    /// `ready`, or why it is not.
    pub state: String,
    /// The policy in force.
    pub policy: PolicyStatus,
    /// Client connections that are open.
    pub connections: u64,
    /// Where clients connect.
    pub listeners: Vec<ListenerStatus>,
    /// The routes.
    pub routes: Vec<RouteStatus>,
    /// The pools.
    pub pools: Vec<PoolStatus>,
    /// Where backends are looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceStatus>,
    /// The servers that agents have registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentStatus>,
    /// What the operator has laid over the policy.
    #[serde(default)]
    pub overlay: Vec<OverlayStatus>,
    /// What the kernel passes on by itself, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<DirectStatus>,
    /// The contact addresses, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactsStatus>,
}

/// The policy in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// The digest of all that was read.
    pub digest: String,
    /// The main file, unless the policy came from the command line.
    pub file: Option<String>,
    /// When it came into force.
    pub since: String,
    /// Counts snapshots: changes of policy, members or health.
    pub generation: u64,
}

/// A listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The name in the policy.
    pub name: String,
    /// `http`, `tcp` or `udp`.
    pub protocol: String,
    /// Whether TLS is terminated.
    pub tls: bool,
    /// Where it listens in fact.
    pub addresses: Vec<String>,
    /// Open connections.
    pub connections: u64,
    /// Connections since the start.
    pub accepted: u64,
}

/// A route.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The name in metrics and log.
    pub name: String,
    /// The pool that it forwards to.
    pub pool: Option<String>,
    /// The pools that it is split between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<ShareStatus>,
    /// Finished requests.
    pub requests: u64,
    /// Requests that were not served as wished.
    pub errors: u64,
    /// Requests under way.
    pub in_flight: u64,
}

/// A pool of a split.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShareStatus {
    /// The pool.
    pub pool: String,
    /// Its weight, relative to the others.
    pub weight: u32,
}

/// A pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PoolStatus {
    /// The name in the policy.
    pub name: String,
    /// How a backend is chosen; `direct` where the kernel passes packets on.
    pub balance: String,
    /// `spread` or `fail` while too few backends are healthy: what becomes of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// The backends.
    pub backends: Vec<BackendStatus>,
}

/// A backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackendStatus {
    /// The name in the policy.
    pub name: String,
    /// Where it listens; `None` while its name has no address.
    pub address: Option<String>,
    /// `starting`, `up`, `down`, `unresolved`, `ejected` or `slow-start`; `draining` or `disabled`
    /// where the operator has taken it out.
    pub state: String,
    /// The same, whatever the operator has done.
    #[serde(default)]
    pub health: String,
    /// Since when.
    pub since: Option<String>,
    /// 0 to 1000.
    pub weight: u32,
    /// The used part of what it has, if it has reported that lately: 1.0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization: Option<f32>,
    /// In its slow start: the part of its weight that it takes, 0.1 to 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// While it is out for what clients got from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionStatus>,
    /// Requests and TCP connections under way.
    pub in_flight: u32,
    /// Requests and TCP connections handed to it.
    pub requests: u64,
    /// The last check, client's connection that failed, or lookup that failed.
    pub last_check: Option<CheckStatus>,
}

/// A place where backends are looked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceStatus {
    /// What tells it from others: `dns app.internal:8080`, `file /etc/pointsman/app.backends.toml`.
    pub source: String,
    /// `found`; `waiting` until the first time; `stale` while it fails and what was found before
    /// holds; `failed` while it fails and nothing was ever found.
    pub state: String,
    /// Backends of the last list.
    pub backends: usize,
    /// When the last list came.
    pub found: Option<String>,
    /// Why there has been none since.
    pub error: Option<String>,
}

/// A backend's time out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EjectionStatus {
    /// The error that did it: a reason's word, `status` or `ratio`.
    pub reason: String,
    /// When it takes requests again.
    pub until: String,
    /// The how manieth time in a row.
    pub times: u32,
}

/// Something that the operator has laid over the policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OverlayStatus {
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub backend: String,
    /// `drain`, `disable` or `weight`.
    pub order: String,
    /// With `weight`: the weight in place of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The operator's reason; may be empty.
    pub why: String,
    /// Since when.
    pub since: String,
    /// When it ends by itself.
    pub until: Option<String>,
    /// Requests and TCP connections that are under way there.
    pub in_flight: u32,
    /// Whether there is such a backend now.
    pub applies: bool,
}

/// A check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckStatus {
    /// When it ended.
    pub at: String,
    /// How long it took; absent for a client's connection that failed, and for a lookup.
    pub duration: Option<f64>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What the status is collected from.
#[derive(Debug)]
pub struct Sources<'s, L> {
    /// The policy, the endpoints and the snapshot in force.
    pub state: &'s State,
    /// The data plane.
    pub listeners: &'s L,
    /// Where policies come from.
    pub source: &'s Source,
    /// Whether the process takes traffic.
    pub readiness: &'s Readiness,
    /// The contact addresses.
    pub board: Option<&'s Board>,
    /// The servers that agents have registered.
    pub registrar: &'s Registrar,
    /// Direct return.
    pub direct: &'s Direct,
}

impl<L: Listeners> Sources<'_, L> {
    /// The status.
    pub fn whole(&self) -> Status {
        let snapshot = self.state.snapshot();
        let totals = self.state.hub().totals();
        let open = totals.listeners.iter().map(|listener| listener.connections);
        let addresses = addresses(self.state, self.listeners);
        let brief = self.brief(&snapshot);
        let mut pools = pool_statuses(self.state, &snapshot);
        if let Some(direct) = &brief.direct {
            tell_of_direct(direct, &mut pools);
        }
        Status {
            connections: open.sum(),
            listeners: listener_statuses(&snapshot, &addresses, &totals),
            routes: route_statuses(&snapshot, &totals),
            pools,
            ..brief
        }
    }

    /// The same; without connections, listeners, routes and pools while nothing has been published
    /// since `generation`: but for counts and checks they are what they were.
    pub fn news(&self, generation: u64) -> Status {
        let snapshot = self.state.snapshot();
        match snapshot.generation == generation {
            true => self.brief(&snapshot),
            false => self.whole(),
        }
    }

    fn brief(&self, snapshot: &Snapshot) -> Status {
        let readiness = self.readiness;
        let direct = self.direct.board().read();
        let mut overlay = overlay_statuses(self.state, snapshot);
        if let Some(direct) = &direct {
            tell_of_direct_orders(direct, &mut overlay);
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: readiness.uptime().as_secs_f64(),
            state: readiness.check().err().unwrap_or("ready").to_owned(),
            policy: policy_status(self.state, self.source, snapshot.generation),
            connections: 0,
            listeners: Vec::new(),
            routes: Vec::new(),
            pools: Vec::new(),
            sources: source_statuses(self.state),
            agents: self.registrar.status(),
            overlay,
            direct,
            contact: self.board.map(|board| ContactsStatus::clone(&board.read())),
        }
    }
}

fn policy_status(state: &State, source: &Source, generation: u64) -> PolicyStatus {
    PolicyStatus {
        digest: state.policy().digest.clone(),
        file: source.file().map(|path| path.display().to_string()),
        since: rfc3339(state.in_force_since()),
        generation,
    }
}

/// Where it listens in fact, and what the kernel serves.
fn addresses<L: Listeners>(state: &State, listeners: &L) -> Vec<(String, BindAddr)> {
    let services = state.policy().services();
    let served = services
        .into_iter()
        .map(|service| (service.listener, BindAddr::Socket(service.address)));
    listeners.addresses().into_iter().chain(served).collect()
}

/// The kernel serves these: no request or connection is counted here.
fn tell_of_direct(direct: &DirectStatus, pools: &mut [PoolStatus]) {
    for pool in pools.iter_mut().filter(|pool| direct.serves(&pool.name)) {
        for backend in &mut pool.backends {
            backend.in_flight = direct.left(&pool.name, &backend.name);
            let known = direct.backend(&pool.name, &backend.name);
            backend.requests = known.map_or(0, |known| known.flows);
        }
    }
}

fn tell_of_direct_orders(direct: &DirectStatus, overlay: &mut [OverlayStatus]) {
    for entry in overlay.iter_mut().filter(|one| direct.serves(&one.pool)) {
        let known = direct.backend(&entry.pool, &entry.backend);
        let begins = known.is_some_and(|known| known.state == "active") && entry.order == "drain";
        entry.in_flight = match begins {
            true => 1,
            false => direct.left(&entry.pool, &entry.backend),
        };
    }
}

/// As it is written in the policy.
pub fn bind_word(address: &BindAddr) -> String {
    match address {
        BindAddr::Any(port) => format!(":{port}"),
        BindAddr::Socket(socket) => socket.to_string(),
        BindAddr::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn listener_statuses(
    snapshot: &Snapshot,
    addresses: &[(String, BindAddr)],
    totals: &Totals,
) -> Vec<ListenerStatus> {
    let listeners = snapshot.listeners.iter();
    let status = listeners.map(|listener| {
        let name = &listener.policy.name;
        let own = addresses.iter().filter(|(listener, _)| listener == name);
        let counts = totals.listeners.iter().find(|counts| counts.name == *name);
        ListenerStatus {
            name: name.clone(),
            protocol: listener.policy.protocol.word().to_owned(),
            tls: listener.tls.is_some(),
            addresses: own.map(|(_, address)| bind_word(address)).collect(),
            connections: counts.map_or(0, |counts| counts.connections),
            accepted: counts.map_or(0, |counts| counts.accepted),
        }
    });
    status.collect()
}

fn route_statuses(snapshot: &Snapshot, totals: &Totals) -> Vec<RouteStatus> {
    let routes = snapshot.routes.routes.iter();
    let status = routes.map(|route| {
        let counts = totals
            .routes
            .iter()
            .find(|counts| counts.name == route.name);
        RouteStatus {
            name: route.name.clone(),
            pool: match route.action {
                Action::Pool(at) => snapshot.pools.get(at).map(|pool| pool.name.clone()),
                Action::Split(_) | Action::Redirect(_) | Action::Respond(_) => None,
            },
            split: match &route.action {
                Action::Split(split) => shares(split, snapshot),
                _ => Vec::new(),
            },
            requests: counts.map_or(0, |counts| counts.requests),
            errors: counts.map_or(0, |counts| counts.errors),
            in_flight: counts.map_or(0, |counts| counts.in_flight),
        }
    });
    status.collect()
}

fn shares(split: &Split, snapshot: &Snapshot) -> Vec<ShareStatus> {
    let shares = split.shares().filter_map(|(place, weight)| {
        let pool = snapshot.pools.get(place)?.name.clone();
        Some(ShareStatus { pool, weight })
    });
    shares.collect()
}

pub(super) fn pool_statuses(state: &State, snapshot: &Snapshot) -> Vec<PoolStatus> {
    let pools = state.policy().pools.iter().zip(&snapshot.pools);
    let status = pools.map(|(policy, pool)| PoolStatus {
        name: pool.name.clone(),
        balance: match policy.forward.direct() {
            Some(_) => "direct".to_owned(),
            None => policy.balance.word().to_owned(),
        },
        panic: pool.panic.then(|| panic_word(policy.panic).to_owned()),
        backends: pool
            .members
            .iter()
            .map(|member| backend_status(state, policy, member))
            .collect(),
    });
    status.collect()
}

pub(super) fn overlay_statuses(state: &State, snapshot: &Snapshot) -> Vec<OverlayStatus> {
    let entries = state.overlay().export(false, SystemTime::now());
    let status = |entry: OverlayEntry| {
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        let own = members.filter(|member| entry.is_about(&member.endpoint));
        let loads: Vec<u32> = own.map(|member| member.endpoint.in_flight()).collect();
        OverlayStatus {
            since: rfc3339(entry.since()),
            until: entry.end().map(rfc3339),
            in_flight: loads.iter().sum(),
            applies: !loads.is_empty(),
            pool: entry.pool,
            backend: entry.backend,
            order: entry.order,
            weight: entry.weight,
            why: entry.why,
        }
    };
    entries.into_iter().map(status).collect()
}

fn backend_status(state: &State, policy: &policy::Pool, member: &Member) -> BackendStatus {
    let endpoint = &member.endpoint;
    let entry = state.entry(endpoint.id);
    let unresolved = member.health == Health::Unresolved;
    let last = entry.and_then(|entry| entry.last.as_ref());
    BackendStatus {
        name: endpoint.name.clone(),
        address: (!unresolved).then(|| endpoint.address.to_string()),
        state: match member.duty {
            Duty::Active => member.state().word().to_owned(),
            duty => duty.word().to_owned(),
        },
        health: member.state().word().to_owned(),
        since: entry.map(|entry| rfc3339(entry.since)),
        weight: member.weight,
        utilization: endpoint.load.utilization(clock::now()),
        share: (member.state() == EndpointState::SlowStart)
            .then(|| f64::from(member.share) / f64::from(WHOLE)),
        ejection: ejection_status(state, endpoint),
        in_flight: endpoint.in_flight(),
        requests: endpoint.taken(),
        last_check: match unresolved {
            true => lookup_status(state, policy, &endpoint.name),
            false => last.map(check_status),
        },
    }
}

fn source_statuses(state: &State) -> Vec<SourceStatus> {
    let status = |source: &Discover| {
        let known = state.source_known(source).cloned().unwrap_or_default();
        let word = match (&known.backends, &known.error) {
            (Some(_), None) => "found",
            (Some(_), Some(_)) => "stale",
            (None, None) => "waiting",
            (None, Some(_)) => "failed",
        };
        SourceStatus {
            source: source.to_string(),
            state: word.to_owned(),
            backends: known.backends.map_or(0, |backends| backends.len()),
            found: known.found.map(rfc3339),
            error: known.error.map(|last| last.error),
        }
    };
    state.wanted().iter().map(status).collect()
}

fn ejection_status(state: &State, endpoint: &Endpoint) -> Option<EjectionStatus> {
    let (until, times, reason) = state.ejected_until(endpoint)?;
    Some(EjectionStatus {
        reason: reason.to_owned(),
        until: rfc3339(until),
        times,
    })
}

fn lookup_status(state: &State, policy: &policy::Pool, backend: &str) -> Option<CheckStatus> {
    let listed = policy.backends.iter().find(|other| other.name == backend);
    let source = match listed.map(|backend| &backend.addr) {
        Some(BackendAddr::Name(host, port)) => Discover::name(host.as_str(), *port),
        Some(_) => return None,
        None => {
            let mut sources = policy.discover.iter();
            sources
                .find(|source| source.to_string() == backend)?
                .clone()
        }
    };
    let last = state.lookup_error(&source)?;
    Some(CheckStatus {
        at: rfc3339(last.at),
        duration: None,
        error: Some(last.error.clone()),
    })
}

fn check_status(last: &LastCheck) -> CheckStatus {
    CheckStatus {
        at: rfc3339(last.at),
        duration: last.took.map(|took| took.as_secs_f64()),
        error: last.error.clone(),
    }
}

fn panic_word(panic: policy::Panic) -> &'static str {
    match panic.spread {
        true => "spread",
        false => "fail",
    }
}
