//! When an address is announced: often after a change, as frames get lost and switches of the
//! network learn slowly, then seldom, as a neighbour that missed them all must not stay wrong.

use std::time::{Duration, Instant};

/// After the change. More than RFC 4861, 7.2.6 asks for, and about what keepalived sends; the first
/// ones lie within the time that a client's lost segment waits to be sent again.
const STEPS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
const SHORTEST_REFRESH: Duration = Duration::from_millis(100);
const LONGEST_REFRESH: Duration = Duration::from_hours(24);

/// The times of one address's announcements.
#[derive(Debug, Clone)]
pub struct Burst {
    began: Instant,
    refresh: Duration,
    /// How many of [`STEPS`] are over.
    over: usize,
    deadline: Instant,
}

impl Burst {
    /// The address has just come here: the first announcement is due. Those after the burst are
    /// `refresh` apart, which is held to 100 ms to 24 h.
    pub fn begin(now: Instant, refresh: Duration) -> Self {
        Self {
            began: now,
            refresh: refresh.clamp(SHORTEST_REFRESH, LONGEST_REFRESH),
            over: 0,
            deadline: now,
        }
    }

    /// Whether an announcement is due; it is then taken as made, together with all that were missed
    /// before it.
    pub fn due(&mut self, now: Instant) -> bool {
        if now < self.deadline {
            return false;
        }
        let since = now.saturating_duration_since(self.began);
        self.over += STEPS[self.over..]
            .iter()
            .take_while(|step| **step <= since)
            .count();
        self.deadline = match STEPS.get(self.over) {
            Some(step) => self.began + *step,
            None => now + self.refresh,
        };
        true
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// The milliseconds after the beginning at which one was due, on time each.
    fn times(count: usize) -> Vec<u128> {
        let began = Instant::now();
        let mut burst = Burst::begin(began, MINUTE);
        let mut next = || {
            let now = burst.deadline();
            assert!(burst.due(now));
            assert!(!burst.due(now));
            (now - began).as_millis()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn it_begins_densely_and_goes_on_for_ever() {
        assert_eq!(
            times(11),
            [
                0, 1, 5, 20, 100, 500, 2_000, 5_000, 65_000, 125_000, 185_000
            ]
        );
    }

    #[test]
    fn announcements_that_were_missed_are_made_up_for_by_one() {
        let began = Instant::now();
        let mut burst = Burst::begin(began, MINUTE);
        let late = began + Duration::from_millis(30);
        assert!(burst.due(late));
        assert!(!burst.due(late));
        assert_eq!(burst.deadline(), began + Duration::from_millis(100));
        let very_late = began + MINUTE;
        assert!(burst.due(very_late));
        assert_eq!(burst.deadline(), very_late + MINUTE);
    }

    #[test]
    fn a_refresh_of_nothing_does_not_flood_the_network() {
        let began = Instant::now();
        let mut burst = Burst::begin(began, Duration::ZERO);
        assert!(burst.due(began + MINUTE));
        assert!(burst.deadline() > began + MINUTE);
        let mut burst = Burst::begin(began, Duration::MAX);
        assert!(burst.due(began + MINUTE));
    }
}
