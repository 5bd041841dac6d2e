//! What was counted at one moment: two of them make rates and quantiles of the time between.

use std::collections::HashMap;

use super::block::{BackendBlock, Counter, EDGES, Histogram, Merge as _, quantile};
use super::direct::DirectFigures;
use super::label::CODE_CLASSES;
use super::sums::{BackendSum, Sums};
use crate::endpoint::Duty;

/// Buckets of a histogram, with the one beyond the last edge.
const BUCKETS: usize = EDGES.len() + 1;

/// Everything that was counted since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Listeners that had a connection.
    pub listeners: Vec<ListenerSample>,
    /// Routes that had a request.
    pub routes: Vec<(String, Counted)>,
    /// Pools that had a request; what waits in them.
    pub waiting: Vec<(String, u64)>,
    /// Every backend in force.
    pub backends: Vec<BackendSample>,
}

/// A listener's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerSample {
    /// The name in the policy.
    pub name: String,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
}

/// A backend's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSample {
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub name: String,
    /// As in the status: `up`, `down`, `draining` and so on.
    pub state: &'static str,
    /// Whether it takes new requests.
    pub serves: bool,
    /// The weight in force.
    pub weight: u64,
    /// What it did.
    pub counted: Counted,
}

/// The counts of a route or backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that ended; of a backend, requests and TCP connections handed to it.
    pub requests: u64,
    /// Those that went wrong: of a route, those with a reason in `pointsman_errors_total`; of a
    /// backend, answers of 500 and above and none at all.
    pub errors: u64,
    /// Under way.
    pub in_flight: u64,
    /// Durations by size, not cumulative: up to each edge of the histograms, then those beyond.
    pub took: [u64; BUCKETS],
}

impl Counted {
    /// What was counted since `before`. What is under way stays: it is no count.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            errors: self.errors.saturating_sub(before.errors),
            in_flight: self.in_flight,
            took: std::array::from_fn(|place| self.took[place].saturating_sub(before.took[place])),
        }
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.in_flight += other.in_flight;
        for (into, from) in self.took.iter_mut().zip(&other.took) {
            *into += from;
        }
    }

    /// The duration in seconds that the share `q` does not exceed, linear within a bucket; the last
    /// edge for those beyond it. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let mut below = 0;
        quantile(
            &self.took.map(|count| {
                below += count;
                below
            }),
            q,
        )
    }

    fn of_backend(sum: &BackendSum) -> Self {
        let BackendBlock {
            classes, duration, ..
        } = &sum.counted;
        let bad = CODE_CLASSES.len() - 2;
        Self {
            requests: sum.taken,
            errors: classes[bad..].iter().map(Counter::get).sum(),
            in_flight: sum.in_flight,
            took: duration.buckets(),
        }
    }
}

impl Sample {
    pub(super) fn of(sums: &Sums) -> Self {
        let listeners = sums.listeners.iter().map(|(id, listener)| ListenerSample {
            name: sums.listener_names.get(*id).to_owned(),
            accepted: listener.opened.get(),
            open: listener.open(),
        });
        let waiting = sums.pools.iter().map(|(id, pool)| {
            let name = sums.pool_names.get(*id).to_owned();
            (name, pool.waiting())
        });
        Self {
            listeners: listeners.collect(),
            routes: routes(sums),
            waiting: waiting.collect(),
            backends: sums.backends.iter().map(backend).collect(),
        }
    }

    /// The flows of backends that the kernel serves: no request is counted there.
    pub(super) fn add_direct(&mut self, figures: &DirectFigures) {
        let flows: HashMap<_, u64> = figures
            .backends
            .iter()
            .map(|one| {
                (
                    (one.pool.as_str(), one.backend.as_str()),
                    one.passed_on.flows,
                )
            })
            .collect();
        for one in &mut self.backends {
            let key = (one.pool.as_str(), one.name.as_str());
            one.counted.requests += flows.get(&key).unwrap_or(&0);
        }
    }
}

fn routes(sums: &Sums) -> Vec<(String, Counted)> {
    let counted = sums.routes.iter().map(|(id, route)| {
        let took = Histogram::default();
        for (_, part) in sums.durations.range((*id, 0)..=(*id, u32::MAX)) {
            took.merge(part);
        }
        let counted = Counted {
            requests: route.finished.get(),
            errors: route.errors.0.iter().map(Counter::get).sum(),
            in_flight: route.in_flight(),
            took: took.buckets(),
        };
        (sums.route_names.get(*id).to_owned(), counted)
    });
    counted.collect()
}

fn backend(sum: &BackendSum) -> BackendSample {
    let active = sum.duty == Duty::Active;
    BackendSample {
        pool: sum.pool.clone(),
        name: sum.name.clone(),
        state: match active {
            true => sum.state().word(),
            false => sum.duty.word(),
        },
        serves: active && sum.state().serves(),
        weight: sum.weight,
        counted: Counted::of_backend(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(requests: u64, took: &[(usize, u64)]) -> Counted {
        let mut counted = Counted {
            requests,
            ..Counted::default()
        };
        for (place, count) in took {
            counted.took[*place] = *count;
        }
        counted
    }

    #[test]
    fn quantiles_are_those_of_the_time_between_two_samples() {
        let before = counted(1000, &[(0, 1000)]);
        let after = counted(1010, &[(0, 1000), (6, 10)]);
        let between = after.since(&before);
        assert_eq!(between.requests, 10);
        let p99 = between.quantile(0.99).expect("there are some");
        assert!((0.05..=0.1).contains(&p99), "{p99}");
        assert_eq!(after.since(&after).quantile(0.99), None);
    }

    #[test]
    fn flows_that_the_kernel_passes_on_count_like_requests() {
        let backend = BackendSample {
            pool: "app".to_owned(),
            name: "a".to_owned(),
            state: "up",
            serves: true,
            weight: 1,
            counted: counted(2, &[]),
        };
        let mut sample = Sample {
            backends: vec![backend],
            ..Sample::default()
        };
        let flows = |backend: &str, flows| crate::metrics::DirectBackend {
            pool: "app".to_owned(),
            backend: backend.to_owned(),
            passed_on: crate::metrics::Passed {
                flows,
                ..Default::default()
            },
            ..Default::default()
        };
        sample.add_direct(&DirectFigures {
            backends: vec![flows("a", 5), flows("b", 7)],
            ..DirectFigures::default()
        });
        assert_eq!(sample.backends[0].counted.requests, 7);
    }

    #[test]
    fn a_counter_that_begins_anew_counts_nothing() {
        let (before, after) = (counted(9, &[(0, 9)]), counted(2, &[(0, 2)]));
        assert_eq!(after.since(&before).requests, 0);
    }
}
