//! Selection: which of the candidates takes the next request. One trait, one file per policy; all
//! of them pure: what varies from call to call comes in as [`Choice`].

mod draw;
mod hash;
mod least_request;
mod maglev;
mod random;
mod round_robin;
mod single;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use pointsman_config::policy;
use smallvec::SmallVec;

pub use self::hash::{hash_bytes, mix};
pub use self::least_request::LeastRequest;
pub use self::maglev::Maglev;
pub use self::random::Random;
pub use self::round_robin::RoundRobin;
pub use self::single::Single;
use crate::endpoint::{Endpoint, EndpointId};

/// The policy, ready for these candidates. [`Balance::pick`] must then be given the same list.
pub fn build(policy: &policy::Balance, candidates: &[Candidate]) -> Box<dyn Balance> {
    if candidates.len() < 2 {
        return Box::new(Single);
    }
    match policy {
        policy::Balance::RoundRobin => Box::new(RoundRobin::new(candidates)),
        policy::Balance::Random => Box::new(Random::new(candidates)),
        policy::Balance::LeastRequest => Box::new(LeastRequest::new(candidates)),
        policy::Balance::Hash(_) => Box::new(Maglev::new(candidates)),
    }
}

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

impl Choice<'_> {
    /// Whether the candidate was not tried yet.
    fn is_open(&self, candidate: &Candidate) -> bool {
        !self.tried.contains(candidate.endpoint.id)
    }
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

#[cfg(test)]
mod tests {
    use pointsman_config::policy::HashBy;
    use proptest::prelude::*;

    use super::testing::{candidates, tried};
    use super::*;

    fn policies() -> impl Strategy<Value = policy::Balance> {
        prop_oneof![
            Just(policy::Balance::RoundRobin),
            Just(policy::Balance::Random),
            Just(policy::Balance::LeastRequest),
            Just(policy::Balance::Hash(HashBy::ClientIp)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_policy_tries_each_candidate_once_and_then_gives_up(
            policy in policies(),
            weights in proptest::collection::vec(1u32..=1000, 0..12),
            cursor: u64,
            entropy: u64,
            hash: Option<u64>,
        ) {
            let candidates = candidates(&weights);
            let balance = build(&policy, &candidates);
            let mut tried = Tried::default();
            for _ in &candidates {
                let choice = Choice { cursor, entropy, hash, tried: &tried };
                let place = balance.pick(&candidates, &choice);
                prop_assert!(place.is_some_and(|place| place < candidates.len()));
                let id = candidates[place.unwrap_or_default()].endpoint.id;
                prop_assert!(!tried.contains(id));
                tried.insert(id);
            }
            let choice = Choice { cursor, entropy, hash, tried: &tried };
            prop_assert_eq!(balance.pick(&candidates, &choice), None);
        }
    }

    #[test]
    fn endpoints_that_left_the_pool_do_not_count_as_tried() {
        let candidates = candidates(&[1, 1]);
        let tried = tried(&[70, 71, 0]);
        let choice = Choice {
            cursor: 0,
            entropy: 0,
            hash: None,
            tried: &tried,
        };
        for policy in [policy::Balance::RoundRobin, policy::Balance::LeastRequest] {
            assert_eq!(
                build(&policy, &candidates).pick(&candidates, &choice),
                Some(1)
            );
        }
    }
}
