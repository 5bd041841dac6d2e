//! When to try again to reach a switch.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
/// Short enough for a switch that restarts to know all servers again before it serves.
const LONGEST: Duration = Duration::from_secs(1);
/// After a refusal: only an operator changes that.
const REFUSED: Duration = Duration::from_secs(5);

/// The pace of tries to reach one switch.
#[derive(Debug)]
pub(super) struct Backoff {
    random: u64,
    next: Duration,
}

impl Backoff {
    /// Equal seeds give equal waits.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            next: FIRST,
        }
    }

    /// After a session that was open for `open`; `None`: it did not come to that. 50 ms, 100 ms and
    /// so on up to a second, each changed by up to a fifth.
    pub(super) fn wait(&mut self, open: Option<Duration>) -> Duration {
        if open.is_some_and(|open| open >= LONGEST) {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        self.jittered(wait)
    }

    /// After a refusal.
    pub(super) fn refused(&mut self) -> Duration {
        self.next = FIRST;
        self.jittered(REFUSED)
    }

    fn jittered(&mut self, wait: Duration) -> Duration {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        wait.mul_f64(0.8 + 0.4 * unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_begin_anew_after_a_session_that_has_lasted() {
        let mut backoff = Backoff::new(1);
        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.wait(None).as_secs_f64() * 1000.0 / f64::from(expected);
            assert!((0.8..1.2).contains(&wait), "{wait} of {expected}");
        }
        let short = backoff.wait(Some(Duration::from_millis(1)));
        assert!(short >= Duration::from_millis(800), "{short:?}");
        let first = backoff.wait(Some(Duration::from_secs(60)));
        assert!(first <= Duration::from_millis(60), "{first:?}");
    }
}
