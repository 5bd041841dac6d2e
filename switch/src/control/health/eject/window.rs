//! Shares of errors over a time that moves along.

use std::collections::VecDeque;

use pointsman_config::policy::ErrorRatio;

use crate::endpoint::EndpointId;

/// By how much a backend has to be worse than the others together: what fails everywhere is not
/// one backend's fault.
const WORSE: f64 = 2.0;

/// Requests that ended, and errors among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests and connections that ended.
    pub ended: u64,
    /// Those that failed.
    pub failed: u64,
}

impl Counts {
    fn since(self, before: Self) -> Self {
        Self {
            ended: self.ended.saturating_sub(before.ended),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            ended: self.ended.saturating_add(other.ended),
            failed: self.failed.saturating_add(other.failed),
        }
    }

    /// An error may be counted before its request has ended.
    fn share(self) -> f64 {
        match self.ended.max(self.failed) {
            0 => 0.0,
            all => self.failed as f64 / all as f64,
        }
    }
}

/// The counts of one backend as they were at the last looks.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Counts>);

impl Window {
    /// Takes the counts of now, and tells what has come since so many looks ago.
    pub(super) fn take(&mut self, now: Counts, looks: usize) -> Counts {
        self.0.push_back(now);
        while self.0.len() > looks + 1 {
            self.0.pop_front();
        }
        now.since(self.0.front().copied().unwrap_or(now))
    }
}

/// The place of the backend with the largest share of errors, if that is too large.
pub(super) fn worst(all: &[(EndpointId, Counts)], ratio: &ErrorRatio) -> Option<usize> {
    let total = all
        .iter()
        .fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
    let too_bad = |counts: Counts| {
        let enough = counts.ended.max(counts.failed) >= ratio.requests.max(1);
        let others = total.since(counts).share();
        enough
            && counts.failed > 0
            && counts.share() >= ratio.share
            && counts.share() > WORSE * others
    };
    let bad = (0..all.len()).filter(|place| too_bad(all[*place].1));
    bad.max_by(|one, other| {
        let share = |place: usize| all[place].1.share();
        share(*one).total_cmp(&share(*other))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HALF: ErrorRatio = ErrorRatio {
        share: 0.5,
        window: Duration::from_secs(5),
        requests: 20,
    };

    fn counts(ended: u64, failed: u64) -> Counts {
        Counts { ended, failed }
    }

    #[test]
    fn a_window_tells_what_has_come_since_its_first_look() {
        let mut window = Window::default();
        let seen = [10, 20, 40, 70].map(|ended| window.take(counts(ended, 0), 2).ended);
        assert_eq!(seen, [0, 10, 30, 50]);
    }

    #[test]
    fn the_worst_one_is_found_by_the_table() {
        type Case = (&'static [(u64, u64)], Option<usize>);
        let cases: &[Case] = &[
            (&[(100, 50), (100, 0)], Some(0)),
            (&[(100, 49), (100, 0)], None),
            (&[(19, 19), (100, 0)], None),
            (&[(20, 20), (100, 0)], Some(0)),
            // All are ill: none is worse than the rest.
            (&[(100, 60), (100, 60), (100, 60)], None),
            (&[(100, 60), (100, 20), (100, 20)], Some(0)),
            (&[(100, 60), (100, 90), (100, 0), (100, 0)], Some(1)),
            (&[(100, 60), (100, 0)], Some(0)),
            // Nobody else has had a request.
            (&[(100, 60), (0, 0)], Some(0)),
            // Counted before their requests ended.
            (&[(0, 30), (100, 0)], Some(0)),
            (&[(0, 0)], None),
            (&[], None),
        ];
        for (list, expected) in cases {
            let all: Vec<_> = (0..)
                .zip(*list)
                .map(|(id, &(ended, failed))| (id, counts(ended, failed)))
                .collect();
            assert_eq!(worst(&all, &HALF), *expected, "{list:?}");
        }
    }
}
