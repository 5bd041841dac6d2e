//! What is told of one subject at one time, and how it is made of two samples of the counters.

use std::collections::HashMap;
use std::time::Duration;

use crate::metrics::{BackendSample, Counted, Sample};

/// What a series is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// All routes together.
    Whole,
    /// A listener.
    Listener(String),
    /// A route.
    Route(String),
    /// A pool.
    Pool(String),
    /// A backend: pool and name.
    Backend(String, String),
}

/// One subject at one time. No number: nothing is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Requests (of a listener: connections) per second.
    pub rate: f32,
    /// Of these, those that went wrong.
    pub errors: f32,
    /// Seconds that one request of a hundred exceeds.
    pub p99: f32,
    /// Under way.
    pub in_flight: u32,
    /// Of a backend its place in [`STATES`], of a pool the backends that serve, in percent.
    pub state: u8,
}

/// The states of a backend, as in the status.
pub const STATES: [&str; 8] = [
    "up",
    "slow-start",
    "starting",
    "ejected",
    "down",
    "unresolved",
    "draining",
    "disabled",
];

/// The place of a word in [`STATES`]; beyond its end for a word that is none of them.
pub fn state_place(word: &str) -> u8 {
    let place = STATES.iter().position(|state| *state == word);
    place.unwrap_or(STATES.len()) as u8
}

impl Point {
    /// Nothing is known.
    pub const GAP: Self = Self {
        rate: f32::NAN,
        errors: f32::NAN,
        p99: f32::NAN,
        in_flight: 0,
        state: 0,
    };

    fn of(counted: &Counted, seconds: f32, state: u8) -> Self {
        Self {
            rate: counted.requests as f32 / seconds,
            errors: counted.errors as f32 / seconds,
            p99: counted.quantile(0.99).map_or(f32::NAN, |p99| p99 as f32),
            in_flight: u32::try_from(counted.in_flight).unwrap_or(u32::MAX),
            state,
        }
    }
}

/// What happened between two samples, `took` apart: a point of each subject of the later one.
pub fn between(before: &Sample, after: &Sample, took: Duration) -> Vec<(Subject, Point)> {
    let seconds = took.as_secs_f32().max(0.001);
    let mut points = listeners(before, after, seconds);
    points.extend(routes(before, after, seconds));
    points.extend(backends(before, after, seconds));
    points
}

fn listeners(before: &Sample, after: &Sample, seconds: f32) -> Vec<(Subject, Point)> {
    let point = |listener: &crate::metrics::ListenerSample| {
        let mut known = before.listeners.iter();
        let known = known.find(|one| one.name == listener.name);
        let counted = Counted {
            requests: listener
                .accepted
                .saturating_sub(known.map_or(0, |known| known.accepted)),
            in_flight: listener.open,
            ..Counted::default()
        };
        let point = Point::of(&counted, seconds, 0);
        (Subject::Listener(listener.name.clone()), point)
    };
    after.listeners.iter().map(point).collect()
}

/// Each of them, and all together.
fn routes(before: &Sample, after: &Sample, seconds: f32) -> Vec<(Subject, Point)> {
    let known: HashMap<&str, &Counted> = before
        .routes
        .iter()
        .map(|(name, counted)| (name.as_str(), counted))
        .collect();
    let (mut whole, nothing) = (Counted::default(), Counted::default());
    let mut points = Vec::with_capacity(after.routes.len() + 1);
    for (name, counted) in &after.routes {
        let counted = counted.since(known.get(name.as_str()).unwrap_or(&&nothing));
        whole.add(&counted);
        points.push((
            Subject::Route(name.clone()),
            Point::of(&counted, seconds, 0),
        ));
    }
    points.push((Subject::Whole, Point::of(&whole, seconds, 0)));
    points
}

/// Each of them, and the pools that they make up.
fn backends(before: &Sample, after: &Sample, seconds: f32) -> Vec<(Subject, Point)> {
    let key = |one: &BackendSample| (one.pool.clone(), one.name.clone());
    let known: HashMap<_, &Counted> = before
        .backends
        .iter()
        .map(|one| (key(one), &one.counted))
        .collect();
    let nothing = Counted::default();
    let mut pools: Vec<Sum<'_>> = Vec::new();
    let mut points = Vec::with_capacity(after.backends.len());
    for one in &after.backends {
        let key = key(one);
        let counted = one.counted.since(known.get(&key).unwrap_or(&&nothing));
        Sum::of(&mut pools, &one.pool).add(&counted, one.serves);
        let point = Point::of(&counted, seconds, state_place(one.state));
        points.push((Subject::Backend(key.0, key.1), point));
    }
    let pools = pools.iter().map(|pool| {
        let point = Point::of(&pool.counted, seconds, pool.percent());
        (Subject::Pool(pool.name.to_owned()), point)
    });
    points.extend(pools);
    points
}

/// The backends of a pool together.
struct Sum<'n> {
    name: &'n str,
    counted: Counted,
    backends: usize,
    serving: usize,
}

impl<'n> Sum<'n> {
    /// Backends of one pool mostly stand together.
    fn of<'s>(sums: &'s mut Vec<Self>, name: &'n str) -> &'s mut Self {
        let place = sums.iter().rposition(|sum| sum.name == name);
        let place = place.unwrap_or(sums.len());
        if place == sums.len() {
            sums.push(Self {
                name,
                counted: Counted::default(),
                backends: 0,
                serving: 0,
            });
        }
        &mut sums[place]
    }

    fn add(&mut self, counted: &Counted, serves: bool) {
        self.counted.add(counted);
        self.backends += 1;
        self.serving += usize::from(serves);
    }

    fn percent(&self) -> u8 {
        (self.serving * 100 / self.backends.max(1)) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, requests: u64, serves: bool) -> BackendSample {
        BackendSample {
            pool: "app".to_owned(),
            name: name.to_owned(),
            state: if serves { "up" } else { "down" },
            serves,
            weight: 1,
            counted: Counted {
                requests,
                ..Counted::default()
            },
        }
    }

    fn sample(backends: Vec<BackendSample>) -> Sample {
        Sample {
            backends,
            ..Sample::default()
        }
    }

    #[test]
    fn a_pool_is_its_backends_together() {
        let before = sample(vec![backend("a", 5, true), backend("b", 5, true)]);
        let after = sample(vec![
            backend("a", 25, true),
            backend("b", 5, false),
            backend("c", 10, true),
        ]);
        let points = between(&before, &after, Duration::from_secs(10));
        let of = |subject: &Subject| points.iter().find(|(one, _)| one == subject);
        let (_, pool) = of(&Subject::Pool("app".to_owned())).expect("it is there");
        assert_eq!((pool.rate, pool.state), (3.0, 66));
        let one = Subject::Backend("app".to_owned(), "b".to_owned());
        let (_, one) = of(&one).expect("it is there");
        assert_eq!((one.rate, STATES[usize::from(one.state)]), (0.0, "down"));
        assert!(one.p99.is_nan());
    }

    #[test]
    fn every_state_of_the_status_has_a_place() {
        use crate::endpoint::{Duty, State};
        let words = State::ALL.map(State::word);
        let duties = [Duty::Draining, Duty::Disabled].map(Duty::word);
        for word in words.into_iter().chain(duties) {
            assert!(usize::from(state_place(word)) < STATES.len(), "{word}");
        }
    }
}
