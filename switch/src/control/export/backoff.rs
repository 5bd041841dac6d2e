//! How long to wait after an export that failed.

use std::time::Duration;

use crate::control::random::SplitMix;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Waits that grow: a second, two, and so on up to a minute, each shortened by up to a half.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: SplitMix,
}

impl Backoff {
    /// The next wait. With `after`, what the collector asked for, it is no shorter than that, but for
    /// the longest.
    pub(super) fn next(&mut self, after: Option<Duration>) -> Duration {
        let half = self.next / 2;
        let part = self.random.next_u64() as f64 / u64::MAX as f64;
        let wait = half + half.mul_f64(part);
        self.next = (self.next * 2).min(LONGEST);
        wait.max(after.unwrap_or_default().min(LONGEST))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            next: FIRST,
            random: SplitMix::new(SplitMix::process_seed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_heed_the_collector() {
        let mut backoff = Backoff::default();
        let mut longest = FIRST;
        for _ in 0..10 {
            let wait = backoff.next(None);
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?}");
            longest = (longest * 2).min(LONGEST);
        }
        let mut backoff = Backoff::default();
        let asked = Duration::from_secs(7);
        assert_eq!(backoff.next(Some(asked)), asked);
        assert_eq!(backoff.next(Some(LONGEST * 9)), LONGEST);
    }
}
