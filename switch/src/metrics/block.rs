//! Counters with one writer, and the blocks of them that belong to one route, backend, pool or
//! listener.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::label::{CODE_CLASSES, TLS_VERSIONS};
use crate::error::Reason;
use crate::trace::TraceId;

/// A counter that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The upper edges of the histograms, in nanoseconds.
pub(super) const EDGES: [u64; 13] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Durations by size.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Not cumulative; the last one is beyond every edge.
    buckets: [Counter; EDGES.len() + 1],
    /// Nanoseconds.
    sum: Counter,
    /// Made with the first one.
    exemplars: OnceLock<Box<Mutex<Exemplars>>>,
}

/// One observation for each bucket.
pub(super) type Exemplars = [Option<Exemplar>; EDGES.len() + 1];

/// An observation, and the trace that tells how it came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) took: Duration,
    pub(super) at: SystemTime,
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        self.count(took);
    }

    /// The same of a request whose trace is recorded.
    pub(super) fn record_traced(&self, took: Duration, trace: Option<TraceId>) {
        let place = self.count(took);
        if let Some(trace) = trace {
            self.exemplars()[place] = Some(Exemplar {
                trace,
                took,
                at: SystemTime::now(),
            });
        }
    }

    fn count(&self, took: Duration) -> usize {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let place = EDGES
            .iter()
            .position(|edge| nanos <= *edge)
            .unwrap_or(EDGES.len());
        self.buckets[place].add(1);
        self.sum.add(nanos);
        place
    }

    fn exemplars(&self) -> MutexGuard<'_, Exemplars> {
        let exemplars = self.exemplars.get_or_init(Box::default);
        exemplars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last exemplar of each bucket, if there is any.
    pub(super) fn shown(&self) -> Option<Exemplars> {
        self.exemplars.get()?;
        Some(*self.exemplars())
    }

    /// Counts at or below each edge, then all of them.
    pub(super) fn cumulative(&self) -> [u64; EDGES.len() + 1] {
        let mut below = 0;
        std::array::from_fn(|place| {
            below += self.buckets[place].get();
            below
        })
    }

    /// Seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum.get() as f64 / 1e9
    }

    /// Not cumulative.
    pub(super) fn buckets(&self) -> [u64; EDGES.len() + 1] {
        std::array::from_fn(|place| self.buckets[place].get())
    }

    /// The duration in seconds that the share `q` of the observations does not exceed, linear
    /// within a bucket; the last edge for those beyond it. `None` without observations.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        quantile(&self.cumulative(), q)
    }
}

/// [`Histogram::quantile`], from counts at or below each edge.
pub(super) fn quantile(cumulative: &[u64; EDGES.len() + 1], q: f64) -> Option<f64> {
    let all = cumulative[EDGES.len()];
    if all == 0 {
        return None;
    }
    let rank = q * all as f64;
    let place = cumulative.iter().position(|below| *below as f64 >= rank)?;
    let Some(upper) = EDGES.get(place) else {
        return EDGES.last().map(|edge| *edge as f64 / 1e9);
    };
    let (lower, below) = match place.checked_sub(1) {
        Some(last) => (EDGES[last], cumulative[last]),
        None => (0, 0),
    };
    let inside = (cumulative[place] - below) as f64;
    let share = if inside == 0.0 {
        1.0
    } else {
        (rank - below as f64) / inside
    };
    Some((lower as f64 + (upper - lower) as f64 * share) / 1e9)
}

/// What one route counts.
#[derive(Debug, Default)]
pub(super) struct RouteBlock {
    pub(super) started: Counter,
    pub(super) finished: Counter,
    pub(super) classes: [Counter; CODE_CLASSES.len()],
    pub(super) request_bytes: Counter,
    pub(super) response_bytes: Counter,
    pub(super) errors: Errors,
}

impl RouteBlock {
    /// Requests under way.
    pub(super) fn in_flight(&self) -> u64 {
        // The order keeps a request that ends meanwhile from being counted as ended only.
        let finished = self.finished.get();
        self.started.get().saturating_sub(finished)
    }
}

/// A counter for each reason, in the order of `Reason::ALL`.
#[derive(Debug)]
pub(super) struct Errors(pub(super) [Counter; Reason::ALL.len()]);

