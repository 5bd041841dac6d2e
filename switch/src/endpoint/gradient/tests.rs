//! Seeded simulation of a server of so many workers behind the limit. `POINTSMAN_SEED=n` plays one
//! run again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

/// splitmix64
struct Dice(u64);

impl Dice {
    /// From 0 up to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Exponentially spread around this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.roll()).ln()
    }
}

/// A server, its workers busy until these times (in seconds), and who waits inside it.
struct Server {
    workers: usize,
    service: f64,
    varies: bool,
    /// Ends of what is worked on: nanoseconds, and when it came.
    busy: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: VecDeque<u64>,
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Server {
    fn under_way(&self) -> usize {
        self.busy.len() + self.waiting.len()
    }

    fn begin(&mut self, now: f64, dice: &mut Dice) {
        while self.busy.len() < self.workers
            && let Some(came) = self.waiting.pop_front()
        {
            let service = match self.varies {
                true => dice.exponential(self.service),
                false => self.service,
            };
            self.busy.push(Reverse((nanos(now + service), came)));
        }
    }

    /// The next end, if it is before `time`: when, and how long it took.
    fn end_before(&mut self, time: f64) -> Option<(f64, f64)> {
        let Reverse((end, came)) = *self.busy.peek()?;
        if end > nanos(time) {
            return None;
        }
        self.busy.pop();
        Some((end as f64 / 1e9, (end - came) as f64 / 1e9))
    }
}

/// What came of a stretch of time.
#[derive(Debug, Default)]
struct Tally {
    served: u32,
    refused: u32,
    limits: Vec<u32>,
    took: f64,
}

struct World {
    dice: Dice,
    server: Server,
    gradient: Gradient,
    epoch: Instant,
    now: f64,
    window: (f64, Window),
}

impl World {
    fn new(seed: u64, workers: usize, service: f64, varies: bool) -> Self {
        let epoch = Instant::now();
        Self {
            dice: Dice(seed),
            server: Server {
                workers,
                service,
                varies,
                busy: BinaryHeap::new(),
                waiting: VecDeque::new(),
            },
            gradient: Gradient::new(1000, epoch),
            epoch,
            now: 0.0,
            window: (0.0, EMPTY),
        }
    }

    /// Requests come at this rate for so many seconds.
    fn run(&mut self, rate: f64, seconds: f64) -> Tally {
        let (end, mut tally) = (self.now + seconds, Tally::default());
        while self.now < end {
            let next = self.now + self.dice.exponential(1.0 / rate);
            while let Some((at, took)) = self.server.end_before(next) {
                tally.served += 1;
                tally.took += took;
                self.observe(at, took, &mut tally);
                self.server.begin(at, &mut self.dice);
            }
            self.now = next;
            if self.server.under_way() < self.gradient.limit() as usize {
                self.server.waiting.push_back(nanos(next));
                self.server.begin(next, &mut self.dice);
            } else {
                tally.refused += 1;
            }
        }
        tally
    }

    fn observe(&mut self, at: f64, took: f64, tally: &mut Tally) {
        let (since, window) = &mut self.window;
        window.peak = window.peak.max(self.server.under_way() as u32 + 1);
        window.mean += took;
        window.count += 1;
        if window.count >= 50 && at - *since >= 0.1 {
            window.mean /= f64::from(window.count);
            let now = self.epoch + Duration::from_secs_f64(at);
            self.gradient.update(window, now);
            tally.limits.push(self.gradient.limit());
            self.window = (at, EMPTY);
        }
    }
}

const EMPTY: Window = Window {
    count: 0,
    mean: 0.0,
    refused: 0,
    peak: 0,
};

fn seeds() -> std::ops::Range<u64> {
    let one = std::env::var("POINTSMAN_SEED").ok();
    let one = one.and_then(|text| text.parse().ok());
    one.map_or(0..12, |seed: u64| seed..seed + 1)
}

#[test]
fn at_three_times_its_capacity_a_server_gives_nine_tenths_of_it_for_minutes() {
    for (workers, service) in [(1, 0.01), (4, 0.02), (10, 0.02), (64, 0.05), (200, 0.1)] {
        for (seed, varies) in seeds().flat_map(|seed| [(seed, false), (seed, true)]) {
            let mut world = World::new(seed, workers, service, varies);
            let capacity = workers as f64 / service;
            world.run(3.0 * capacity, 10.0);
            let tally = world.run(3.0 * capacity, 120.0);
            let goodput = f64::from(tally.served) / 120.0 / capacity;
            let slower = tally.took / f64::from(tally.served) / service;
            let what = format!("POINTSMAN_SEED={seed}: {workers} workers, varies {varies}");
            assert!(goodput >= 0.9, "{what}: {goodput}");
            assert!(slower < 10.0, "{what}: {slower} times as slow");
            let last = &tally.limits[tally.limits.len() / 2..];
            let most = last.iter().max().copied().unwrap_or(0) as usize;
            assert!(most <= 4 * workers + 8, "{what}: {most}");
        }
    }
}

#[test]
fn a_server_with_little_to_do_refuses_nobody() {
    for seed in seeds() {
        let mut world = World::new(seed, 10, 0.02, true);
        world.run(250.0, 10.0);
        let tally = world.run(250.0, 120.0);
        assert!(
            tally.refused < tally.served / 1000,
            "POINTSMAN_SEED={seed}: {}",
            tally.refused
        );
    }
}

#[test]
fn the_limit_follows_when_a_server_loses_workers_and_gets_them_back() {
    for seed in seeds() {
        let mut world = World::new(seed, 40, 0.02, true);
        let mut share = Vec::new();
        for workers in [40, 10, 40] {
            world.server.workers = workers;
            let capacity = workers as f64 / 0.02;
            world.run(6000.0, 20.0);
            let tally = world.run(6000.0, 20.0);
            share.push(f64::from(tally.served) / 20.0 / capacity);
        }
        assert!(
            share.iter().all(|share| *share >= 0.9),
            "POINTSMAN_SEED={seed}: {share:?}"
        );
    }
}

#[test]
fn refusals_lower_the_limit_however_quick_they_are() {
    let start = Instant::now();
    let mut gradient = Gradient::new(1000, start);
    let window = Window {
        count: 100,
        mean: 0.001,
        refused: 50,
        peak: 1000,
    };
    (1..20).for_each(|n| gradient.update(&window, start + Duration::from_millis(100) * n));
    assert!(gradient.limit() < FIRST as u32, "{}", gradient.limit());
}

#[test]
fn no_window_makes_the_limit_zero_or_more_than_its_most() {
    let start = Instant::now();
    let mut dice = Dice(7);
    let mut gradient = Gradient::new(50, start);
    for n in 0..20_000u32 {
        let window = Window {
            count: (dice.roll() * 100.0) as u32,
            mean: [0.0, f64::NAN, f64::INFINITY, 1e-9, 0.1, 1e9][(dice.roll() * 6.0) as usize],
            refused: (dice.roll() * 100.0) as u32,
            peak: (dice.roll() * 100.0) as u32,
        };
        gradient.update(&window, start + Duration::from_millis(100) * n);
        assert!(
            (1..=50).contains(&gradient.limit()),
            "{window:?}: {gradient:?}"
        );
    }
}
