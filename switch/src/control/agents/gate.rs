//! How many refusals are told: whoever makes many must not fill the journal.

use std::time::{Duration, Instant};

const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_secs(6);

/// Lets ten through at once, and one every six seconds.
#[derive(Debug, Default)]
pub(super) struct Gate {
    used: u32,
    /// Since when the count falls.
    since: Option<Instant>,
}

impl Gate {
    pub(super) fn lets_through(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let periods = now.saturating_duration_since(since).as_secs() / PERIOD.as_secs();
        if periods > 0 {
            let fallen = u32::try_from(periods).unwrap_or(u32::MAX);
            self.used = self.used.saturating_sub(fallen);
            self.since = Some(now);
        }
        let open = self.used < BURST;
        self.used += u32::from(open);
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_ten_times_and_then_seldom() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        let through = |gate: &mut Gate, now| (0..1000).filter(|_| gate.lets_through(now)).count();
        assert_eq!(through(&mut gate, start), 10);
        assert_eq!(through(&mut gate, start + PERIOD), 1);
        assert_eq!(through(&mut gate, start + PERIOD * 100), 10);
    }
}
