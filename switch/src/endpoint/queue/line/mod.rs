//! The order in which those who wait are called: the decisions alone, no I/O.
//!
//! Whoever waits longest is called first, as long as waits are short. Once the first in line has
//! waited for half of its patience, more comes than can be served: then the last one is called
//! first, for it is the one whose answer still comes in time (adaptive LIFO: Maurer, "Fail at
//! scale", ACM Queue 13(8), 2015). The old ones run out of patience, or are called when it is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Those who wait. `W` is what wakes one.
#[derive(Debug)]
pub struct Line<W> {
    next: u64,
    calls: u64,
    called: usize,
    /// Calls that were of use to nobody: each may stand for a place that is free still.
    spare: usize,
    waiters: BTreeMap<u64, Waiter<W>>,
}

#[derive(Debug)]
struct Waiter<W> {
    since: Instant,
    patience: Duration,
    /// How many calls there had been when it last looked for a place.
    looked: u64,
    is_called: bool,
    /// It looks for a place in answer to a call that was of use to nobody before.
    has_spare: bool,
    waker: Option<W>,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            next: 0,
            calls: 0,
            called: 0,
            spare: 0,
            waiters: BTreeMap::new(),
        }
    }
}

impl<W> Line<W> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// How many of them are called.
    pub fn called(&self) -> usize {
        self.called
    }

    /// One more waits for so long, unless that would be more than `size`. With its number comes
    /// whether it should look for a place itself at once: nobody who came before is about to.
    pub fn join(&mut self, size: usize, patience: Duration, now: Instant) -> Option<(u64, bool)> {
        if self.waiters.len() >= size {
            return None;
        }
        let number = self.next;
        self.next += 1;
        if self.waiters.is_empty() {
            self.spare = 0;
        }
        let has_spare = self.spare > 0;
        self.spare -= usize::from(has_spare);
        let waiter = Waiter {
            since: now,
            patience,
            looked: 0,
            is_called: false,
            has_spare,
            waker: None,
        };
        self.waiters.insert(number, waiter);
        Some((number, has_spare || self.called == 0))
    }

    /// A place is free: who is to be woken.
    pub fn call(&mut self, now: Instant) -> Option<W> {
        self.calls += 1;
        self.pass_on(now)
    }

    /// Whether this one is called; if not, `waker` wakes it when it is.
    pub fn is_called(&mut self, number: u64, waker: impl FnOnce() -> W) -> bool {
        let Some(waiter) = self.waiters.get_mut(&number) else {
            return true;
        };
        // It has looked in vain: the call is there for others.
        self.spare += usize::from(std::mem::take(&mut waiter.has_spare));
        match waiter.is_called {
            // It looks after this: what becomes free from now on it may not see.
            true => waiter.looked = self.calls,
            false => waiter.waker = Some(waker()),
        }
        waiter.is_called
    }

    /// The call was of no use to this one: it goes on waiting, and another one is called that has not
    /// looked since a place was free. That may be itself.
    pub fn called_in_vain(&mut self, number: u64, now: Instant) -> Option<W> {
        let waiter = self.waiters.get_mut(&number)?;
        if !std::mem::take(&mut waiter.is_called) {
            return None;
        }
        self.called -= 1;
        self.pass_on(now)
    }

    /// One waits no longer. Unless it has `found` a place because it was called, somebody else gets
    /// its call.
    pub fn leave(&mut self, number: u64, found: bool, now: Instant) -> Option<W> {
        let waiter = self.waiters.remove(&number)?;
        if !waiter.is_called {
            return None;
        }
        self.called -= 1;
        match found {
            true => None,
            false => self.pass_on(now),
        }
    }

    /// Calls the next one that has not looked since the last call. If there is none, the next one to
    /// join is to look.
    fn pass_on(&mut self, now: Instant) -> Option<W> {
        let chosen = self.choose(now);
        self.spare += usize::from(chosen.is_none());
        let waiter = self.waiters.get_mut(&chosen?)?;
        waiter.is_called = true;
        self.called += 1;
        waiter.waker.take()
    }

    fn choose(&self, now: Instant) -> Option<u64> {
        let open =
            |(_, waiter): &(&u64, &Waiter<W>)| !waiter.is_called && waiter.looked < self.calls;
        let (first, waiter) = self.waiters.iter().find(open)?;
        let waited = now.saturating_duration_since(waiter.since);
        match waited > waiter.patience / 2 {
            false => Some(*first),
            true => self.waiters.iter().rfind(open).map(|(last, _)| *last),
        }
    }
}

#[cfg(test)]
mod tests;
