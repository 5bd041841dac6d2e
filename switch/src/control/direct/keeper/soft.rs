//! Changes of who gets what wait until connections that are just being made are known.
//!
//! The kernel does not remember a connection for its first segment, which anybody can send in any
//! number: it goes where the ring says, and so does the second one. A ring that changes in between would
//! send that to somebody who knows nothing of the first. So the kernel is asked to remember beginnings
//! for a second before a ring changes; a flood costs its entries during that second alone. A backend that
//! drains is passed over at once, and the ring follows; a death waits for nothing.

use std::time::{Duration, Instant};

use super::{Keeper, Network};
use crate::control::direct::face::Path;

/// For the first segments of a connection, one of which may be lost and sent again.
pub(super) const WARNING: Duration = Duration::from_secs(1);

/// How far the next change has come.
#[derive(Debug, Default)]
pub(super) struct Soft {
    /// Beginnings can be remembered: otherwise there is nothing to wait for.
    pub(super) able: bool,
    /// Since when beginnings are remembered.
    since: Option<Instant>,
    /// Something waits for it.
    wanted: bool,
    /// It may be done now.
    open: bool,
}

impl Soft {
    /// A pass begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.wanted = false;
        self.open = self.since.is_some_and(|since| now >= since + WARNING);
    }

    /// Whether a change that can wait may be made now.
    pub(super) fn may(&mut self) -> bool {
        let may = self.open || !self.able;
        self.wanted |= !may;
        may
    }
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// From now on, until nothing waits any more.
    pub(super) fn remember_beginnings(&mut self, now: Instant) {
        if self.soft.able && self.soft.since.is_none() {
            self.soft.since = Some(now);
            if let Err(error) = self.path.learn_beginnings(true) {
                self.trouble("beginnings of connections", error.to_string());
            }
        }
    }

    /// A pass is over: what waits has beginnings remembered, what is done needs it no more.
    pub(super) fn end_soft(&mut self, now: Instant) {
        if self.soft.wanted {
            self.remember_beginnings(now);
        } else if self.soft.since.take().is_some()
            && let Err(error) = self.path.learn_beginnings(false)
        {
            self.trouble("beginnings of connections", error.to_string());
        }
        if let Some(since) = self.soft.since {
            self.next = self.next.min(since + WARNING);
        }
    }
}
