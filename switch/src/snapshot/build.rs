//! From a policy and the members of its pools to a [`Snapshot`]. Pure; what did not change is
//! shared with the snapshot before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use pointsman_config::policy::{self, BindAddr, PathPattern, Policy, Tls};

use super::{Action, ListenerSettings, Route, RouteTable, Snapshot, Terminator};
use crate::pool::{Lasting, Member, Pool};
use crate::route::{Router, Split};
use crate::trace::Tracing;

/// What terminates TLS, by what the policy says of it.
pub type TlsConfigs = HashMap<Tls, Arc<Terminator>>;

/// Interns names: the places of listeners, routes and pools in metric shards.
pub trait Ids {
    /// The id of a listener.
    fn listener(&self, name: &str) -> u32;
    /// The id of a route.
    fn route(&self, name: &str) -> u32;
    /// The id of a pool.
    fn pool(&self, name: &str) -> u32;
}

impl Ids for crate::metrics::Hub {
    fn listener(&self, name: &str) -> u32 {
        self.listener_id(name)
    }

    fn route(&self, name: &str) -> u32 {
        self.route_id(name)
    }

    fn pool(&self, name: &str) -> u32 {
        self.pool_id(name)
    }
}

/// The part of a snapshot that stays while the policy stays.
#[derive(Debug, Clone)]
pub struct Frame {
    policy: Arc<Policy>,
    routes: Arc<RouteTable>,
    listeners: Vec<Arc<ListenerSettings>>,
    pool_ids: Vec<u32>,
}

impl Frame {
    /// Builds the routes and listeners of a policy. A listener that is the same in `previous`
    /// keeps its settings.
    pub fn new(
        policy: Arc<Policy>,
        tls: &TlsConfigs,
        ids: &impl Ids,
        previous: Option<&Frame>,
    ) -> Self {
        let places: HashMap<&str, usize> = policy
            .pools
            .iter()
            .enumerate()
            .map(|(at, pool)| (pool.name.as_str(), at))
            .collect();
        let routes = policy
            .routes
            .iter()
            .filter_map(|route| resolve(route, &places, ids));
        let table = RouteTable {
            router: Router::build(&policy.routes),
            routes: routes.collect(),
        };
        let contacts = contacts(&policy);
        let listeners = policy.listeners.iter().map(|listener| {
            let settings = settings(listener, (&policy.pools, &places), tls, &contacts, ids);
            let kept = previous.and_then(|previous| previous.same_listener(&settings));
            kept.unwrap_or_else(|| Arc::new(settings))
        });
        let listeners = listeners.collect();
        let pool_ids = policy
            .pools
            .iter()
            .map(|pool| ids.pool(&pool.name))
            .collect();
        Self {
            routes: Arc::new(table),
            listeners,
            pool_ids,
            policy: policy.clone(),
        }
    }

    /// The policy it was made of.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The settings of its listeners.
    pub fn listeners(&self) -> &[Arc<ListenerSettings>] {
        &self.listeners
    }

    /// A snapshot with these members: one list per pool, in the order of the policy. A pool whose
    /// policy and members are the same in `previous` is taken over, with what it has computed.
    pub fn snapshot(
        &self,
        generation: u64,
        members: Vec<Vec<Member>>,
        previous: Option<(&Frame, &Snapshot)>,
    ) -> Snapshot {
        let pools = self.policy.pools.iter().zip(&self.pool_ids).zip(members);
        let pools = pools.map(|((pool, id), members)| {
            let kept = previous.and_then(|previous| same_pool(previous, pool, &members));
            kept.unwrap_or_else(|| {
                let lasting = lasting(previous, *id);
                Arc::new(Pool::build(pool, members, *id, lasting))
            })
        });
        Snapshot {
            generation,
            routes: self.routes.clone(),
            pools: pools.collect(),
            tracing: self.policy.trace.as_ref().map(Tracing::of),
            listeners: self.listeners.clone(),
        }
    }

