//! Everything that selection needs, published at once. One owner writes ([`Publisher`]), each
//! worker reads through its own [`SnapshotReader`].

mod build;
mod certificates;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pointsman_config::policy::{self, HeaderEdits, Retry, RouteTimeouts};

use crate::pool::Pool;
use crate::route::Split;
use crate::trace::Tracing;

pub use build::{Frame, Ids, TlsConfigs};
pub use certificates::{Certificate, Certificates, Terminator};

/// One consistent state of policy, members and health. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts publications.
    pub generation: u64,
    /// Routes and their index; shared between snapshots of one policy.
    pub routes: Arc<RouteTable>,
    /// The pools, in the order of the policy.
    pub pools: Vec<Arc<Pool>>,
    /// How requests are traced, if they are.
    pub tracing: Option<Tracing>,
    /// The listeners' settings, by [`ListenerSettings::id`].
    pub listeners: Vec<Arc<ListenerSettings>>,
}

impl Snapshot {
    /// The settings of a listener, unless a reload removed it.
    pub fn listener(&self, id: u32) -> Option<&Arc<ListenerSettings>> {
        self.listeners.iter().find(|listener| listener.id == id)
    }
}

/// The routes of one policy.
#[derive(Debug)]
pub struct RouteTable {
    /// Finds the place of the route that takes a request.
    pub router: crate::route::Router,
    /// The routes, in the order of the policy.
    pub routes: Vec<Route>,
}

/// A route, its references resolved.
#[derive(Debug)]
pub struct Route {
    /// The name in metrics and log.
    pub name: String,
    /// Interned by name: its place in metric shards.
    pub id: u32,
    /// What becomes of a request.
    pub action: Action,
    /// How the path changes.
    pub rewrite: Option<policy::Rewrite>,
    /// The prefix that the route's path patterns match, longest first, for `rewrite = { prefix }`.
    pub prefixes: Vec<String>,
    /// Edits of the request's fields.
    pub request_headers: HeaderEdits,
    /// Edits of the response's fields.
    pub response_headers: HeaderEdits,
    /// Time limits.
    pub timeouts: RouteTimeouts,
    /// The field that tells backends how long they have.
    pub deadline_header: Option<String>,
    /// When another backend is tried.
    pub retry: Retry,
    /// How often it may be asked.
    pub limit: Option<policy::RouteLimit>,
    /// Bytes of a request's body at most.
    pub max_body: Option<u64>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Action {
    /// Forwarded to the pool at this place of [`Snapshot::pools`].
    Pool(usize),
    /// Forwarded to one of several pools.
    Split(Split),
    /// Answered by a redirect.
    Redirect(policy::Redirect),
    /// Answered here.
    Respond(policy::Respond),
}

/// A listener's settings as the data plane uses them.
#[derive(Debug)]
pub struct ListenerSettings {
    /// Interned by name: the listener's identity over reloads.
    pub id: u32,
    /// As in the policy.
    pub policy: policy::Listener,
    /// For TCP and UDP listeners: the place of their pool.
    pub pool: Option<usize>,
    /// The kernel passes its packets on to a direct pool: it has no sockets.
    pub direct: bool,
    /// Addresses among those it listens on that this host has only while it holds them.
    pub contacts: Vec<IpAddr>,
    /// For TLS listeners: what terminates it.
    pub tls: Option<Arc<Terminator>>,
}

/// The one writer.
#[derive(Debug, Clone)]
pub struct Publisher(Arc<ArcSwap<Snapshot>>);

impl Publisher {
    /// Starts with a first snapshot.
    pub fn new(first: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// Puts a new snapshot in place of the last; readers see it at their next request.
    pub fn publish(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// The source from which each worker makes its reader.
    pub fn source(&self) -> SnapshotSource {
        SnapshotSource(self.0.clone())
    }
}

/// What a worker makes its reader of.
#[derive(Debug, Clone)]
pub struct SnapshotSource(Arc<ArcSwap<Snapshot>>);

impl SnapshotSource {
    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

/// A worker's view of the snapshots: a load costs no shared write while nothing was published.
#[derive(Debug)]
// The outer `Rc` is the point: cloning it writes no memory that another worker's core holds.
#[allow(clippy::redundant_allocation)]
pub struct SnapshotReader {
    cache: RefCell<arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    local: RefCell<Rc<Arc<Snapshot>>>,
}

impl SnapshotReader {
    /// A reader for one worker.
    pub fn new(source: SnapshotSource) -> Self {
        let mut cache = arc_swap::Cache::new(source.0);
        let local = RefCell::new(Rc::new(cache.load().clone()));
        Self {
            cache: RefCell::new(cache),
            local,
        }
    }

    /// The snapshot in force, to be kept for one request or connection.
    #[allow(clippy::redundant_allocation)]
    pub fn load(&self) -> Rc<Arc<Snapshot>> {
        let mut cache = self.cache.borrow_mut();
        let current = cache.load();
        let mut local = self.local.borrow_mut();
        if !Arc::ptr_eq(current, &local) {
            *local = Rc::new(current.clone());
        }
        local.clone()
    }
}
