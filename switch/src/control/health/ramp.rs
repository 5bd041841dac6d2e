//! The slow start of a backend: how large a part of its weight it takes, by the time that it has
//! been up. No I/O.

use std::time::{Duration, Instant};

use crate::endpoint::WHOLE;

/// What it begins with, in per mille.
const FIRST: u16 = 100;
/// By how much the part grows at a time, in per mille.
const STEP: u16 = 50;
/// Steps from the first part to all of it.
const STEPS: u32 = ((WHOLE - FIRST) / STEP) as u32;
/// The shortest time between two steps.
const LEAST: Duration = Duration::from_millis(20);

/// One slow start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    began: Instant,
}

impl Ramp {
    /// One that has lasted for so long already.
    pub fn new(now: Instant, elapsed: Duration) -> Self {
        Self {
            began: now.checked_sub(elapsed).unwrap_or(now),
        }
    }

    /// How long it has lasted.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// The part of the weight, in per mille, when the whole slow start takes `time`.
    pub fn share(&self, now: Instant, time: Duration) -> u16 {
        let passed = self.elapsed(now).as_secs_f64() / time.as_secs_f64().max(f64::EPSILON);
        let steps = (passed * f64::from(STEPS)) as u32;
        FIRST + STEP * steps.min(STEPS) as u16
    }

    /// How often the shares of a pool are to be looked at.
    pub fn pace(time: Duration) -> Duration {
        (time / STEPS).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_a_tenth_to_all_in_even_steps() {
        let start = Instant::now();
        let ramp = Ramp::new(start, Duration::ZERO);
        let time = Duration::from_secs(18);
        let at = |seconds| ramp.share(start + Duration::from_secs_f64(seconds), time);
        let shares = [0.0, 0.99, 1.01, 9.01, 17.9, 18.1, 1e6].map(at);
        assert_eq!(shares, [100, 100, 150, 550, 950, 1000, 1000]);
        assert_eq!(Ramp::pace(time), Duration::from_secs(1));
    }

    #[test]
    fn one_that_goes_on_elsewhere_keeps_its_share() {
        let (start, time) = (Instant::now(), Duration::from_secs(10));
        let ramp = Ramp::new(start, Duration::from_secs(5));
        assert_eq!(ramp.elapsed(start), Duration::from_secs(5));
        assert_eq!(ramp.share(start, time), 550);
    }
}
