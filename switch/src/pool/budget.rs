//! How many further tries a pool's requests may cause: a share of the requests of the last seconds,
//! and a few in any case, so that a failing backend is not drowned by what was meant to help
//! (as in Finagle's `RetryBudget`). Workers share it by atomics; a request that is not tried again
//! touches none of them, for workers count requests by themselves and hand the sum in now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Requests of so many seconds count.
const WINDOW: u32 = 10;
/// Further tries a second that are allowed in any case.
const LEAST: u64 = 3;

/// What is counted for one pool.
#[derive(Debug)]
pub struct Budget {
    epoch: Instant,
    requests: Seconds,
    extra: Seconds,
}

impl Budget {
    /// Nothing was asked or tried again yet.
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            requests: Seconds::default(),
            extra: Seconds::default(),
        }
    }

    /// So many requests came.
    pub fn requests(&self, count: u32, now: Instant) {
        self.requests.add(self.second(now), count);
    }

    /// Whether one more further try fits within this share of the requests; it is counted then.
    pub fn spend(&self, share: f64, now: Instant) -> bool {
        let second = self.second(now);
        let allowed = (self.requests.sum(second) as f64 * share) as u64;
        let fits = self.extra.sum(second) < allowed + LEAST * u64::from(WINDOW);
        if fits {
            self.extra.add(second, 1);
        }
        fits
    }

    fn second(&self, now: Instant) -> u32 {
        // After 136 years it stays full.
        u32::try_from(now.saturating_duration_since(self.epoch).as_secs()).unwrap_or(u32::MAX)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

/// Counts by second, each slot with the second that it belongs to in its upper half.
#[derive(Debug, Default)]
struct Seconds([AtomicU64; 16]);

impl Seconds {
    fn add(&self, second: u32, count: u32) {
        let slot = &self.0[second as usize % self.0.len()];
        let _ = slot.fetch_update(Relaxed, Relaxed, |before| {
            let counted = match (before >> 32) as u32 == second {
                true => (before as u32).saturating_add(count),
                false => count,
            };
            Some(u64::from(second) << 32 | u64::from(counted))
        });
    }

    fn sum(&self, second: u32) -> u64 {
        let counts = self.0.iter().map(|slot| slot.load(Relaxed));
        let recent = counts.filter(|slot| second.wrapping_sub((slot >> 32) as u32) < WINDOW);
        recent.map(|slot| u64::from(slot as u32)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spent(budget: &Budget, share: f64, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.spend(share, now)).count()
    }

    #[test]
    fn a_pool_without_requests_may_try_three_times_a_second() {
        let start = Instant::now();
        let budget = Budget::new(start);
        assert_eq!(spent(&budget, 0.2, start), 30, "of ten seconds");
        let tries = (1..=100).map(|second| start + Duration::from_secs(second));
        let later: usize = tries.map(|now| spent(&budget, 0.2, now)).sum();
        assert!((290..=310).contains(&later), "{later} in 100 s");
    }

    #[test]
    fn beyond_that_it_is_a_share_of_the_last_ten_seconds() {
        let start = Instant::now();
        let budget = Budget::new(start);
        for second in 0..60 {
            budget.requests(1000, start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(59);
        assert_eq!(spent(&budget, 0.2, now), 2030);
        assert_eq!(spent(&budget, 0.2, now), 0);
        assert_eq!(spent(&budget, 0.5, now), 3000, "another route allows more");
    }

    #[test]
    fn what_is_older_counts_no_more() {
        let start = Instant::now();
        let budget = Budget::new(start);
        budget.requests(1_000_000, start);
        for after in [10, 16, 17, 160] {
            let now = start + Duration::from_secs(after);
            assert!(spent(&budget, 1.0, now) <= 30, "after {after} s");
        }
    }

    #[test]
    fn workers_do_not_lose_each_others_counts() {
        let start = Instant::now();
        let budget = Budget::new(start);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| budget.requests(1, start)));
            }
        });
        assert_eq!(spent(&budget, 0.5, start), 2030);
    }
}
