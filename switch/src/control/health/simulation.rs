//! Seeded simulation of the machines: random results, delays and troubles; the invariants hold
//! after every step. A failure names its seed; the same seed plays the same run.

use std::time::{Duration, Instant};

use super::{Action, Active, Input, Machine, Passive, Rhythm};
use crate::control::random::SplitMix;
use crate::endpoint::Health;

struct World {
    machine: Machine,
    random: SplitMix,
    now: Instant,
    probing: bool,
    health: Health,
    last_probe: Option<Instant>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64, start: Instant) -> Self {
        let mut random = SplitMix::new(seed);
        let machine = if random.unit() < 0.7 {
            let rhythm = Rhythm {
                interval: Duration::from_millis(100 + random.next_u64() % 5000),
                timeout: Duration::from_millis(50 + random.next_u64() % 3000),
                fall: 1 + (random.next_u64() % 4) as u32,
                rise: 1 + (random.next_u64() % 4) as u32,
                jitter: random.unit(),
            };
            Machine::Active(Active::new(rhythm, Health::Starting, start, seed))
        } else {
            Machine::Passive(Passive::new(
                Duration::from_secs(1),
                Health::Up,
                start,
                seed,
            ))
        };
        let health = machine.health();
        Self {
            machine,
            random,
            now: start,
            probing: false,
            health,
            last_probe: None,
            trace: vec![],
        }
    }

    fn step(&mut self) {
        let deadline = self.machine.deadline();
        let wait = Duration::from_millis(self.random.next_u64() % 400);
        let dice = self.random.unit();
        let (now, input) = match deadline {
            Some(deadline) if deadline <= self.now + wait => (deadline.max(self.now), Input::Due),
            _ if self.probing && dice < 0.4 => (self.now + wait, Input::Passed),
            _ if self.probing && dice < 0.8 => (self.now + wait, Input::Failed),
            _ => (self.now + wait, Input::Trouble),
        };
        self.now = now;
        if matches!(input, Input::Passed | Input::Failed) {
            self.probing = false;
        }
        for action in self.machine.handle(now, input) {
            self.trace.push(format!("{input:?} {action:?}"));
            self.check(action);
        }
        assert_eq!(self.machine.health(), self.health);
        assert!(
            !self.probing || self.machine.deadline().is_some(),
            "a probe with no end"
        );
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::Probe => {
                assert!(!self.probing, "two probes at once");
                self.probing = true;
                self.last_probe = Some(self.now);
            }
            Action::Abandon => {
                assert!(self.probing, "nothing to abandon");
                self.probing = false;
            }
            Action::Became { from, to } => {
                assert_eq!(from, self.health);
                assert_ne!(from, to);
                assert!(matches!(to, Health::Up | Health::Down));
                self.health = to;
            }
        }
    }
}

fn run(seed: u64, start: Instant) -> Vec<String> {
    let mut world = World::new(seed, start);
    for _ in 0..400 {
        world.step();
    }
    world.trace
}

#[test]
fn invariants_hold_in_two_thousand_seeded_runs() {
    let start = Instant::now();
    for seed in 0..2000 {
        let result = std::panic::catch_unwind(|| run(seed, start));
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn the_same_seed_plays_the_same_run() {
    let start = Instant::now();
    for seed in [3, 1999, u64::MAX] {
        assert_eq!(run(seed, start), run(seed, start));
    }
}
