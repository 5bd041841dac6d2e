//! The shards added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::{BackendBlock, Counter, Histogram, ListenerBlock, Merge, PoolBlock, RouteBlock};
use super::hub::{Checks, State};
use super::names::Known;
use super::series::{RequestKey, Shelf};
use super::shard::Shelves;
use crate::endpoint::{Duty, EndpointId, State as EndpointState, WHOLE, clock};

/// What was counted so far.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) requests: BTreeMap<RequestKey, Counter>,
    pub(super) durations: BTreeMap<(u32, u32), Histogram>,
    pub(super) routes: BTreeMap<u32, RouteBlock>,
    pub(super) pools: BTreeMap<u32, PoolBlock>,
    pub(super) listeners: BTreeMap<u32, ListenerBlock>,
    /// In the order of their ids, so that a cap leaves out the latest.
    pub(super) backends: Vec<BackendSum>,
    pub(super) listener_names: Known,
    pub(super) route_names: Known,
    pub(super) pool_names: Known,
}

/// One backend in force. Endpoints that share pool and name (the addresses of one host name) are
/// one backend.
#[derive(Debug)]
pub(super) struct BackendSum {
    pub(super) pool: String,
    pub(super) name: String,
    pub(super) weight: u64,
    /// Of each endpoint, the part that it takes.
    pub(super) effective_weight: f64,
    pub(super) in_flight: u64,
    pub(super) taken: u64,
    /// What it may have under way.
    pub(super) limit: Option<u64>,
    /// The largest that one of its endpoints has reported lately.
    pub(super) utilization: Option<f32>,
    /// How many of its endpoints are in each state.
    pub(super) states: [u64; EndpointState::ALL.len()],
    /// What the operator has it do; active when one of its endpoints is.
    pub(super) duty: Duty,
    pub(super) counted: BackendBlock,
    /// `None` when the control plane told nothing.
    pub(super) checks: Option<Checks>,
}

impl BackendSum {
    /// The state that stands for all of its endpoints: up when one of them is.
    pub(super) fn state(&self) -> EndpointState {
        let order = [
            EndpointState::Up,
            EndpointState::SlowStart,
            EndpointState::Starting,
            EndpointState::Ejected,
            EndpointState::Down,
        ];
        let mut present = order
            .into_iter()
            .filter(|state| self.states[*state as usize] > 0);
        present.next().unwrap_or(EndpointState::Unresolved)
    }
}

impl State {
    pub(super) fn sums(&self) -> Sums {
        let shards = self.shards();
        let counted = sum(&shards, |shard| &shard.backends);
        let mut sums = Sums {
            requests: sum(&shards, |shard| &shard.requests),
            durations: sum(&shards, |shard| &shard.durations),
            routes: sum(&shards, |shard| &shard.routes),
            pools: sum(&shards, |shard| &shard.pools),
            listeners: sum(&shards, |shard| &shard.listeners),
            backends: Vec::new(),
            listener_names: self.listeners.all(),
            route_names: self.routes.all(),
            pool_names: self.pools.all(),
        };
        // The lock goes first: set_endpoints takes the two in the other order.
        drop(shards);
        sums.backends = self.backend_sums(&counted);
        sums
    }

    fn backend_sums(&self, counted: &BTreeMap<EndpointId, BackendBlock>) -> Vec<BackendSum> {
        let control = self.control();
        let mut backends = control.backends.clone();
        backends.sort_by_key(|(endpoint, _)| endpoint.id);
        let mut places = BTreeMap::new();
        let mut sums: Vec<BackendSum> = Vec::new();
        for (endpoint, weight) in &backends {
            let key = (endpoint.pool.as_str(), endpoint.name.as_str());
            let place = *places.entry(key).or_insert(sums.len());
            if place == sums.len() {
                sums.push(BackendSum::new(key.0, key.1));
            }
            let sum = &mut sums[place];
            sum.weight += u64::from(*weight);
            sum.effective_weight +=
                f64::from(*weight) * f64::from(endpoint.share()) / f64::from(WHOLE);
            sum.in_flight += u64::from(endpoint.in_flight());
            sum.taken += endpoint.taken();
            if let Some(limit) = endpoint.limit.get() {
                *sum.limit.get_or_insert(0) += u64::from(limit);
            }
            let reported = endpoint.load.utilization(clock::now());
            if reported > sum.utilization {
                sum.utilization = reported;
            }
            sum.states[endpoint.state() as usize] += 1;
            sum.duty = match sum.duty {
                Duty::Active => Duty::Active,
                _ => endpoint.duty(),
            };
            if let Some(block) = counted.get(&endpoint.id) {
                sum.counted.merge(block);
            }
            if let Some(checks) = control.checks.get(&endpoint.id) {
                sum.checks.get_or_insert_default().merge(checks);
            }
        }
        sums
    }
}

impl BackendSum {
    fn new(pool: &str, name: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            name: name.to_owned(),
            weight: 0,
            effective_weight: 0.0,
            in_flight: 0,
            taken: 0,
            limit: None,
            utilization: None,
            states: Default::default(),
            duty: Duty::Disabled,
            counted: BackendBlock::default(),
            checks: None,
        }
    }
}

impl Merge for Checks {
    fn merge(&self, other: &Self) {
        self.passed.merge(&other.passed);
        self.failed.merge(&other.failed);
        self.duration.merge(&other.duration);
        for (into, from) in self.transitions.iter().zip(&other.transitions) {
            for (into, from) in into.iter().zip(from) {
                into.merge(from);
            }
        }
    }
}

fn sum<K: Copy + Ord + std::hash::Hash, T: Merge>(
    shards: &[Shelves],
    shelf: impl Fn(&Shelves) -> &Arc<Shelf<K, T>>,
) -> BTreeMap<K, T> {
    let mut sums = BTreeMap::new();
    for shard in shards {
        shelf(shard).add_to(&mut sums);
    }
    sums
}
