//! What one process tells the next at an upgrade, and how an upgrade is asked for. The new process
//! begins with what the old one knew, so that no backend is unknown to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::discovery::known::KnownList;
use super::endpoints::LastCheck;
use super::journal::Happening;
use super::overlay::OverlayEntry;
use super::standing::{KnownEjection, KnownSlowStart};
use crate::endpoint::{Endpoint, Health};

/// What a process has found out. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Of endpoints.
    pub endpoints: Vec<KnownEndpoint>,
    /// Of sources of backends.
    pub lists: Vec<KnownList>,
    /// Endpoints that are out by ejection, or were and are not forgiven.
    pub ejections: Vec<KnownEjection>,
    /// Endpoints in their slow start.
    pub slow_starts: Vec<KnownSlowStart>,
    /// What the operator has laid over the policy.
    pub overlay: Vec<OverlayEntry>,
    /// What has happened.
    pub events: Vec<Happening>,
}

/// What is known of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownEndpoint {
    /// The pool's name.
    pub pool: String,
    /// The endpoint's name within the pool.
    pub name: String,
    /// `HOST:PORT` or `unix:PATH`.
    pub address: String,
    /// The word for its health.
    pub health: String,
    /// When its health last changed.
    pub since: SystemTime,
    /// Its last check.
    pub last: Option<KnownCheck>,
}

/// The last check of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownCheck {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Option<Duration>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl KnownEndpoint {
    /// `None` while nothing is known.
    pub fn of(endpoint: &Endpoint, since: SystemTime, last: Option<&LastCheck>) -> Option<Self> {
        let health = endpoint.health();
        matches!(health, Health::Up | Health::Down).then(|| Self {
            pool: endpoint.pool.clone(),
            name: endpoint.name.clone(),
            address: endpoint.address.to_string(),
            health: health.word().to_owned(),
            since,
            last: last.map(|last| KnownCheck {
                at: last.at,
                took: last.took,
                error: last.error.clone(),
            }),
        })
    }

    /// Whether it is this one.
    pub fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.pool == endpoint.pool
            && self.name == endpoint.name
            && self.address == endpoint.address.to_string()
    }

    /// The health, unless it is a word that this version does not know.
    pub fn health(&self) -> Option<Health> {
        let known = [Health::Up, Health::Down];
        known
            .into_iter()
            .find(|health| health.word() == self.health)
    }
}

impl From<KnownCheck> for LastCheck {
    fn from(known: KnownCheck) -> Self {
        Self {
            at: known.at,
            took: known.took,
            error: known.error,
        }
    }
}

/// One who asks for an upgrade.
#[derive(Debug)]
pub struct Request {
    /// The program to start; `None`: this one's own file, which may be another one by now.
    pub binary: Option<PathBuf>,
    /// For the new process.
    pub known: Known,
    /// What becomes of it.
    pub reply: oneshot::Sender<Outcome>,
}

/// How an upgrade ended: in words, with the new process at work or with everything as before.
pub type Outcome = Result<String, Refusal>;

/// Why there was no upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It would end more than this process.
    Unsafe(String),
    /// The new process did not come up.
    Failed(String),
}

/// Takes requests for upgrades.
#[derive(Clone)]
pub struct Upgrades(pub Arc<dyn Fn(Request) + Send + Sync>);

impl std::fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgrades")
    }
}

impl Upgrades {
    /// Upgrades.
    ///
    /// # Errors
    /// Why everything is as before.
    pub async fn ask(&self, binary: Option<PathBuf>, known: Known) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        (self.0)(Request {
            binary,
            known,
            reply,
        });
        let ending = || Refusal::Failed("the process is about to end".to_owned());
        outcome.await.map_err(|_| ending())?
    }
}
