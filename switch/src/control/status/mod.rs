//! What `GET /status` and `pointsman status` tell: [`Status`] and its parts, and how they are made.

mod types;

use std::time::SystemTime;

use pointsman_config::policy::{self, BackendAddr, BindAddr, Discover};

use super::Listeners;
use super::agents::Registrar;
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
pub use types::{
    BackendStatus, CheckStatus, EjectionStatus, ListenerStatus, OverlayStatus, PolicyStatus,
    PoolStatus, RouteStatus, ShareStatus, SourceStatus, Status,
};

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