    fn same_listener(&self, settings: &ListenerSettings) -> Option<Arc<ListenerSettings>> {
        let same_tls = |other: &ListenerSettings| match (&other.tls, &settings.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let mut all = self.listeners.iter();
        let found = all.find(|other| other.id == settings.id && other.policy == settings.policy)?;
        let same = found.pool == settings.pool
            && found.direct == settings.direct
            && found.contacts == settings.contacts;
        (same && same_tls(found)).then(|| found.clone())
    }
}

/// `None` only for a reference to a pool that is not there, which no checked policy has.
fn resolve(route: &policy::Route, places: &HashMap<&str, usize>, ids: &impl Ids) -> Option<Route> {
    let action = match &route.action {
        policy::Action::Pool(name) => Action::Pool(*places.get(name.as_str())?),
        policy::Action::Split(split) => {
            let pools = split.pools.iter();
            let shares = pools
                .map(|(name, weight)| Some((*places.get(name.as_str())?, name.as_str(), *weight)));
            Action::Split(Split::new(
                split.by.clone(),
                shares.collect::<Option<Vec<_>>>()?,
            ))
        }
        policy::Action::Redirect(redirect) => Action::Redirect(redirect.clone()),
        policy::Action::Respond(respond) => Action::Respond(respond.clone()),
    };
    Some(Route {
        name: route.name.clone(),
        id: ids.route(&route.name),
        action,
        rewrite: route.rewrite.clone(),
        prefixes: prefixes(&route.matches.paths),
        request_headers: route.request_headers.clone(),
        response_headers: route.response_headers.clone(),
        timeouts: route.timeouts.clone(),
        deadline_header: route.deadline_header.clone(),
        retry: route.retry.clone(),
        limit: route.limit.clone(),
        max_body: route.max_body,
    })
}

fn prefixes(paths: &[PathPattern]) -> Vec<String> {
    let prefix = |path: &PathPattern| match path {
        PathPattern::Prefix(prefix) => Some(prefix.clone()),
        PathPattern::Exact(_) => None,
    };
    let mut prefixes: Vec<String> = paths.iter().filter_map(prefix).collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    prefixes
}

/// The contact addresses of the policy.
fn contacts(policy: &Policy) -> Vec<IpAddr> {
    let addresses = policy
        .contacts
        .iter()
        .flat_map(|contact| &contact.addresses);
    addresses.map(|net| net.addr()).collect()
}

fn settings(
    listener: &policy::Listener,
    (pools, places): (&[policy::Pool], &HashMap<&str, usize>),
    tls: &TlsConfigs,
    contacts: &[IpAddr],
    ids: &impl Ids,
) -> ListenerSettings {
    let pool = listener.protocol.pool();
    let pool = pool.and_then(|name| places.get(name).copied());
    let own = listener.bind.iter().filter_map(|addr| match addr {
        BindAddr::Socket(addr) => Some(addr.ip()),
        BindAddr::Any(_) | BindAddr::Unix(_) => None,
    });
    ListenerSettings {
        id: ids.listener(&listener.name),
        policy: listener.clone(),
        pool,
        direct: pool.is_some_and(|place| pools[place].forward.direct().is_some()),
        contacts: own.filter(|ip| contacts.contains(ip)).collect(),
        tls: listener
            .tls
            .as_ref()
            .and_then(|wanted| tls.get(wanted).cloned()),
    }
}

/// What is known of the pool already.
fn lasting(previous: Option<(&Frame, &Snapshot)>, id: u32) -> Arc<Lasting> {
    let pools = previous.iter().flat_map(|(_, snapshot)| &snapshot.pools);
    let before = pools.into_iter().find(|pool| pool.id == id);
    before.map_or_else(Arc::default, |pool| pool.lasting.clone())
}

fn same_pool(
    (frame, snapshot): (&Frame, &Snapshot),
    pool: &policy::Pool,
    members: &[Member],
) -> Option<Arc<Pool>> {
    let at = frame
        .policy
        .pools
        .iter()
        .position(|other| other.name == pool.name)?;
    let before = &frame.policy.pools[at];
    let built = snapshot.pools.get(at)?;
    let errors = |pool: &policy::Pool| pool.eject.as_ref().map(|eject| eject.errors);
    let same_members = || {
        let mut both = built.members.iter().zip(members);
        built.members.len() == members.len() && both.all(|(one, other)| one.is_same(other))
    };
    let same = before.balance == pool.balance
        && before.spill == pool.spill
        && before.load_report == pool.load_report
        && before.timeouts == pool.timeouts
        && before.sticky == pool.sticky
        && before.limit == pool.limit
        && before.panic == pool.panic
        && errors(before) == errors(pool)
        && same_members();
    same.then(|| built.clone())
}
