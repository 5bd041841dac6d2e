//! How often anything is looked up at most, all names together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one lookup to the next: 100 a second.
const STEP: Duration = Duration::from_millis(10);

/// Lets lookups pass one after the other.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for its turn.
    pub async fn turn(&self) {
        let at = self.reserve(Instant::now());
        tokio::time::sleep_until(at.into()).await;
    }

    /// When the next one may pass; it is taken.
    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + STEP);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_spread_and_a_pause_is_not_saved_up() {
        let (pace, now) = (Pace::default(), Instant::now());
        let turns: Vec<_> = (0..3).map(|_| pace.reserve(now) - now).collect();
        assert_eq!(turns, [Duration::ZERO, STEP, STEP * 2]);
        let later = now + Duration::from_secs(9);
        assert_eq!(pace.reserve(later), later);
        assert_eq!(pace.reserve(later), later + STEP);
    }
}
