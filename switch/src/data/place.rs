//! A place at one of a pool's backends; where none has room, one is waited for in the pool's queue.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::timer::Alarm;
use super::worker::Worker;
use crate::balance::Tried;
use crate::endpoint::{Endpoint, InFlight, Ticket};
use crate::error::Reason;
use crate::pool::Pool;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// A backend of this pool.
    pub pool: &'w Pool,
    /// This one and no other: when it has no room, that is waited for, unless nothing may wait.
    pub home: Option<&'w Arc<Endpoint>>,
    /// What is hashed, for pools that do.
    pub hash: Option<u64>,
    /// None of these.
    pub tried: &'w Tried,
}

impl Wanted<'_> {
    /// A place that is free now, and is nobody else's turn.
    ///
    /// # Errors
    /// Whether it is worth waiting for one.
    pub fn now(&self, worker: &Worker) -> Result<InFlight, bool> {
        let is_busy = self.pool.queue.is_some() && self.pool.lasting.queue.is_calling();
        let entered = match is_busy {
            true => None,
            false => self.free(worker),
        };
        entered.ok_or_else(|| self.pool.is_worth_waiting(self.tried))
    }

    /// A place that is free now.
    fn free(&self, worker: &Worker) -> Option<InFlight> {
        if let Some(home) = self.home {
            let entered = home.try_enter();
            if entered.is_some() || self.pool.queue.is_some_and(|queue| queue.size > 0) {
                return entered;
            }
        }
        worker.enter(self.pool, self.hash, self.tried)
    }

    /// As [`Wanted::wait`], boxed out of the sight of its caller: what seldom happens must not make
    /// every request larger.
    #[inline(never)]
    pub fn boxed_wait<'f>(
        &'f self,
        worker: &'f Worker,
        alarm: &'f Alarm,
        end: Option<Instant>,
        gone: impl FnMut(&mut Context<'_>) -> Poll<Reason> + 'f,
    ) -> Pin<Box<dyn Future<Output = Result<InFlight, Reason>> + 'f>> {
        Box::pin(self.wait(worker, alarm, end, gone))
    }

    /// Waits for a place, until `end` at the latest; `gone` tells when nobody wants it any more.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(
        &self,
        worker: &Worker,
        alarm: &Alarm,
        end: Option<Instant>,
        gone: impl FnMut(&mut Context<'_>) -> Poll<Reason>,
    ) -> Result<InFlight, Reason> {
        let queue = self.pool.queue.ok_or(Reason::NoBackend)?;
        let now = Instant::now();
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        let patience = queue.timeout.min(left);
        let line = &self.pool.lasting.queue;
        let Some((ticket, looks)) = line.join(queue.size, patience, now) else {
            return Err(Reason::QueueFull);
        };
        let shard = &worker.shard;
        let _queued = Queued(worker, self.pool.id, now);
        shard.queued(self.pool.id);
        if looks && let Some(entered) = self.free(worker) {
            return Ok(entered);
        }
        alarm.set(now, patience);
        let outcome = self.called(worker, &ticket, alarm, gone).await;
        alarm.clear();
        match outcome {
            Ok(entered) => {
                ticket.found();
                Ok(entered)
            }
            Err(None) if left <= queue.timeout => Err(Reason::TotalTimeout),
            Err(None) => {
                shard.queue_timeout(self.pool.id);
                Err(Reason::QueueTimeout)
            }
            Err(Some(reason)) => Err(reason),
        }
    }

    /// Resolves to a place once it is this one's turn; `Err(None)`: it took too long.
    async fn called(
        &self,
        worker: &Worker,
        ticket: &Ticket,
        alarm: &Alarm,
        mut gone: impl FnMut(&mut Context<'_>) -> Poll<Reason>,
    ) -> Result<InFlight, Option<Reason>> {
        poll_fn(|cx| {
            while ticket.poll_called(cx).is_ready() {
                if let Some(entered) = self.free(worker) {
                    return Poll::Ready(Ok(entered));
                }
                ticket.called_in_vain();
            }
            if let Poll::Ready(reason) = gone(cx) {
                return Poll::Ready(Err(Some(reason)));
            }
            alarm.poll_fired(cx).map(|()| Err(None))
        })
        .await
    }
}

/// Counts one that waits until it does so no longer.
struct Queued<'w>(&'w Worker, u32, Instant);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.shard.unqueued(self.1, self.2.elapsed());
    }
}
