//! Connections to a server that are open, used or not, where there may only be so many.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use tokio::sync::Notify;

use super::Endpoint;

/// No limit.
const NONE: u32 = u32::MAX;

/// The open connections of one server. Writers: the workers; of the limit: the reconciler.
#[derive(Debug)]
pub struct Open {
    most: AtomicU32,
    count: AtomicU32,
    /// Who waits for one to be closed.
    wanted: AtomicU32,
    /// Told to those who keep unused ones, when somebody waits.
    spare: Notify,
    /// Told to those who wait, when one is closed.
    closed: Notify,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            most: AtomicU32::new(NONE),
            count: AtomicU32::new(0),
            wanted: AtomicU32::new(0),
            spare: Notify::new(),
            closed: Notify::new(),
        }
    }
}

impl Open {
    /// For the reconciler alone: so many may be open. Those beyond a lower limit are closed when they
    /// have done what they are at.
    pub fn limit(&self, most: Option<u32>) {
        self.most.store(most.unwrap_or(NONE), SeqCst);
        self.closed.notify_waiters();
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.most.load(Relaxed) != NONE
    }

    /// Whether one that is not used should be closed rather than kept.
    pub fn is_short(&self) -> bool {
        self.wanted.load(SeqCst) > 0 || self.count.load(Relaxed) > self.most.load(Relaxed)
    }

    /// How many are open.
    pub fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Calls `give_up` whenever somebody waits, for as long as it is polled.
    pub async fn on_shortage(&self, give_up: impl Fn()) {
        loop {
            let mut spare = pin!(self.spare.notified());
            spare.as_mut().enable();
            if self.is_short() {
                give_up();
            }
            spare.await;
        }
    }

    fn try_count(&self) -> bool {
        let most = self.most.load(SeqCst);
        let more = |now| (now < most).then_some(now + 1);
        self.count.fetch_update(SeqCst, SeqCst, more).is_ok()
    }
}

/// One open connection, counted until it is dropped.
#[derive(Debug)]
pub struct Opened(Arc<Endpoint>);

impl Opened {
    /// Counts one more, as soon as that is within the limit. There is always something to wait for:
    /// what is under way is within the limit as well, so another worker keeps a connection unused.
    pub async fn count(endpoint: &Arc<Endpoint>) -> Self {
        let open = &endpoint.open;
        if !open.try_count() {
            // Boxed: what seldom happens must not make every request larger.
            Box::pin(open.counted_in_time()).await;
        }
        Self(endpoint.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let open = &self.0.open;
        open.count.fetch_sub(1, SeqCst);
        if open.wanted.load(SeqCst) > 0 {
            open.closed.notify_one();
        }
    }
}

impl Open {
    async fn counted_in_time(&self) {
        self.wanted.fetch_add(1, SeqCst);
        let _wanted = Wanted(self);
        loop {
            let mut closed = pin!(self.closed.notified());
            closed.as_mut().enable();
            if self.try_count() {
                return;
            }
            self.spare.notify_waiters();
            closed.await;
        }
    }
}

struct Wanted<'o>(&'o Open);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, SeqCst);
    }
}
