//! A pool: its members, who of them may be chosen now, and how.

mod budget;
mod choosable;
mod delays;
mod groups;
mod sticky;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy::{self, HashBy};

use self::groups::Chosen;
use crate::balance::{self, Balance, Candidate, Choice, Tried};
use crate::endpoint::{Duty, Endpoint, Health, InFlight, Most, Queue, State, WHOLE, clock};

pub use self::budget::Budget;
pub use self::delays::Delays;
pub use self::sticky::{Home, Sticky};

/// A member as the policy lists it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The server.
    pub endpoint: Arc<Endpoint>,
    /// 0 to 1000; 0 takes no new requests.
    pub weight: u32,
    /// Its group: the lowest is used first.
    pub priority: u8,
    /// The requests per second that it could serve, if it has reported that.
    pub capacity: Option<f32>,
    /// Its health when the pool was built.
    pub health: Health,
    /// It was out then for what clients got from it.
    pub ejected: bool,
    /// Its checks had found then that it does not even take connections.
    pub refuses: bool,
    /// The part of its weight that it takes, in per mille.
    pub share: u16,
    /// What the operator had it do then.
    pub duty: Duty,
}

impl Member {
    /// Its whole state.
    pub fn state(&self) -> State {
        State::of(self.health, self.ejected, self.share < WHOLE)
    }

    /// The part of its weight that it takes, 0.0 to 1.0.
    fn part(&self) -> f64 {
        f64::from(self.share.min(WHOLE)) / f64::from(WHOLE)
    }

    /// Whether it says the same as another one.
    pub fn is_same(&self, other: &Self) -> bool {
        let own = (self.weight, self.priority, self.capacity, self.share);
        let state = (self.health, self.ejected, self.refuses, self.duty);
        Arc::ptr_eq(&self.endpoint, &other.endpoint)
            && own == (other.weight, other.priority, other.capacity, other.share)
            && state == (other.health, other.ejected, other.refuses, other.duty)
    }
}

impl Member {
    /// Whether it may get a new request, as far as can be known before one is sent.
    pub fn is_usable(&self) -> bool {
        let may_answer = self.state().serves() || self.state() == State::Starting;
        self.duty == Duty::Active && self.weight > 0 && may_answer
    }

    /// The weight that it is chosen by, in a pool of this mean capacity: a member that has reported
    /// none counts as an average one, and no report counts more than tenfold.
    fn effective_weight(&self, mean: Option<f64>) -> f64 {
        let relative = self
            .capacity
            .zip(mean)
            .map_or(1.0, |(own, mean)| f64::from(own) / mean);
        f64::from(self.weight) * relative.clamp(0.1, 10.0) * self.part()
    }
}

/// One pool of a snapshot. Immutable: a change of health builds a new one.
#[derive(Debug)]
pub struct Pool {
    /// The name in the policy.
    pub name: String,
    /// Every member, in the order of the policy.
    pub members: Vec<Member>,
    /// Those that may be chosen: the ones that are up, or unchecked ones when none is, of the groups
    /// that are needed; in panic, what the policy wants then.
    pub candidates: Vec<Candidate>,
    /// Those of the other groups, for requests that all candidates have failed.
    pub reserve: Vec<Candidate>,
    /// Fewer members are healthy than the policy's `panic_below`.
    pub panic: bool,
    /// How one is chosen.
    pub balance: Box<dyn Balance>,
    /// Whether [`Choice::now`] matters.
    pub wants_time: bool,
    /// How long latencies are remembered, if they matter.
    decay: Option<Duration>,
    /// Whether what backends report of their load is heard, and kept from clients.
    pub load_report: bool,
    /// What is hashed, for hash policies.
    pub hash_by: Option<HashBy>,
    /// The cookies that keep clients with their backends.
    pub sticky: Option<Sticky>,
    /// Until a connection to a backend stands.
    pub connect_timeout: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle_timeout: Duration,
    /// Errors in a row that are told to the control plane; `None`: nobody wants to know.
    pub errors: Option<u32>,
    /// The pool's place in the worker's cursors and metric shards: interned by name.
    pub id: u32,
    /// Where requests wait when no backend has room; `None`: there is always room.
    pub queue: Option<policy::Queue>,
    /// What is known of the pool over changes of policy and health.
    pub lasting: Arc<Lasting>,
}

/// What is known of a pool for as long as it is there, whatever becomes of its policy and members.
#[derive(Debug, Default)]
pub struct Lasting {
    /// What its policy remembers.
    pub memory: balance::Memory,
    /// Further tries of its requests.
    pub budget: Budget,
    /// How long its answers take.
    pub delays: Delays,
    /// Who waits for a backend that has room.
    pub queue: Arc<Queue>,
}

impl Pool {
    /// The pool with its members as they are now, and with what is known of it.
    pub fn build(
        spec: &policy::Pool,
        members: Vec<Member>,
        id: u32,
        lasting: Arc<Lasting>,
    ) -> Self {
        let most = match &spec.limit {
            None => Most::Unlimited,
            Some(limit) if limit.adaptive => Most::Learned(limit.requests),
            Some(limit) => Most::Fixed(limit.requests),
        };
        for member in &members {
            member.endpoint.limit.set(most, &lasting.queue);
            let connections = spec.limit.as_ref().and_then(|limit| limit.connections);
            member.endpoint.open.limit(connections);
        }
        let (chosen, panic) = choosable::choose(&members, spec.panic, spec.spill);
        let Chosen {
            candidates,
            reserve,
        } = chosen;
        let decay = match spec.balance {
            policy::Balance::PeakEwma { decay } => Some(decay),
            _ => None,
        };
        Self {
            name: spec.name.clone(),
            balance: balance::build(&spec.balance, &candidates, &lasting.memory),
            sticky: spec
                .sticky
                .as_ref()
                .map(|sticky| Sticky::build(sticky, &spec.name, &candidates)),
            members,
            candidates,
            reserve,
            panic,
            wants_time: balance::wants_time(&spec.balance),
            decay,
            load_report: spec.load_report,
            hash_by: spec.balance.hash_by().cloned(),
            connect_timeout: spec.timeouts.connect,
            idle_timeout: spec.timeouts.idle,
            errors: spec.eject.as_ref().map(|eject| eject.errors.max(1)),
            id,
            queue: spec.limit.as_ref().map(|limit| limit.queue),
            lasting,
        }
    }

