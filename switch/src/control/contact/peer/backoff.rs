//! When to try again to open a session.

use std::time::Duration;

use crate::control::random::SplitMix;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// So much of a wait is random, so that switches that have lost each other do not meet again and
/// again at the same moment.
const JITTER: f64 = 0.4;

/// The pace of tries to reach one peer.
#[derive(Debug)]
pub struct Backoff {
    random: SplitMix,
    next: Duration,
}

impl Backoff {
    /// Equal seeds give equal waits.
    pub fn new(seed: u64) -> Self {
        Self {
            random: SplitMix::new(seed),
            next: FIRST,
        }
    }

    /// How long to wait before the next try, after a session that was open for `open`; `None`: it
    /// did not come to that. The first waits are 50 ms, 100 ms and so on up to 2 s, each changed by
    /// up to a fifth; there is none after a session that has lasted.
    pub fn wait(&mut self, open: Option<Duration>) -> Duration {
        // One that ends as soon as it is open must not make a busy loop.
        if open.is_some_and(|open| open >= LONGEST) {
            self.next = FIRST;
            return Duration::ZERO;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        self.random.jittered(wait, JITTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_with_a_fifth_of_jitter() {
        let mut backoff = Backoff::new(1);
        for expected in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = backoff.wait(None).as_secs_f64() * 1000.0 / f64::from(expected);
            assert!((0.8..1.2).contains(&wait), "{wait} of {expected}");
        }
    }

    #[test]
    fn after_a_session_that_has_lasted_the_next_try_is_at_once_and_only_that_one() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.wait(None);
        }
        assert_eq!(backoff.wait(Some(Duration::from_secs(60))), Duration::ZERO);
        let wait = backoff.wait(None);
        assert!((40..=60).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn sessions_that_end_as_soon_as_they_are_open_are_tried_ever_more_slowly() {
        let mut backoff = Backoff::new(1);
        let waits = (0..10).map(|_| backoff.wait(Some(Duration::from_millis(1))));
        assert!(waits.sum::<Duration>() > Duration::from_secs(7));
    }
}
