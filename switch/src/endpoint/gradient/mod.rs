//! How much a server may have under way, learned from how long its answers take: the decisions
//! alone, no I/O.
//!
//! While there is no queue inside a server, more under way costs no time; once there is one, time
//! grows with it. So the limit follows the ratio of the shortest time to the present one, plus a
//! small allowance by which it grows while that ratio is one (the gradient of Netflix's
//! concurrency-limits, "Performance Under Load", 2018, and of Envoy's adaptive concurrency filter).
//! The shortest time is measured anew now and then, with the limit cut so far that a queue inside
//! the server runs empty; otherwise a lasting overload would come to be taken for its usual speed.

use std::time::{Duration, Instant};

/// The limit before anything is known.
const FIRST: f64 = 20.0;
/// How much longer than the shortest an answer may take before the limit falls.
const TOLERANCE: f64 = 1.5;
/// How much of the way to its aim the limit goes with one window.
const PACE: f64 = 0.5;
/// How often the shortest time is measured anew, where the limit is in use.
const RENEWAL: Duration = Duration::from_secs(30);
/// When it is measured for the first time.
const FIRST_RENEWAL: Duration = Duration::from_secs(3);
/// What is left of the limit meanwhile.
const CUT: f64 = 0.25;
/// How much a window counts against those before it: the shortest of many means that scatter would be
/// far below what is usual.
const WEIGHT: f64 = 0.3;
/// For so many times the mean after much was admitted at once, answers that come are the quick ones.
const SETTLING: f64 = 5.0;
/// One refusal among so many answers means that the server itself finds it too much.
const REFUSALS: u32 = 10;

/// What came back from a server within a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Answers.
    pub count: u32,
    /// How long they took on average, in seconds.
    pub mean: f64,
    /// Those among them, and failures, by which it said that it could not.
    pub refused: u32,
    /// The most that was under way.
    pub peak: u32,
}

/// The limit of one server.
#[derive(Debug)]
pub struct Gradient {
    limit: f64,
    most: f64,
    /// The mean time of the last windows, in seconds.
    recent: Option<f64>,
    /// The shortest of it in the last period and in this one.
    shortest: [f64; 2],
    /// Much was admitted at once then.
    opened: Instant,
    /// Windows since the last measurement, and those in which the limit was reached.
    windows: [u32; 2],
    /// When it is measured anew.
    renewal: Instant,
    measuring: Option<Measuring>,
}

#[derive(Debug, Clone, Copy)]
struct Measuring {
    /// What was under way before has ended by then.
    from: Instant,
    /// A window has ended since: the next one holds nothing of before.
    is_clear: bool,
    /// The limit before.
    limit: f64,
}

impl Gradient {
    /// Nothing is known yet; the limit never becomes more than `most`.
    pub fn new(most: u32, now: Instant) -> Self {
        let most = f64::from(most.max(1));
        Self {
            limit: FIRST.min(most),
            most,
            recent: None,
            shortest: [f64::INFINITY; 2],
            opened: now,
            windows: [0; 2],
            renewal: now + FIRST_RENEWAL,
            measuring: None,
        }
    }

    /// What may be under way.
    pub fn limit(&self) -> u32 {
        self.limit.max(1.0) as u32
    }

    /// Takes in a window.
    pub fn update(&mut self, window: &Window, now: Instant) {
        if window.count == 0 || !window.mean.is_finite() || window.mean <= 0.0 {
            return;
        }
        match &mut self.measuring {
            Some(measuring) if !measuring.is_clear => measuring.is_clear = now >= measuring.from,
            Some(Measuring { limit, .. }) => {
                self.limit = *limit;
                self.measuring = None;
                self.recent = None;
                self.opened = now;
                self.begin_period(window.mean, now);
            }
            None => self.follow(window, now),
        }
    }

    fn follow(&mut self, window: &Window, now: Instant) {
        let before = self.recent.unwrap_or(window.mean);
        let recent = before + (window.mean - before) * WEIGHT;
        self.recent = Some(recent);
        if now.saturating_duration_since(self.opened).as_secs_f64() >= SETTLING * recent {
            self.shortest[1] = self.shortest[1].min(recent);
        }
        let shortest = self.shortest[0].min(self.shortest[1]);
        let gradient = (TOLERANCE * shortest / recent).clamp(0.5, 1.0);
        let aim = match window.refused.saturating_mul(REFUSALS) > window.count {
            true => self.limit * gradient.min(0.8),
            false => self.limit * gradient + self.limit.sqrt(),
        };
        let peak = f64::from(window.peak);
        // What is not used says nothing of what would be too much.
        if peak * 2.0 >= self.limit {
            self.limit += (aim - self.limit) * PACE;
            self.limit = self.limit.clamp(1.0, self.most);
        }
        self.windows[0] += 1;
        self.windows[1] += u32::from(peak >= self.limit.floor() * 0.9);
        if now >= self.renewal {
            self.renew(window, now);
        }
    }

    fn renew(&mut self, window: &Window, now: Instant) {
        let [all, reached] = self.windows;
        if reached * 2 > all {
            let rest = Duration::try_from_secs_f64(window.mean * 3.0).unwrap_or(RENEWAL);
            self.measuring = Some(Measuring {
                from: now + rest.min(RENEWAL),
                is_clear: false,
                limit: self.limit,
            });
            self.limit = (self.limit * CUT).max(1.0);
        } else {
            // There is no queue inside a server that mostly has less to do than it may have.
            self.begin_period(self.shortest[1], now);
        }
    }

    fn begin_period(&mut self, shortest: f64, now: Instant) {
        self.shortest = [shortest, f64::INFINITY];
        self.windows = [0; 2];
        self.renewal = now + RENEWAL;
    }
}

#[cfg(test)]
mod tests;
