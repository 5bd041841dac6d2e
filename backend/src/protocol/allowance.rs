//! How much one side listens to.

use std::time::Instant;

/// Messages that may come at once.
const BURST: f64 = 50.0;
/// Messages per second that may come for as long as one likes.
const RATE: f64 = 10.0;

/// A token bucket: full at first.
#[derive(Debug)]
pub(super) struct Allowance {
    left: f64,
    at: Option<Instant>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            left: BURST,
            at: None,
        }
    }
}

impl Allowance {
    /// Takes one message off; whether it was there.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let before = self.at.replace(now).unwrap_or(now);
        let grown = now.saturating_duration_since(before).as_secs_f64() * RATE;
        self.left = (self.left + grown).min(BURST);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_ten_in_a_second() {
        let (mut allowance, start) = (Allowance::default(), Instant::now());
        let passed =
            |allowance: &mut Allowance, now| (0..200).filter(|_| allowance.take(now)).count();
        assert_eq!(passed(&mut allowance, start), 50);
        assert_eq!(passed(&mut allowance, start + Duration::from_secs(1)), 10);
        assert_eq!(passed(&mut allowance, start + Duration::from_secs(100)), 50);
        assert_eq!(
            passed(&mut allowance, start),
            0,
            "time that goes back gives nothing"
        );
    }
}
