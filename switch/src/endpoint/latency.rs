//! How soon an endpoint answers: an average that goes up to a peak at once and comes down slowly
//! (the peak EWMA of Twitter's Finagle). A slow answer is noticed with the first one, and not
//! forgotten with the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::stamped::Stamped;

/// A failure counts as an answer that took so many times what one takes: a backend that fails fast
/// must not look like a fast one. Failures in a row multiply.
const FAILURE: f32 = 4.0;

/// Microseconds that a failure counts at least where nothing is known, and at most.
const FAILURE_RANGE: (f32, f32) = (100e3, 30e6);

/// A moving average of latencies, and when it was last moved. Writers: the workers.
///
/// The word holds microseconds, whose sign says that an answer is awaited. Zero: nothing is known.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

/// What is known at some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate {
    /// Nothing has been heard for as long as an answer is remembered.
    Unknown,
    /// Nothing is known, but somebody has asked.
    Asked,
    /// Microseconds.
    Known(f32),
}

impl Latency {
    /// What is known at `now`, when an answer is remembered for `decay`.
    pub fn estimate(&self, now: u64, decay: Duration) -> Estimate {
        Known::unpack(self.0.load(Ordering::Relaxed)).estimate(now, decay)
    }

    /// Takes note that a request is on its way: where nothing is known, one at a time is enough.
    pub fn asked(&self, now: u64, decay: Duration) {
        let before = self.0.load(Ordering::Relaxed);
        let known = Known::unpack(before);
        if known.estimate(now, decay) == Estimate::Unknown {
            let asked = Known {
                micros: known.micros,
                awaited: true,
                at: now,
            };
            // Whoever was faster has said the same or more.
            let _ =
                self.0
                    .compare_exchange(before, asked.pack(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Takes note of an answer.
    pub fn answered(&self, took: Duration, now: u64, decay: Duration) {
        let took = micros(took);
        self.change(now, |known| match known.awaited || known.micros == 0.0 {
            true => took,
            false if took >= known.micros => took,
            false => {
                let kept = known.kept(now, decay);
                known.micros * kept + took * (1.0 - kept)
            }
        });
    }

    /// Takes note of a failure.
    pub fn failed(&self, took: Duration, now: u64, decay: Duration) {
        let (least, most) = FAILURE_RANGE;
        self.change(now, |known| {
            let known = match known.micros {
                0.0 => least / FAILURE,
                micros if known.awaited => micros,
                micros => micros * known.kept(now, decay),
            };
            (known * FAILURE).min(most).max(micros(took))
        });
    }

    fn change(&self, now: u64, micros: impl Fn(Known) -> f32) {
        let changed = |word| {
            let known = Known::unpack(word);
            let next = Known {
                micros: micros(known),
                awaited: false,
                at: now.max(known.at),
            };
            Some(next.pack())
        };
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

fn micros(took: Duration) -> f32 {
    (took.as_secs_f32() * 1e6).max(1.0)
}

#[derive(Debug, Clone, Copy)]
struct Known {
    micros: f32,
    awaited: bool,
    at: u64,
}

impl Known {
    fn unpack(word: u64) -> Self {
        let Stamped { value, at } = Stamped::unpack(word);
        Self {
            micros: value.abs(),
            awaited: value.is_sign_negative(),
            at,
        }
    }

    fn pack(self) -> u64 {
        let value = if self.awaited {
            -self.micros
        } else {
            self.micros
        };
        Stamped { value, at: self.at }.pack()
    }

    fn estimate(self, now: u64, decay: Duration) -> Estimate {
        let age = now.saturating_sub(self.at);
        if u128::from(age) > decay.as_millis() || self.micros == 0.0 && !self.awaited {
            return Estimate::Unknown;
        }
        if self.awaited {
            return Estimate::Asked;
        }
        Estimate::Known(self.micros * self.kept(now, decay))
    }

    /// What is left of it at `now`, 0.0 to 1.0.
    fn kept(self, now: u64, decay: Duration) -> f32 {
        let age = now.saturating_sub(self.at) as f32;
        (-age / (decay.as_secs_f32() * 1e3).max(1.0)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn known(latency: &Latency, now: u64) -> f32 {
        match latency.estimate(now, DECAY) {
            Estimate::Known(micros) => micros / 1e3,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let latency = Latency::default();
        latency.answered(ms(10), 0, DECAY);
        latency.answered(ms(500), 1, DECAY);
        assert!((known(&latency, 1) - 500.0).abs() < 0.1);
        let mut last = 500.0;
        for now in (100..=40_000).step_by(100) {
            latency.answered(ms(10), now, DECAY);
            assert!(known(&latency, now) < last);
            last = known(&latency, now);
            if now == 10_000 {
                assert!((last - 190.0).abs() < 5.0, "a time constant later: {last}");
            }
        }
        assert!(last < 20.0, "{last}");
    }

    #[test]
    fn what_nobody_asked_for_long_is_asked_by_one() {
        let latency = Latency::default();
        assert_eq!(latency.estimate(5, DECAY), Estimate::Unknown);
        latency.asked(5, DECAY);
        assert_eq!(latency.estimate(5, DECAY), Estimate::Asked);
        latency.answered(ms(10), 15, DECAY);
        assert!((known(&latency, 15) - 10.0).abs() < 0.1);
        latency.asked(16, DECAY);
        assert!(matches!(latency.estimate(16, DECAY), Estimate::Known(_)));
        assert_eq!(latency.estimate(10_016, DECAY), Estimate::Unknown);
    }

    #[test]
    fn an_answer_that_never_comes_is_asked_for_again() {
        let latency = Latency::default();
        latency.asked(0, DECAY);
        assert_eq!(latency.estimate(10_000, DECAY), Estimate::Asked);
        assert_eq!(latency.estimate(10_001, DECAY), Estimate::Unknown);
    }

    #[test]
    fn failures_in_a_row_multiply_also_when_they_are_fast() {
        let latency = Latency::default();
        latency.answered(ms(10), 0, DECAY);
        latency.failed(ms(0), 1, DECAY);
        latency.failed(ms(0), 2, DECAY);
        assert!((known(&latency, 2) - 160.0).abs() < 1.0);
        let fresh = Latency::default();
        fresh.asked(0, DECAY);
        fresh.failed(ms(0), 1, DECAY);
        assert!((known(&fresh, 1) - 100.0).abs() < 1.0);
        for now in 2..100 {
            fresh.failed(ms(0), now, DECAY);
        }
        assert!(known(&fresh, 100) <= 30_000.0);
    }

    #[test]
    fn a_failure_is_remembered_when_it_is_asked_anew() {
        let latency = Latency::default();
        latency.answered(ms(300), 0, DECAY);
        latency.failed(ms(0), 0, DECAY);
        latency.asked(20_000, DECAY);
        latency.failed(ms(0), 20_001, DECAY);
        assert!(known(&latency, 20_001) > 2_000.0);
    }

    #[test]
    fn a_clock_that_lags_behind_another_worker_s_does_no_harm() {
        let latency = Latency::default();
        latency.answered(ms(10), 100, DECAY);
        assert!((known(&latency, 90) - 10.0).abs() < 0.1);
        latency.answered(ms(5), 90, DECAY);
        assert!(known(&latency, 100) <= 10.0);
    }
}
