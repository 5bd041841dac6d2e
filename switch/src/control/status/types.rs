//! What is told, as it is written and read. Another version may leave out or add fields.

use serde::{Deserialize, Serialize};

use crate::control::agents::status::AgentStatus;
use crate::control::contact::status::ContactsStatus;
use crate::control::direct::board::DirectStatus;

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
