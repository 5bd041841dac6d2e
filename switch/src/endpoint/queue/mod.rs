//! Who waits for a place at one of a pool's servers, of all workers: one line, so that whoever came
//! first is served first wherever it came, and nobody waits at one worker while another one gives a
//! place back. Nothing of it is touched while there is room.

mod line;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use self::line::Line;

/// The queue of one pool.
#[derive(Debug, Default)]
pub struct Queue {
    line: Mutex<Line<Waker>>,
    /// As many as stand in the line, and those of them that are called and have not come yet: to be
    /// read without the lock.
    waiting: AtomicUsize,
    called: AtomicUsize,
}

impl Queue {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Whether somebody is about to take a place that has become free: whoever comes now is not to
    /// be faster.
    pub fn is_calling(&self) -> bool {
        self.called.load(Relaxed) > 0
    }

    /// Waits from now on, for `patience` at most; `None` when `size` wait already. Whoever waits must
    /// look for a place once before it sleeps if the ticket says so.
    pub fn join(
        self: &Arc<Self>,
        size: usize,
        patience: Duration,
        now: Instant,
    ) -> Option<(Ticket, bool)> {
        let mut line = self.lock();
        let (number, looks) = line.join(size, patience, now)?;
        self.show(&line);
        drop(line);
        let ticket = Ticket {
            queue: self.clone(),
            number,
            found: false,
        };
        Some((ticket, looks))
    }

    /// So many places are free.
    pub fn call(&self, places: usize) {
        let now = Instant::now();
        for _ in 0..places.min(self.waiting()) {
            let mut line = self.lock();
            let waker = line.call(now);
            self.show(&line);
            drop(line);
            wake(waker);
        }
    }

    fn show(&self, line: &Line<Waker>) {
        self.waiting.store(line.len(), SeqCst);
        self.called.store(line.called(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Line<Waker>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line, given up when dropped.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
    found: bool,
}

impl Ticket {
    /// Ready once a place may be free: then look for one.
    pub fn poll_called(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self
            .queue
            .lock()
            .is_called(self.number, || cx.waker().clone())
        {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// There was no place that this one could take.
    pub fn called_in_vain(&self) {
        let mut line = self.queue.lock();
        let waker = line.called_in_vain(self.number, Instant::now());
        self.queue.show(&line);
        drop(line);
        wake(waker);
    }

    /// A place was found after a call.
    pub fn found(mut self) {
        self.found = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut line = self.queue.lock();
        let waker = line.leave(self.number, self.found, Instant::now());
        self.queue.show(&line);
        drop(line);
        wake(waker);
    }
}

/// Never under the lock: a waker may do whatever it likes.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
