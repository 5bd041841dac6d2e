//! Selection: which of the candidates takes the next request. One trait, one file per policy; all
//! of them pure: what varies from call to call comes in as [`Choice`].

mod bounded;
mod draw;
mod hash;
mod least_request;
pub mod locality;
mod maglev;
mod peak_ewma;
mod random;
mod round_robin;
mod single;
#[cfg(test)]
mod testing;

use std::sync::{Arc, Mutex, PoisonError};

use pointsman_config::policy;
use smallvec::SmallVec;

pub use self::bounded::Bounded;
pub use self::hash::{hash_bytes, mix};
pub use self::least_request::LeastRequest;
pub use self::locality::Locality;
pub use self::maglev::{Maglev, maglev_slots};
pub use self::peak_ewma::PeakEwma;
pub use self::random::Random;
pub use self::round_robin::RoundRobin;
pub use self::single::Single;
use crate::endpoint::{Endpoint, EndpointId};

/// The policy, ready for these candidates. [`Balance::pick`] must then be given the same list.
pub fn build(
    policy: &policy::Balance,
    candidates: &[Candidate],
    memory: &Memory,
) -> Box<dyn Balance> {
    if candidates.len() < 2 {
        return Box::new(Single);
    }
    match policy {
        policy::Balance::RoundRobin => Box::new(RoundRobin::new(candidates)),
        policy::Balance::Random => Box::new(Random::new(candidates)),
        policy::Balance::LeastRequest => Box::new(LeastRequest::new(candidates)),
        policy::Balance::PeakEwma { decay } => Box::new(PeakEwma::new(candidates, *decay)),
        policy::Balance::Hash { bound: None, .. } => Box::new(Maglev::new(candidates)),
        policy::Balance::Hash {
            bound: Some(bound), ..
        } => Box::new(Bounded::new(candidates, *bound)),
        policy::Balance::Locality(locality) => {
            let table = memory.table(locality.targets);
            Box::new(Locality::new(locality, candidates, table))
        }
    }
}

/// What a policy remembers from one list of candidates to the next.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Option<Arc<locality::Table>>>);

impl Memory {
    /// The table of targets; a new one when there is none of this size.
    fn table(&self, targets: usize) -> Arc<locality::Table> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.take().filter(|table| table.targets() == targets);
        let table = same.unwrap_or_else(|| Arc::new(locality::Table::new(targets)));
        kept.insert(table).clone()
    }
}

/// Whether the policy asks what time it is.
pub fn wants_time(policy: &policy::Balance) -> bool {
    matches!(
        policy,
        policy::Balance::PeakEwma { .. } | policy::Balance::Locality(_)
    )
}

/// A member of a pool that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The server.
    pub endpoint: Arc<Endpoint>,
    /// 1 to 100 000: members of weight 0 are no candidates.
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
    /// The time of [`crate::endpoint::clock`]; 0 where [`wants_time`] says no.
    pub now: u64,
    /// Endpoints that were tried for this request already.
    pub tried: &'a Tried,
}

impl Choice<'_> {
    /// Whether the candidate was not tried yet and has room for one more.
    pub(crate) fn is_open(&self, candidate: &Candidate) -> bool {
        !self.tried.contains(candidate.endpoint.id) && candidate.endpoint.has_room()
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
    /// The place of the chosen candidate, or `None` when all of them were tried or have no room.
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize>;

    /// What [`Balance::pick`] would say; nothing is remembered of it.
    fn foresee(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        self.pick(candidates, choice)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pointsman_config::policy::HashBy;
    use proptest::prelude::*;

    use super::testing::{candidates, tried};
    use super::*;
    use crate::endpoint::Most;

    fn policies() -> impl Strategy<Value = policy::Balance> {
        prop_oneof![
            Just(policy::Balance::RoundRobin),
            Just(policy::Balance::Random),
            Just(policy::Balance::LeastRequest),
            Just(policy::Balance::PeakEwma {
                decay: Duration::from_secs(10)
            }),
            proptest::option::of(0.0..1.0).prop_map(|bound| policy::Balance::Hash {
                by: HashBy::ClientIp,
                bound,
            }),
            (1u32..10, 0u32..10).prop_map(|(low, more)| {
                policy::Balance::Locality(policy::Locality {
                    by: HashBy::Path,
                    low,
                    high: low + more,
                    decay: Duration::from_secs(20),
                    targets: 64,
                })
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_policy_tries_each_candidate_that_has_room_once_and_then_gives_up(
            policy in policies(),
            weights in proptest::collection::vec(1u32..=1000, 0..12),
            cursor: u64,
            entropy: u64,
            hash: Option<u64>,
            now: u64,
            load in proptest::collection::vec(0usize..12, 12),
            limits in proptest::collection::vec(proptest::option::of(1u32..12), 12),
        ) {
            let candidates = candidates(&weights);
            let _under_way: Vec<_> = candidates
                .iter()
                .zip(load)
                .flat_map(|(candidate, load)| std::iter::repeat_n(candidate, load))
                .map(|candidate| candidate.endpoint.enter())
                .collect();
            let balance = build(&policy, &candidates, &Memory::default());
            for (candidate, limit) in candidates.iter().zip(limits) {
                let most = limit.map_or(Most::Unlimited, Most::Fixed);
                candidate.endpoint.limit.set(most, &Arc::default());
            }
            let has_room = |candidate: &&Candidate| candidate.endpoint.has_room();
            let mut tried = Tried::default();
            for _ in candidates.iter().filter(has_room) {
                let choice = Choice { cursor, entropy, hash, now, tried: &tried };
                let place = balance.pick(&candidates, &choice);
                prop_assert!(place.is_some_and(|place| place < candidates.len()));
                let id = candidates[place.unwrap_or_default()].endpoint.id;
                prop_assert!(!tried.contains(id));
                prop_assert!(candidates[place.unwrap_or_default()].endpoint.has_room());
                tried.insert(id);
            }
            let choice = Choice { cursor, entropy, hash, now, tried: &tried };
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
            now: 0,
            tried: &tried,
        };
        let decay = Duration::from_secs(10);
        for policy in [
            policy::Balance::RoundRobin,
            policy::Balance::LeastRequest,
            policy::Balance::PeakEwma { decay },
        ] {
            assert_eq!(
                build(&policy, &candidates, &Memory::default()).pick(&candidates, &choice),
                Some(1)
            );
        }
    }
}
