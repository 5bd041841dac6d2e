//! Whether the workers still turn: each one marks the time, whoever doubts looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a worker marks the time. A worker that has much to do is a turn of its event loop
/// later.
pub const BEAT: Duration = Duration::from_millis(40);

/// It has ended in order, and nobody waits for it.
const RETIRED: u64 = u64::MAX;

/// The pulses of all workers.
#[derive(Debug)]
pub struct Pulses {
    began: Instant,
    /// When each worker last marked the time, in milliseconds since the beginning. Its one writer
    /// is the worker.
    marks: Box<[AtomicU64]>,
}

impl Pulses {
    /// Of so many workers, all of which turn at this time.
    pub fn new(workers: usize, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            began: now,
            marks: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The pulse of the worker of that number.
    pub fn pulse(self: &Arc<Self>, worker: usize) -> Pulse {
        Pulse {
            pulses: self.clone(),
            worker,
        }
    }

    /// How long the most delayed worker has not turned. Up to [`BEAT`] means nothing. A worker that
    /// broke down counts for ever, one that ended in order does not.
    pub fn oldest(&self, now: Instant) -> Duration {
        let marks = self.marks.iter().map(|mark| mark.load(Ordering::Relaxed));
        let oldest = marks.filter(|mark| *mark != RETIRED).min();
        oldest.map_or(Duration::ZERO, |mark| {
            Duration::from_millis(self.millis(now).saturating_sub(mark))
        })
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(RETIRED - 1)
    }
}

/// The pulse of one worker.
#[derive(Debug)]
pub struct Pulse {
    pulses: Arc<Pulses>,
    worker: usize,
}

impl Pulse {
    /// The worker turns.
    pub fn mark(&self, now: Instant) {
        self.store(self.pulses.millis(now));
    }

    /// The worker ends in order: that it does not turn any more means nothing.
    pub fn retire(&self) {
        self.store(RETIRED);
    }

    fn store(&self, mark: u64) {
        if let Some(place) = self.pulses.marks.get(self.worker) {
            place.store(mark, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_most_delayed_worker_counts() {
        let start = Instant::now();
        let pulses = Pulses::new(3, start);
        assert_eq!(pulses.oldest(start + ms(10)), ms(10));
        for (worker, at) in [(0, 100), (1, 80), (2, 90)] {
            pulses.pulse(worker).mark(start + ms(at));
        }
        assert_eq!(pulses.oldest(start + ms(100)), ms(20));
        pulses.pulse(1).mark(start + ms(120));
        assert_eq!(pulses.oldest(start + ms(120)), ms(30));
    }

    #[test]
    fn a_worker_that_has_ended_in_order_counts_no_more() {
        let start = Instant::now();
        let pulses = Pulses::new(2, start);
        pulses.pulse(0).retire();
        assert_eq!(pulses.oldest(start + ms(50)), ms(50));
        pulses.pulse(1).retire();
        assert_eq!(pulses.oldest(start + ms(50)), Duration::ZERO);
    }

    #[test]
    fn a_look_from_before_the_mark_is_no_delay() {
        let start = Instant::now();
        let pulses = Pulses::new(1, start);
        pulses.pulse(0).mark(start + ms(500));
        assert_eq!(pulses.oldest(start + ms(400)), Duration::ZERO);
        assert_eq!(
            Pulses::new(0, start).oldest(start + ms(400)),
            Duration::ZERO
        );
    }
}
