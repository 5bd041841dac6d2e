//! How much a server may have under way, and who is told when there is room again.

use std::sync::atomic::fence;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::Queue;
use super::gradient::{Gradient, Window};

/// No limit.
const NONE: u32 = u32::MAX;
/// A window of answers has as many at least, and lasts so long; or [`PATIENT`] with fewer.
const ANSWERS: u32 = 50;
const SHORT: u64 = 100;
/// Milliseconds.
const PATIENT: u64 = 5000;

/// What the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// There is no limit.
    Unlimited,
    /// This many.
    Fixed(u32),
    /// What the answers teach, but never more than this many.
    Learned(u32),
}

/// The limit of one server.
#[derive(Debug)]
pub struct Limit {
    /// [`NONE`] where there is none. Writers: the reconciler; while it is learned, the workers, who
    /// hold the lock of `learned` then.
    most: AtomicU32,
    /// Who waits for a place; set together with the first limit.
    queue: OnceLock<Arc<Queue>>,
    is_learned: AtomicBool,
    learned: Mutex<Option<Learned>>,
    answers: Answers,
}

#[derive(Debug)]
struct Learned {
    most: u32,
    gradient: Gradient,
}

/// The answers since the window began. Writers: the workers.
#[derive(Debug)]
struct Answers {
    epoch: Instant,
    /// Milliseconds since the epoch.
    since: AtomicU64,
    count: AtomicU32,
    refused: AtomicU32,
    micros: AtomicU64,
    peak: AtomicU32,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            most: AtomicU32::new(NONE),
            queue: OnceLock::new(),
            is_learned: AtomicBool::new(false),
            learned: Mutex::default(),
            answers: Answers {
                epoch: Instant::now(),
                since: AtomicU64::new(0),
                count: AtomicU32::new(0),
                refused: AtomicU32::new(0),
                micros: AtomicU64::new(0),
                peak: AtomicU32::new(0),
            },
        }
    }
}

impl Limit {
    /// For the reconciler alone: so much may be under way. Those who wait for more look again. What
    /// was learned stays while the policy stays.
    pub fn set(&self, most: Most, queue: &Arc<Queue>) {
        self.queue.get_or_init(|| queue.clone());
        let mut learned = self.learned.lock().unwrap_or_else(|held| held.into_inner());
        let now = match most {
            Most::Unlimited => NONE,
            Most::Fixed(most) => most,
            Most::Learned(most) => match learned.as_ref().filter(|known| known.most == most) {
                Some(known) => known.gradient.limit(),
                None => {
                    let gradient = Gradient::new(most, Instant::now());
                    learned.insert(Learned { most, gradient }).gradient.limit()
                }
            },
        };
        let is_learned = matches!(most, Most::Learned(_));
        if !is_learned {
            *learned = None;
        }
        self.is_learned.store(is_learned, Relaxed);
        self.change(now);
    }

    /// What may be under way, if there is a limit.
    pub fn get(&self) -> Option<u32> {
        Some(self.most.load(Relaxed)).filter(|most| *most != NONE)
    }

    /// An answer took so long while so many were under way; `refused`: by it, or by giving none, the
    /// server said that it could not. Costs one load where nothing is to be learned.
    pub(super) fn answered(&self, took: Duration, refused: bool, in_flight: u32) {
        if self.is_learned.load(Relaxed) {
            self.learn(took, refused, in_flight);
        }
    }

    fn learn(&self, took: Duration, refused: bool, in_flight: u32) {
        let answers = &self.answers;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        answers.micros.fetch_add(micros.min(1 << 40), Relaxed);
        answers.peak.fetch_max(in_flight, Relaxed);
        if refused {
            answers.refused.fetch_add(1, Relaxed);
        }
        let count = answers.count.fetch_add(1, Relaxed) + 1;
        let now = Instant::now();
        // Nobody waits here: whoever comes first does it.
        if answers.is_window(count, now)
            && let Ok(mut learned) = self.learned.try_lock()
            && let Some(Learned { gradient, .. }) = &mut *learned
            && let Some(window) = answers.take(now)
        {
            gradient.update(&window, now);
            self.change(gradient.limit());
        }
    }

    /// Whether there is room for one more beside so many.
    pub(super) fn has_room(&self, in_flight: u32) -> bool {
        in_flight < self.most.load(Relaxed)
    }

    /// Something under way has ended, and is not counted any more.
    pub(super) fn released(&self) {
        if self.most.load(Relaxed) == NONE {
            return;
        }
        // Whoever joins the line looks for room after that; one of the two sees the other.
        fence(SeqCst);
        if let Some(queue) = self.queue.get()
            && queue.waiting() > 0
        {
            queue.call(1);
        }
    }

    fn change(&self, most: u32) {
        let before = self.most.swap(most, SeqCst);
        if most > before
            && let Some(queue) = self.queue.get()
        {
            queue.call((most - before) as usize);
        }
    }
}

impl Answers {
    fn is_window(&self, count: u32, now: Instant) -> bool {
        let lasted = self.millis(now).saturating_sub(self.since.load(Relaxed));
        lasted >= PATIENT || count >= ANSWERS && lasted >= SHORT
    }

    /// Ends the window. What others count meanwhile may fall into this one or the next.
    fn take(&self, now: Instant) -> Option<Window> {
        let count = self.count.swap(0, Relaxed);
        let micros = self.micros.swap(0, Relaxed);
        let refused = self.refused.swap(0, Relaxed);
        let peak = self.peak.swap(0, Relaxed);
        self.since.store(self.millis(now), Relaxed);
        (count > 0).then(|| Window {
            count,
            mean: micros as f64 / 1e6 / f64::from(count),
            refused,
            peak,
        })
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_stays_while_the_policy_stays() {
        let (limit, queue) = (Limit::default(), Arc::default());
        assert_eq!(limit.get(), None);
        limit.set(Most::Learned(100), &queue);
        let first = limit.get().expect("a limit");
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(SHORT));
            (0..ANSWERS).for_each(|_| limit.answered(Duration::from_millis(10), false, 1000));
        }
        let grown = limit.get().expect("a limit");
        assert!(grown > first, "{first} {grown}");
        limit.set(Most::Learned(100), &queue);
        assert_eq!(limit.get(), Some(grown));
        limit.set(Most::Fixed(3), &queue);
        limit.answered(Duration::from_millis(10), false, first);
        assert_eq!(limit.get(), Some(3));
        limit.set(Most::Learned(100), &queue);
        assert_eq!(limit.get(), Some(first), "it begins anew");
        limit.set(Most::Unlimited, &queue);
        assert_eq!(limit.get(), None);
    }
}
