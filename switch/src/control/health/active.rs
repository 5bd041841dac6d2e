//! Health by regular checks.
//!
//! ```text
//!            first pass                `fall` failures in a row
//! Starting ------------> Up <--------> Down
//!     |                     `rise` passes in a row
//!     +--- `fall` failures in a row ---^
//! ```
//!
//! A connection that the data plane could not make counts as a failed check, once in 200 ms at
//! most, and brings the next check forward. While results speak against the present state, the
//! next check follows after a fifth of the interval (at least 200 ms, never more than the
//! interval), so that `fall` and `rise` say how sure the switch must be and hardly how long it
//! takes.

use std::time::{Duration, Instant};

use pointsman_config::policy;
use smallvec::smallvec;

use super::{Action, Actions, Input};
use crate::control::random::SplitMix;
use crate::endpoint::Health;

/// The least time between two checks that follow each other quickly, and between two connection
/// failures that count.
const LEAST: Duration = Duration::from_millis(200);

/// How often is checked, and what follows from the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Rhythm {
    /// From one check to the next.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Failures in a row that take an endpoint out; at least 1.
    pub fall: u32,
    /// Passes in a row that bring it back; at least 1.
    pub rise: u32,
    /// Share of the interval by which checks are spread.
    pub jitter: f64,
}

impl From<&policy::Health> for Rhythm {
    fn from(health: &policy::Health) -> Self {
        Self {
            interval: health.interval,
            timeout: health.timeout,
            fall: health.fall.max(1),
            rise: health.rise.max(1),
            jitter: health.jitter,
        }
    }
}

/// The machine of an endpoint that is checked regularly.
#[derive(Debug)]
pub struct Active {
    rhythm: Rhythm,
    health: Health,
    /// Results in a row that speak against `health`.
    against: u32,
    probing_since: Option<Instant>,
    next: Instant,
    last_trouble: Option<Instant>,
    /// Whether the first probe has ended.
    checked: bool,
    random: SplitMix,
}

impl Active {
    /// Begins with the last known health; the first probe is due at `first`.
    pub fn new(rhythm: Rhythm, known: Health, first: Instant, seed: u64) -> Self {
        let health = if known == Health::Unresolved {
            Health::Starting
        } else {
            known
        };
        Self {
            rhythm,
            health,
            against: 0,
            probing_since: None,
            next: first,
            last_trouble: None,
            checked: false,
            random: SplitMix::new(seed),
        }
    }

    /// What is known of the endpoint.
    pub fn health(&self) -> Health {
        self.health
    }

