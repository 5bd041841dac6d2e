//! How direct return stands: written by the keeper's thread, read by everybody else.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What `status` tells of direct return. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectStatus {
    /// The interfaces that packets are taken up at.
    pub interfaces: Vec<InterfaceStatus>,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// Their backends.
    pub backends: Vec<DirectBackendStatus>,
    /// What does not work, in words for the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// An interface that packets are taken up at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceStatus {
    /// Its name.
    pub interface: String,
    /// `tcx`, `clsact`, `xdp` or `xdp-generic`.
    pub datapath: String,
    /// What was tried before, and why it was not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Such as `tcp 192.0.2.10:80`.
    pub service: String,
    /// The listener that it comes from.
    pub listener: String,
    /// Its pool.
    pub pool: String,
    /// Backends that take new flows.
    pub backends: usize,
    /// Packets that were passed on.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// New flows.
    pub flows: u64,
}

/// A backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectBackendStatus {
    /// Its pool.
    pub pool: String,
    /// Its name in the policy.
    pub backend: String,
    /// Its own address.
    pub address: String,
    /// The kernel's number for it; 0: none yet.
    pub id: u16,
    /// `active`, `draining`, `dead`; `unknown` until it is known how packets get there.
    pub state: String,
    /// `neighbour` or `tunnel`.
    pub way: String,
    /// The link-layer address that frames go to: the backend's or a router's.
    pub mac: String,
    /// Why it gets nothing, if that is the network's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// While it drains: flows that it still has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// Packets that were passed on to it.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// New flows.
    pub flows: u64,
}

impl DirectStatus {
    /// Whether a pool is served so.
    pub fn serves(&self, pool: &str) -> bool {
        self.services.iter().any(|one| one.pool == pool)
    }

    /// What is known of a backend.
    pub fn backend(&self, pool: &str, backend: &str) -> Option<&DirectBackendStatus> {
        let mut all = self.backends.iter();
        all.find(|one| one.pool == pool && one.backend == backend)
    }

    /// Flows that a backend still has, if it is known to be draining; while that is not counted yet, it
    /// has one.
    pub fn left(&self, pool: &str, backend: &str) -> u32 {
        match self.backend(pool, backend) {
            Some(one) if one.state == "draining" => one
                .left
                .map_or(1, |left| u32::try_from(left).unwrap_or(u32::MAX)),
            _ => 0,
        }
    }
}

/// Where it is written.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<DirectStatus>>);

impl Board {
    /// Writes how things stand; `None`: there is no direct return.
    pub fn write(&self, status: Option<DirectStatus>) {
        *self.lock() = status;
    }

    /// How things stand.
    pub fn read(&self) -> Option<DirectStatus> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<DirectStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
