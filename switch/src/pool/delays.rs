//! How long a pool's answers take, as far as hedging asks: for each quantile one number that is moved
//! a little by every answer, up when it took longer and down when it did not, so that in the end the
//! quantile's share of the answers is below it (stochastic approximation: Robbins and Monro, 1951,
//! in the multiplicative form of Ma, Muthukrishnan and Sandler, "Frugal streaming", 2013). Nothing is
//! sorted and nothing is kept; workers write over each other, which costs a step now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pointsman_config::policy::Quantile;

/// The largest step, as a share of the number.
const STEP: f64 = 0.05;
/// Within these bounds, in nanoseconds.
const BOUNDS: (f64, f64) = (100e3, 60e9);

/// The quantiles of one pool, in nanoseconds; 0: nothing is known yet.
#[derive(Debug, Default)]
pub struct Delays([AtomicU64; Quantile::ALL.len()]);

impl Delays {
    /// What the quantile's share of answers do not exceed, as far as is known.
    pub fn get(&self, quantile: Quantile) -> Option<Duration> {
        let nanos = self.0[quantile as usize].load(Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// An answer took so long, or had not come after so long.
    pub fn observe(&self, quantile: Quantile, took: Duration) {
        let number = &self.0[quantile as usize];
        let (before, took) = (number.load(Relaxed) as f64, took.as_nanos() as f64);
        let share = quantile.share();
        let next = match before {
            // Rather too late than too early, while only one answer is known.
            0.0 => 2.0 * took,
            _ if took > before => before * (1.0 + STEP * share),
            _ => before * (1.0 - STEP * (1.0 - share)),
        };
        number.store(next.clamp(BOUNDS.0, BOUNDS.1) as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers that are spread evenly from 0 to 100 ms, and their order not.
    fn times(count: u64) -> impl Iterator<Item = Duration> {
        (0..count).map(|n| Duration::from_micros(n * 61_803 % 100_000))
    }

    #[test]
    fn each_number_comes_near_its_quantile() {
        for quantile in Quantile::ALL {
            let delays = Delays::default();
            assert_eq!(delays.get(quantile), None);
            times(5000).for_each(|took| delays.observe(quantile, took));
            let number = delays.get(quantile).unwrap();
            let below = times(5000).filter(|took| *took <= number).count() as f64 / 5000.0;
            assert!(
                (below - quantile.share()).abs() < 0.04,
                "{quantile:?}: {below}"
            );
        }
    }

    #[test]
    fn it_follows_when_all_becomes_slower_or_faster() {
        let delays = Delays::default();
        for factor in [1, 20, 1] {
            times(4000).for_each(|took| delays.observe(Quantile::P95, took * factor));
            let (number, wanted) = (delays.get(Quantile::P95).unwrap(), 95 * factor);
            let share = number.as_millis() as f64 / f64::from(wanted);
            assert!((0.8..1.25).contains(&share), "{number:?} at {factor}");
        }
    }

    #[test]
    fn nothing_makes_it_zero_or_endless() {
        let delays = Delays::default();
        for took in [Duration::ZERO, Duration::MAX] {
            (0..10_000).for_each(|_| delays.observe(Quantile::P50, took));
            let number = delays.get(Quantile::P50).unwrap();
            assert!(number > Duration::ZERO && number <= Duration::from_secs(60));
        }
    }
}
