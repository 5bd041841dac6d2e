//! A pool: its members, who of them may be chosen now, and how.

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::HashBy;

use crate::balance::{Balance, Candidate, Choice};
use crate::endpoint::{Endpoint, Health};

/// A member as the policy lists it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The server.
    pub endpoint: Arc<Endpoint>,
    /// 0 to 1000; 0 takes no new requests.
    pub weight: u32,
    /// Its health when the pool was built.
    pub health: Health,
}

/// One pool of a snapshot. Immutable: a change of health builds a new one.
#[derive(Debug)]
pub struct Pool {
    /// The name in the policy.
    pub name: String,
    /// Every member, in the order of the policy.
    pub members: Vec<Member>,
    /// Those that may be chosen: the `Up` ones, or the `Starting` ones when none is up.
    pub candidates: Vec<Candidate>,
    /// How one is chosen.
    pub balance: Box<dyn Balance>,
    /// What is hashed, for hash policies.
    pub hash_by: Option<HashBy>,
    /// Until a connection to a backend stands.
    pub connect_timeout: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle_timeout: Duration,
    /// The pool's place in the worker's cursors and metric shards: interned by name.
    pub id: u32,
}

impl Pool {
    /// Chooses an endpoint that was not tried.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        let place = self.balance.pick(&self.candidates, choice)?;
        self.candidates.get(place).map(|candidate| &candidate.endpoint)
    }
}
