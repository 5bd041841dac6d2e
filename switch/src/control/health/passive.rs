//! Health of endpoints whose pool has no `health`: they are taken as up until a connection fails,
//! and from then on asked for a TCP connection until they accept one.

use std::time::{Duration, Instant};

use smallvec::smallvec;

use super::{Action, Actions, Input};
use crate::control::random::SplitMix;
use crate::endpoint::Health;

/// From the failed connection to the first probe: a server that only restarts is soon back.
const FIRST: Duration = Duration::from_millis(250);
/// Between the first probe and the second; each further pause is half as long again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The machine of an endpoint that is not checked regularly.
#[derive(Debug)]
pub struct Passive {
    health: Health,
    timeout: Duration,
    failures: i32,
    probing_since: Option<Instant>,
    next: Option<Instant>,
    random: SplitMix,
}

impl Passive {
    /// Begins as `Up`, unless the endpoint is known to be down. A probe may take `timeout`.
    pub fn new(timeout: Duration, known: Health, now: Instant, seed: u64) -> Self {
        let down = known == Health::Down;
        Self {
            health: if down { Health::Down } else { Health::Up },
            timeout,
            failures: 0,
            probing_since: None,
            next: down.then_some(now),
            random: SplitMix::new(seed),
        }
    }

    /// What is known of the endpoint.
    pub fn health(&self) -> Health {
        self.health
    }

    /// When the next probe begins, or the one under way has taken too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.probing_since
            .map(|since| since + self.timeout)
            .or(self.next)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) -> Actions {
        match input {
            Input::Due if self.deadline().is_none_or(|deadline| now < deadline) => Actions::new(),
            Input::Due if self.probing_since.is_some() => {
                self.failed(now);
                smallvec![Action::Abandon]
            }
            Input::Due => {
                self.next = None;
                self.probing_since = Some(now);
                smallvec![Action::Probe]
            }
            Input::Trouble if self.health == Health::Up => {
                self.failures = 0;
                self.next = Some(now + FIRST);
                self.become_(Health::Down)
            }
            Input::Failed if self.probing_since.is_some() => {
                self.failed(now);
                Actions::new()
            }
            Input::Passed if self.probing_since.is_some() => {
                self.probing_since = None;
                self.become_(Health::Up)
            }
            _ => Actions::new(),
        }
    }

    fn failed(&mut self, now: Instant) {
        self.probing_since = None;
        let pause = PAUSE.mul_f64(1.5f64.powi(self.failures)).min(LONGEST);
        self.failures = (self.failures + 1).min(16);
        self.next = Some(now + self.random.jittered(pause, 0.2));
    }

    fn become_(&mut self, to: Health) -> Actions {
        let from = std::mem::replace(&mut self.health, to);
        smallvec![Action::Became { from, to }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_up_and_asks_for_nothing_until_a_connection_fails() {
        let now = Instant::now();
        let machine = Passive::new(Duration::from_secs(1), Health::Starting, now, 1);
        assert_eq!((machine.health(), machine.deadline()), (Health::Up, None));
    }

    #[test]
    fn a_failed_connection_takes_it_out_until_it_accepts_again() {
        let now = Instant::now();
        let mut machine = Passive::new(Duration::from_secs(1), Health::Up, now, 1);
        machine.handle(now, Input::Trouble);
        assert_eq!(machine.health(), Health::Down);
        let due = machine.deadline().expect("a probe is to come");
        assert_eq!(due - now, FIRST);
        assert_eq!(machine.handle(due, Input::Due).as_slice(), [Action::Probe]);
        machine.handle(due, Input::Passed);
        assert_eq!((machine.health(), machine.deadline()), (Health::Up, None));
    }

    #[test]
    fn pauses_between_probes_grow_from_one_second_to_five() {
        let now = Instant::now();
        let mut machine = Passive::new(Duration::from_secs(1), Health::Down, now, 1);
        let mut at = now;
        let pauses: Vec<f64> = (0..12)
            .map(|_| {
                machine.handle(at, Input::Due);
                machine.handle(at, Input::Failed);
                let next = machine.deadline().expect("a probe is to come");
                let pause = (next - at).as_secs_f64();
                at = next;
                pause
            })
            .collect();
        assert!((0.9..1.1).contains(&pauses[0]), "{pauses:?}");
        assert!((4.5..=5.5).contains(&pauses[11]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 5.5), "{pauses:?}");
    }
}
