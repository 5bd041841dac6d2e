//! The resolved policy: what the operator's files mean, with every default filled in and every
//! reference checked. Everything downstream reads this and nothing else.

mod access_log;
mod agents;
mod balance;
mod build;
mod contact;
mod direct;
mod discover;
mod eject;
mod listener;
mod pool;
mod pool_limit;
mod retry;
mod route;
mod route_limit;
mod split;
mod sticky;
mod tls;
mod trace;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use access_log::{AccessLog, LogField, LogTarget};
pub use agents::Agents;
pub use balance::{Balance, HashBy, Locality};
pub use contact::{Announce, Checksum, Contact, Secret};
pub use direct::{Datapath, Direct, DirectProcess, Forward, Service, Transport};
pub(crate) use direct::{addresses, contact_addresses};
pub use discover::{Discover, Lookup};
pub use eject::{Eject, ErrorRatio, Panic};
pub use listener::{BindAddr, Desync, Listener, ListenerLimits, ListenerTimeouts, Protocol, Rate};
pub use pool::{Backend, BackendAddr, Check, Health, Pool, PoolTimeouts, ScriptStep};
pub use pool_limit::{PoolLimit, Queue};
pub use retry::{Hedge, Quantile, Retry, RetryOn};
pub use route::{
    Action, HeaderEdits, HostPattern, Match, PathPattern, Redirect, Respond, Rewrite, Route,
    RouteTimeouts, ValuePattern,
};
pub use route_limit::{LimitBy, RouteLimit};
pub use split::Split;
pub use sticky::{SameSite, Sticky, StickyKey};
pub use tls::{PoolTls, Tls, TlsClients, TlsFiles};
pub use trace::{HttpUrl, Trace};

use crate::outline::Outline;
use crate::report::Report;

/// A whole policy that has passed every check.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Process-wide settings.
    pub process: Process,
    /// Where the admin interface listens.
    pub admin: Admin,
    /// The access log, if one is asked for.
    pub access_log: Option<AccessLog>,
    /// How requests are traced, if they are.
    pub trace: Option<Trace>,
    /// Listeners in the order of the file.
    pub listeners: Vec<Listener>,
    /// Routes in the order of the file. The order has no meaning.
    pub routes: Vec<Route>,
    /// Pools in the order of the file.
    pub pools: Vec<Pool>,
    /// Addresses that the switches of a group hold between them, in the order of the file.
    pub contacts: Vec<Contact>,
    /// Where agents register servers, if they may.
    pub agents: Option<Agents>,
    /// The files that were read, the main file first: what a watch has to look at.
    pub sources: Vec<PathBuf>,
    /// The folders in which includes with wildcards looked: a watch sees new files there.
    pub folders: Vec<PathBuf>,
    /// A short hexadecimal digest of all that was read.
    pub digest: String,
    /// A digest, 16 hexadecimal digits, of what the switches of a group must have in common: all
    /// that was read, variables replaced and includes joined, but for `[process]`, `[admin]`,
    /// `[access_log]`, `[trace]`, `[agents]` and, of contacts, all but addresses, group and kind of announcement. The order
    /// of keys, routes and contacts makes no difference. It tells differences, and proves nothing.
    pub shared_digest: String,
    /// What it says, thing by thing.
    pub outline: Outline,
    /// Warnings: the policy stands, but something in it is probably not meant.
    pub warnings: Report,
}

/// `[process]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Worker threads; `None` means one per usable core.
    pub workers: Option<NonZeroUsize>,
    /// How long connections may go on after the process was told to end.
    pub drain: Duration,
    /// Client connections that the process holds at most.
    pub max_connections: usize,
    /// Bytes of memory for what is under way; new requests are refused beyond it.
    pub max_buffers: usize,
    /// What all direct pools have in common.
    pub direct: DirectProcess,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// `None` where no `[admin]` is written: the program then chooses a Unix socket.
    pub listen: Option<BindAddr>,
    /// Whoever shows it may change something over TCP; `None`: over a loopback address everybody
    /// may, over another one nobody.
    pub token: Option<Secret>,
}
