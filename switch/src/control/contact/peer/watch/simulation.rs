//! Seeded simulation: how often is a peer taken for dead that is not, and how soon one that is? A
//! failure names its seed; the same seed plays the same run.

use std::time::{Duration, Instant};

use super::Watch;
use crate::control::random::SplitMix;

/// What happens to heartbeats and to us.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// Each heartbeat is late by up to so much.
    jitter: Duration,
    /// Shares of heartbeats that are lost, and that are late by up to `spike` instead.
    loss: f64,
    spikes: f64,
    spike: Duration,
    /// Share of our turns that begin late by up to `stall`.
    stalls: f64,
    stall: Duration,
    /// Whether the peer's system answers echoes, however late its process is.
    answers: bool,
}

/// From an echo to its answer.
const ROUND_TRIP: Duration = Duration::from_micros(100);

const CALM: Weather = Weather {
    jitter: Duration::from_micros(500),
    loss: 0.0,
    spikes: 0.0,
    spike: Duration::ZERO,
    stalls: 0.0,
    stall: Duration::ZERO,
    answers: false,
};

const HEARTBEAT: Duration = Duration::from_millis(5);
const MISSES: u32 = 3;
const BEATS: usize = 20_000;

struct World {
    weather: Weather,
    random: SplitMix,
    /// When heartbeats will arrive, sorted; the peer dies after the last one.
    arrivals: Vec<Instant>,
    died: Instant,
    /// When the answer to an echo will arrive.
    answer: Option<Instant>,
    watch: Watch,
    now: Instant,
}

/// How it went.
#[derive(Debug)]
struct Outcome {
    false_deaths: usize,
    found_after: Duration,
}

impl World {
    fn new(seed: u64, weather: Weather, start: Instant) -> Self {
        let mut random = SplitMix::new(seed);
        let mut arrivals = vec![];
        for beat in 0..BEATS {
            let late = match random.unit() {
                dice if dice < weather.loss => continue,
                dice if dice < weather.loss + weather.spikes => weather.spike,
                _ => weather.jitter,
            };
            arrivals.push(start + HEARTBEAT * beat as u32 + late.mul_f64(random.unit()));
        }
        arrivals.sort();
        let died = start + HEARTBEAT * (BEATS as u32 - 1);
        let watch = Watch::new(HEARTBEAT, MISSES);
        Self {
            weather,
            random,
            arrivals,
            died,
            answer: None,
            watch,
            now: start,
        }
    }

    fn run(mut self) -> Outcome {
        let (mut next, mut false_deaths, mut was_dead) = (0, 0, false);
        loop {
            let arrival = self.arrivals.get(next).copied();
            let asks_at = self.watch.asks_at().filter(|_| self.weather.answers);
            let wanted = [arrival, self.watch.deadline(), asks_at, self.answer];
            let wanted = wanted.into_iter().flatten().min();
            let wanted = wanted.expect("a peer that is alive is heard, and watched then");
            let late = match self.random.unit() < self.weather.stalls {
                true => self.weather.stall.mul_f64(self.random.unit()),
                false => Duration::from_micros(self.random.next_u64() % 80),
            };
            self.now = self.now.max(wanted) + late;
            self.watch.looked(self.now, late);
            while self.arrivals.get(next).is_some_and(|at| *at <= self.now) {
                self.watch.heard(self.now);
                next += 1;
            }
            if self.answer.is_some_and(|at| at <= self.now) {
                self.answer = None;
                self.watch.answered(self.now);
            }
            let is_there = next < self.arrivals.len();
            if self.watch.asks(self.now) && self.weather.answers && is_there {
                self.answer = Some(self.now + ROUND_TRIP);
            }
            let dead = self.watch.is_dead(self.now);
            if dead && next == self.arrivals.len() {
                let found_after = self.now.saturating_duration_since(self.died);
                return Outcome {
                    false_deaths,
                    found_after,
                };
            }
            false_deaths += usize::from(dead && !was_dead);
            was_dead = dead;
        }
    }
}

/// False deaths of ten runs, and the longest time until the true one was found.
fn runs(weather: Weather) -> (usize, Duration) {
    let start = Instant::now();
    let outcomes = (0..10).map(|seed| World::new(seed, weather, start).run());
    outcomes.fold((0, Duration::ZERO), |(sum, longest), outcome| {
        let found = outcome.found_after;
        (sum + outcome.false_deaths, longest.max(found))
    })
}

#[test]
fn in_calm_weather_nobody_is_dead_too_early_and_death_is_found_in_time() {
    let (false_deaths, found) = runs(CALM);
    assert_eq!(false_deaths, 0);
    assert!(found < Duration::from_millis(17), "{found:?}");
}

#[test]
fn jitter_below_the_misses_is_never_a_death() {
    let jitter = Duration::from_micros(10_900);
    let (false_deaths, _) = runs(Weather { jitter, ..CALM });
    assert_eq!(false_deaths, 0);
}

#[test]
fn our_own_stalls_are_never_a_death_of_the_peer() {
    let weather = Weather {
        stalls: 0.01,
        stall: Duration::from_millis(300),
        jitter: Duration::from_millis(5),
        ..CALM
    };
    assert_eq!(runs(weather).0, 0);
}

#[test]
fn independent_losses_of_one_in_a_hundred_are_a_death_about_once_in_a_million_heartbeats() {
    let (false_deaths, _) = runs(Weather { loss: 0.01, ..CALM });
    assert!(false_deaths <= 3, "{false_deaths} in 200,000");
}

#[test]
fn delays_beyond_the_misses_are_taken_for_deaths_as_often_as_nothing_comes_meanwhile() {
    // One in ten is late by up to 40 ms, but the next ones overtake it: three in a row must be.
    let weather = Weather {
        spikes: 0.1,
        spike: Duration::from_millis(40),
        ..CALM
    };
    let (false_deaths, _) = runs(weather);
    assert!(
        (1..=200).contains(&false_deaths),
        "{false_deaths} in 200,000"
    );
}

#[test]
fn a_peer_whose_system_answers_is_never_dead_however_late_both_processes_are() {
    let weather = Weather {
        spikes: 0.4,
        spike: Duration::from_millis(100),
        stalls: 0.05,
        stall: Duration::from_millis(8),
        answers: true,
        ..CALM
    };
    let (false_deaths, found) = runs(weather);
    assert_eq!(false_deaths, 0);
    // The last heartbeat may have been that late.
    assert!(found < Duration::from_millis(130), "{found:?}");
}