    /// Whether a request could be given to one of its members now.
    pub fn can_serve(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// A place at an endpoint that was not tried; `None`: there is no such endpoint, or none has
    /// room.
    pub fn enter(&self, choice: &Choice<'_>) -> Option<InFlight> {
        let endpoint = self.pick(choice)?;
        if self.queue.is_none() {
            return Some(endpoint.enter());
        }
        let (mut entered, mut left) = (endpoint.try_enter(), self.members.len());
        // Other workers may be faster.
        while entered.is_none() && left > 0 {
            entered = self.pick(choice)?.try_enter();
            left -= 1;
        }
        entered
    }

    /// Whether an endpoint that was not tried could be entered, were there room.
    pub fn is_worth_waiting(&self, tried: &Tried) -> bool {
        let mut candidates = self.candidates.iter().chain(&self.reserve);
        self.queue.is_some() && candidates.any(|one| !tried.contains(one.endpoint.id))
    }

    /// Chooses an endpoint that was not tried.
    pub fn pick(&self, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        self.chosen(self.balance.pick(&self.candidates, choice), choice)
    }

    /// Whom [`Pool::pick`] would choose; nothing is remembered of it.
    pub fn foresee(&self, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        self.chosen(self.balance.foresee(&self.candidates, choice), choice)
    }

    fn chosen(&self, place: Option<usize>, choice: &Choice<'_>) -> Option<&Arc<Endpoint>> {
        let Some(place) = place else {
            let mut reserve = self.reserve.iter();
            let spare = reserve.find(|candidate| choice.is_open(candidate))?;
            return Some(&spare.endpoint);
        };
        self.candidates
            .get(place)
            .map(|candidate| &candidate.endpoint)
    }

    /// Takes note that a chosen endpoint is about to be asked.
    pub fn asked(&self, endpoint: &Endpoint, now: u64) {
        if let Some(decay) = self.decay {
            endpoint.latency.asked(now, decay);
        }
    }

    /// Takes note of a connection that stands, where nothing more is known of answers.
    pub fn connected(&self, endpoint: &Endpoint, took: Duration) {
        self.answered(endpoint, 0, took);
    }

    /// Takes note of an answer with this status.
    pub fn answered(&self, endpoint: &Endpoint, status: u16, took: Duration) {
        let Some(decay) = self.decay else { return };
        match is_failure(status) {
            true => endpoint.latency.failed(took, clock::now(), decay),
            false => endpoint.latency.answered(took, clock::now(), decay),
        }
    }

    /// Takes note that no answer came.
    pub fn failed(&self, endpoint: &Endpoint, took: Duration) {
        if let Some(decay) = self.decay {
            endpoint.latency.failed(took, clock::now(), decay);
        }
    }
}

/// Whether the status speaks against the server, and not against the request.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: policy::Panic = policy::Panic {
        spread: true,
        below: 0.0,
    };

    fn pool(balance: policy::Balance, members: &[(Health, u32)]) -> Pool {
        let spec = policy::Pool {
            forward: policy::Forward::Proxy,
            tls: None,
            name: "app".into(),
            balance,
            spill: 0.7,
            load_report: false,
            backends: Vec::new(),
            discover: Vec::new(),
            health: None,
            sticky: None,
            limit: None,
            eject: None,
            slow_start: None,
            panic: PANIC,
            timeouts: policy::PoolTimeouts {
                connect: Duration::from_secs(1),
                idle: Duration::from_secs(60),
            },
            used: true,
        };
        let members = (0..).zip(members);
        let members =
            members.map(|(place, &(health, weight))| testing::member(place, health, weight));
        Pool::build(&spec, members.collect(), 7, Arc::default())
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
    fn a_member_that_was_taken_out_by_hand_is_not_chosen_and_keeps_nobody_out() {
        let mut members = pool(
            policy::Balance::RoundRobin,
            &[(Health::Up, 1), (Health::Up, 1), (Health::Starting, 1)],
        )
        .members;
        let ids = |members: &[Member]| -> Vec<u32> {
            let (chosen, _) = choosable::choose(members, PANIC, 0.7);
            let candidates = chosen.candidates.iter();
            candidates.map(|one| one.endpoint.id).collect()
        };
        members[0].duty = Duty::Draining;
        assert_eq!(ids(&members), [1]);
        members[1].duty = Duty::Disabled;
        assert_eq!(ids(&members), [2]);
        assert!(!members[0].is_usable() && members[2].is_usable());
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
            now: 0,
            tried: &tried,
        };
        assert!(pool.pick(&choice).is_none());
    }

    #[test]
    fn a_hash_pool_keeps_what_is_hashed() {
        let by_path = policy::Balance::Hash {
            by: HashBy::Path,
            bound: None,
        };
        let by_path = pool(by_path, &[(Health::Up, 1)]);
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
            now: 0,
            tried: &tried,
        };
        assert_eq!(pool.pick(&choice).map(|endpoint| endpoint.id), Some(1));
    }
}