impl Default for Errors {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// What one backend counts.
#[derive(Debug, Default)]
pub(super) struct BackendBlock {
    pub(super) classes: [Counter; CODE_CLASSES.len()],
    pub(super) duration: Histogram,
    pub(super) connect: Histogram,
    /// The hub no longer reads this block. Writer: the hub.
    pub(super) retired: AtomicBool,
}

/// What one pool counts.
#[derive(Debug, Default)]
pub(super) struct PoolBlock {
    pub(super) retried: Counter,
    pub(super) retry_failed: Counter,
    pub(super) retry_refused: Counter,
    pub(super) hedges_won: Counter,
    pub(super) hedges_lost: Counter,
    pub(super) queued: Counter,
    pub(super) unqueued: Counter,
    pub(super) queue_timeouts: Counter,
    pub(super) queue_wait: Histogram,
}

impl PoolBlock {
    /// Requests that wait.
    pub(super) fn waiting(&self) -> u64 {
        let unqueued = self.unqueued.get();
        self.queued.get().saturating_sub(unqueued)
    }
}

/// What one listener counts.
#[derive(Debug, Default)]
pub(super) struct ListenerBlock {
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) refused_by_limit: Counter,
    pub(super) refused_by_overload: Counter,
    pub(super) ambiguous: Counter,
    pub(super) tls_done: [Counter; TLS_VERSIONS.len()],
    pub(super) tls_failed: [Counter; TLS_VERSIONS.len()],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
}

impl ListenerBlock {
    /// Connections that are open.
    pub(super) fn open(&self) -> u64 {
        let closed = self.closed.get();
        self.opened.get().saturating_sub(closed)
    }
}

/// Adding up the blocks of several shards.
pub(super) trait Merge: Default {
    /// Adds what `other` counted.
    fn merge(&self, other: &Self);
}

impl Merge for Counter {
    fn merge(&self, other: &Self) {
        self.add(other.get());
    }
}

impl Merge for Histogram {
    fn merge(&self, other: &Self) {
        merge_all(&self.buckets, &other.buckets);
        self.sum.merge(&other.sum);
        let Some(others) = other.shown() else { return };
        for (own, other) in self.exemplars().iter_mut().zip(others) {
            let at = |one: &Option<Exemplar>| one.map(|one| one.at);
            if at(&other) > at(own) {
                *own = other;
            }
        }
    }
}

impl Merge for RouteBlock {
    fn merge(&self, other: &Self) {
        self.finished.merge(&other.finished);
        self.started.merge(&other.started);
        merge_all(&self.classes, &other.classes);
        self.request_bytes.merge(&other.request_bytes);
        self.response_bytes.merge(&other.response_bytes);
        merge_all(&self.errors.0, &other.errors.0);
    }
}

impl Merge for BackendBlock {
    fn merge(&self, other: &Self) {
        merge_all(&self.classes, &other.classes);
        self.duration.merge(&other.duration);
        self.connect.merge(&other.connect);
    }
}

impl Merge for PoolBlock {
    fn merge(&self, other: &Self) {
        self.retried.merge(&other.retried);
        self.retry_failed.merge(&other.retry_failed);
        self.retry_refused.merge(&other.retry_refused);
        self.hedges_won.merge(&other.hedges_won);
        self.hedges_lost.merge(&other.hedges_lost);
        self.unqueued.merge(&other.unqueued);
        self.queued.merge(&other.queued);
        self.queue_timeouts.merge(&other.queue_timeouts);
        self.queue_wait.merge(&other.queue_wait);
    }
}

impl Merge for ListenerBlock {
    fn merge(&self, other: &Self) {
        self.closed.merge(&other.closed);
        self.opened.merge(&other.opened);
        self.refused_by_limit.merge(&other.refused_by_limit);
        self.refused_by_overload.merge(&other.refused_by_overload);
        self.ambiguous.merge(&other.ambiguous);
        merge_all(&self.tls_done, &other.tls_done);
        merge_all(&self.tls_failed, &other.tls_failed);
        self.bytes_in.merge(&other.bytes_in);
        self.bytes_out.merge(&other.bytes_out);
    }
}

fn merge_all(into: &[Counter], from: &[Counter]) {
    for (into, from) in into.iter().zip(from) {
        into.merge(from);
    }
}