    /// When the next probe begins, or the one under way has taken too long.
    pub fn deadline(&self) -> Instant {
        match self.probing_since {
            Some(since) => since + self.rhythm.timeout,
            None => self.next,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) -> Actions {
        match input {
            Input::Due if now < self.deadline() => Actions::new(),
            Input::Due if self.probing_since.is_some() => {
                let mut actions: Actions = smallvec![Action::Abandon];
                actions.extend(self.ended(now, false));
                actions
            }
            Input::Due => {
                self.probing_since = Some(now);
                smallvec![Action::Probe]
            }
            Input::Passed | Input::Failed if self.probing_since.is_none() => Actions::new(),
            Input::Passed => self.ended(now, true).into_iter().collect(),
            Input::Failed => self.ended(now, false).into_iter().collect(),
            Input::Trouble => self.trouble(now).into_iter().collect(),
        }
    }

    fn ended(&mut self, now: Instant, passed: bool) -> Option<Action> {
        self.probing_since = None;
        let change = self.count(passed);
        self.next = now + self.pause();
        self.checked = true;
        change
    }

    fn trouble(&mut self, now: Instant) -> Option<Action> {
        let recent = self
            .last_trouble
            .is_some_and(|last| now.duration_since(last) < LEAST);
        if recent || self.health == Health::Down {
            return None;
        }
        self.last_trouble = Some(now);
        let change = self.count(false);
        self.next = if change.is_some() {
            now + self.pause()
        } else {
            now
        };
        change
    }

    fn count(&mut self, passed: bool) -> Option<Action> {
        let (from, limit, to) = match (self.health, passed) {
            (Health::Starting, true) => (Health::Starting, 1, Health::Up),
            (Health::Down, true) => (Health::Down, self.rhythm.rise, Health::Up),
            (Health::Up | Health::Starting, false) => (self.health, self.rhythm.fall, Health::Down),
            _ => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < limit {
            return None;
        }
        self.against = 0;
        self.health = to;
        Some(Action::Became { from, to })
    }

    /// After the first result, any part of the interval: from then on the endpoints of a process
    /// are spread evenly although all of them began at once.
    fn pause(&mut self) -> Duration {
        let quick = (self.rhythm.interval / 5)
            .max(LEAST)
            .min(self.rhythm.interval);
        if self.against > 0 {
            quick
        } else if self.checked {
            self.random
                .jittered(self.rhythm.interval, self.rhythm.jitter)
        } else {
            self.rhythm.interval.mul_f64(self.random.unit()).max(quick)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(fall: u32, rise: u32, known: Health, now: Instant) -> Active {
        let rhythm = Rhythm {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            fall,
            rise,
            jitter: 0.1,
        };
        Active::new(rhythm, known, now, 1)
    }

    /// Lets the machine probe as soon as it wants to, with these results (`+` or `-`); gives back
    /// the states after each.
    fn play(machine: &mut Active, results: &str) -> Vec<Health> {
        let play_one = |result| {
            let now = machine.deadline();
            assert_eq!(machine.handle(now, Input::Due).as_slice(), [Action::Probe]);
            let result = if result == '+' {
                Input::Passed
            } else {
                Input::Failed
            };
            machine.handle(now, result);
            machine.health()
        };
        results.chars().map(play_one).collect()
    }

    #[test]
    fn states_follow_the_table() {
        use Health::{Down as D, Starting as S, Up as U};
        let now = Instant::now();
        let cases: &[(u32, u32, Health, &str, &[Health])] = &[
            (3, 2, S, "+", &[U]),
            (3, 2, S, "---", &[S, S, D]),
            (3, 2, S, "--+", &[S, S, U]),
            (1, 1, S, "-+-", &[D, U, D]),
            (3, 2, U, "--+---", &[U, U, U, U, U, D]),
            (3, 2, D, "+-++", &[D, D, D, U]),
            (2, 3, D, "+++--", &[D, D, U, U, D]),
        ];
        for (fall, rise, known, results, expected) in cases {
            let got = play(&mut machine(*fall, *rise, *known, now), results);
            assert_eq!(
                got, *expected,
                "fall {fall} rise {rise} {known:?} {results}"
            );
        }
    }

    #[test]
    fn a_probe_that_takes_too_long_is_abandoned_and_counts_as_failed() {
        let now = Instant::now();
        let mut machine = machine(1, 1, Health::Up, now);
        machine.handle(now, Input::Due);
        let late = now + Duration::from_secs(1);
        let became = Action::Became {
            from: Health::Up,
            to: Health::Down,
        };
        assert_eq!(
            machine.handle(late, Input::Due).as_slice(),
            [Action::Abandon, became]
        );
        assert!(
            machine.handle(late, Input::Passed).is_empty(),
            "a late result means nothing"
        );
    }

    #[test]
    fn a_first_failure_is_checked_again_after_a_fifth_of_the_interval() {
        let now = Instant::now();
        let mut machine = machine(3, 2, Health::Up, now);
        play(&mut machine, "-");
        assert_eq!(machine.deadline() - now, Duration::from_millis(400));
    }

    #[test]
    fn a_refused_connection_counts_and_brings_the_next_check_forward() {
        let start = Instant::now();
        let mut machine = machine(3, 2, Health::Up, start);
        play(&mut machine, "+");
        let now = start + Duration::from_millis(10);
        assert!(machine.handle(now, Input::Trouble).is_empty());
        assert_eq!(machine.deadline(), now);
        machine.handle(now, Input::Due);
        machine.handle(now, Input::Failed);
        let soon = now + Duration::from_millis(199);
        assert!(
            machine.handle(soon, Input::Trouble).is_empty(),
            "not twice in 200 ms"
        );
        assert_eq!(machine.health(), Health::Up);
        machine.handle(now + Duration::from_millis(200), Input::Trouble);
        assert_eq!(machine.health(), Health::Down);
    }

    #[test]
    fn trouble_during_a_probe_begins_no_second_one() {
        let now = Instant::now();
        let mut machine = machine(3, 2, Health::Up, now);
        machine.handle(now, Input::Due);
        machine.handle(now, Input::Trouble);
        assert!(machine.handle(now, Input::Due).is_empty());
    }

    #[test]
    fn after_the_first_round_a_thousand_endpoints_are_spread_over_the_interval() {
        let now = Instant::now();
        let mut per_tenth = [0; 10];
        for seed in 0..1000 {
            let mut machine = machine(3, 2, Health::Starting, now);
            machine.random = SplitMix::new(seed);
            play(&mut machine, "+");
            let offset = (machine.deadline() - now).as_secs_f64();
            per_tenth[((offset / 0.2) as usize).min(9)] += 1;
        }
        // The shortest pause is 400 ms: two tenths are folded into one point.
        assert!(
            per_tenth[3..].iter().all(|count| (60..150).contains(count)),
            "{per_tenth:?}"
        );
    }
}
