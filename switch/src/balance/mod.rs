//! Selection: which of the candidates takes the next request. One trait, one file per policy; all
//! of them pure: what varies from call to call comes in as [`Choice`].

use std::sync::Arc;

use smallvec::SmallVec;

use crate::endpoint::{Endpoint, EndpointId};

/// A member of a pool that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The server.
    pub endpoint: Arc<Endpoint>,
    /// 1 to 1000: members of weight 0 are no candidates.
    pub weight: u32,
}

/// What varies from one choice to the next.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Counts the choices of this worker for this pool; workers start at different points.
    pub cursor: u64,
    /// Random bits.
    pub entropy: u64,
    /// The hash of what the policy hashes by, if the request has it.
    pub hash: Option<u64>,
    /// Endpoints that were tried for this request already.
    pub tried: &'a Tried,
}

/// Endpoints that were tried for one request.
#[derive(Debug, Clone, Default)]
pub struct Tried(SmallVec<[EndpointId; 4]>);

impl Tried {
    /// Remembers an endpoint.
    pub fn insert(&mut self, id: EndpointId) {
        self.0.push(id);
    }

    /// Whether the endpoint was tried.
    pub fn contains(&self, id: EndpointId) -> bool {
        self.0.contains(&id)
    }

    /// How many were tried.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was tried.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A selection policy, built for one list of candidates.
pub trait Balance: std::fmt::Debug + Send + Sync {
    /// The place of the chosen candidate, or `None` when all of them were tried.
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize>;
}
