//! The handle by which a running server is steered and watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// A handle on a [`super::Server`]; clones steer the same one.
#[derive(Debug, Clone)]
pub struct Control {
    stage: Arc<watch::Sender<Stage>>,
    healthy: Arc<AtomicBool>,
    /// The bits of the share of requests that fail.
    errors: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    /// Nanoseconds.
    delay: Arc<AtomicU64>,
}

impl Control {
    pub(super) fn new(delay: Duration, errors: f64) -> Self {
        let control = Self {
            stage: Arc::new(watch::Sender::new(Stage::Serving)),
            healthy: Arc::new(AtomicBool::new(true)),
            errors: Arc::new(AtomicU64::new(errors.to_bits())),
            requests: Arc::new(AtomicU64::new(0)),
            delay: Arc::default(),
        };
        control.set_delay(delay);
        control
    }

    /// Sets how long each answer is held back from now on.
    pub fn set_delay(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.delay.store(nanos, Ordering::Relaxed);
    }

    /// How long each answer is held back.
    pub fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay.load(Ordering::Relaxed))
    }

    /// Ends the server like a crash: the listener closes and every connection is reset.
    pub fn kill(&self) {
        self.advance(Stage::Killed);
    }

    /// Sets whether `/healthz` answers 200 or 503.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Whether `/healthz` answers 200.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Sets the share of requests that are answered with status 500, 0.0 to 1.0; `/healthz` is not
    /// one of them.
    pub fn set_errors(&self, share: f64) {
        let share = if share.is_nan() { 0.0 } else { share };
        let bits = share.clamp(0.0, 1.0).to_bits();
        self.errors.store(bits, Ordering::Relaxed);
    }

    pub(super) fn errors(&self) -> f64 {
        f64::from_bits(self.errors.load(Ordering::Relaxed))
    }

    /// Requests answered so far, health checks not counted.
    pub fn requests(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }

    /// Counts a request; the result is how many came before it.
    pub(super) fn count(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`Control::requests`].
    pub(super) fn served(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Moves to a stage, never back to an earlier one.
    pub(super) fn advance(&self, next: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = next > *stage;
            *stage = next.max(*stage);
            later
        });
    }

    /// Waits until nothing subscribes to the stage any more: every connection has ended.
    pub(super) async fn ended(&self) {
        self.stage.closed().await;
    }
}

/// Where the server is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connections are accepted.
    Serving,
    /// Requests in flight are ended, no new ones are taken.
    Draining,
    /// Connections are reset.
    Killed,
}

/// Kills the server when it is dropped, so that a dropped [`super::Server::run`] leaves nothing.
pub(super) struct KillOnDrop(Control);

impl KillOnDrop {
    pub(super) fn new(control: &Control) -> Self {
        Self(control.clone())
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}
