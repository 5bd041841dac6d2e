//! A pool: its members, who of them may be chosen now, and how.

mod sticky;

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::{self, HashBy};

use crate::balance::{self, Balance, Candidate, Choice};
use crate::endpoint::{Endpoint, Health};

pub use self::sticky::{Home, Sticky};

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
    /// The cookies that keep clients with their backends.
    pub sticky: Option<Sticky>,
    /// Until a connection to a backend stands.
    pub connect_timeout: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle_timeout: Duration,
    /// The pool's place in the worker's cursors and metric shards: interned by name.
    pub id: u32,
}

impl Pool {
    /// The pool with its members as they are now.
    pub fn build(spec: &policy::Pool, members: Vec<Member>, id: u32) -> Self {
        let candidates = candidates(&members);
        let hash_by = match &spec.balance {
            policy::Balance::Hash(by) => Some(by.clone()),
            _ => None,
        };
        Self {
            name: spec.name.clone(),
            balance: balance::build(&spec.balance, &candidates),
            sticky: spec
                .sticky
                .as_ref()
                .map(|sticky| Sticky::build(sticky, &spec.name, &candidates)),
            members,
            candidates,
            hash_by,
            connect_timeout: spec.timeouts.connect,
            idle_timeout: spec.timeouts.idle,
            id,
        }
    }

    /// Whether a request could be given to one of its members now.
    pub fn can_serve(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Chooses an endpoint that was not tried.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        let place = self.balance.pick(&self.candidates, choice)?;
        self.candidates
            .get(place)
            .map(|candidate| &candidate.endpoint)
    }
}

/// The members that may be chosen. One that is up but has weight 0 still keeps the unchecked ones
/// out: the operator took it out by hand, and the pool is known to work.
fn candidates(members: &[Member]) -> Vec<Candidate> {
    let any_up = members.iter().any(|member| member.health == Health::Up);
    let wanted = if any_up { Health::Up } else { Health::Starting };
    members
        .iter()
        .filter(|member| member.health == wanted && member.weight > 0)
        .map(|member| Candidate {
            endpoint: member.endpoint.clone(),
            weight: member.weight,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Tried;
    use crate::endpoint::Address;

    fn pool(balance: policy::Balance, members: &[(Health, u32)]) -> Pool {
        let spec = policy::Pool {
            name: "app".into(),
            balance,
            backends: Vec::new(),
            discover: Vec::new(),
            health: None,
            sticky: None,
            timeouts: policy::PoolTimeouts {
                connect: Duration::from_secs(1),
                idle: Duration::from_secs(60),
            },
            used: true,
        };
        let members = (0u16..)
            .zip(members)
            .map(|(place, &(health, weight))| Member {
                endpoint: Arc::new(Endpoint::new(
                    u32::from(place),
                    "app".into(),
                    place.to_string(),
                    Address::Tcp(([127, 0, 0, 1], place).into()),
                )),
                weight,
                health,
            });
        Pool::build(&spec, members.collect(), 7)
    }

    fn candidates_of(members: &[(Health, u32)]) -> Vec<u32> {
        let pool = pool(policy::Balance::RoundRobin, members);
        pool.candidates
            .iter()
            .map(|candidate| candidate.endpoint.id)
            .collect()
    }

    #[test]
    fn only_members_that_are_up_are_chosen() {
        let members = [
            (Health::Up, 1),
            (Health::Down, 1),
            (Health::Starting, 1),
            (Health::Up, 2),
        ];
        assert_eq!(candidates_of(&members), [0, 3]);
    }

    #[test]
    fn unchecked_members_are_chosen_when_none_is_up() {
        let members = [
            (Health::Down, 1),
            (Health::Starting, 1),
            (Health::Unresolved, 1),
        ];
        assert_eq!(candidates_of(&members), [1]);
    }

    #[test]
    fn a_weight_of_zero_takes_no_new_requests() {
        assert_eq!(candidates_of(&[(Health::Up, 0), (Health::Up, 1)]), [1]);
        assert_eq!(
            candidates_of(&[(Health::Starting, 0), (Health::Starting, 1)]),
            [1]
        );
    }

    #[test]
    fn unchecked_members_do_not_stand_in_for_one_that_was_taken_out_by_hand() {
        assert!(candidates_of(&[(Health::Up, 0), (Health::Starting, 1)]).is_empty());
    }

    #[test]
    fn a_pool_of_failed_members_gives_nobody() {
        let pool = pool(
            policy::Balance::LeastRequest,
            &[(Health::Down, 1), (Health::Down, 1)],
        );
        let tried = Tried::default();
        let choice = Choice {
            cursor: 0,
            entropy: 0,
            hash: None,
            tried: &tried,
        };
        assert!(pool.pick(&choice).is_none());
    }

    #[test]
    fn a_hash_pool_keeps_what_is_hashed() {
        let by_path = pool(policy::Balance::Hash(HashBy::Path), &[(Health::Up, 1)]);
        assert_eq!(by_path.hash_by, Some(HashBy::Path));
        assert_eq!(
            pool(policy::Balance::Random, &[(Health::Up, 1)]).hash_by,
            None
        );
    }

    #[test]
    fn a_chosen_member_is_the_candidate_not_the_member_of_that_place() {
        let pool = pool(
            policy::Balance::RoundRobin,
            &[(Health::Down, 1), (Health::Up, 1)],
        );
        let tried = Tried::default();
        let choice = Choice {
            cursor: 0,
            entropy: 0,
            hash: None,
            tried: &tried,
        };
        assert_eq!(pool.pick(&choice).map(|endpoint| endpoint.id), Some(1));
    }
}
