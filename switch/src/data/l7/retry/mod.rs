//! Which backend a request is tried on next: the decisions alone, no I/O (RFC 9110 9.2.2).
//!
//! Another backend is tried when nothing of the request can have arrived, and for requests that
//! may be repeated also when something may have, as long as no byte of an answer came. No backend
//! is tried twice, but for one whose kept connection had ended: that says nothing of the backend,
//! so it gets the request once more on a new connection.

use std::sync::Arc;

use crate::balance::Tried;
use crate::endpoint::Endpoint;
use crate::error::{Reason, Side};

/// What holds for one request.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Backends that are tried at most; 0 means 1.
    pub backends: u32,
    /// Whether a backend may get the request though another may have got it, too.
    pub repeatable: bool,
    /// Whether the request belongs to one backend (hashing): it is tried there in earnest first.
    pub affine: bool,
}

/// A try that gave no answer.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// A byte of a response came.
    pub answered: bool,
    /// A byte of the request may have reached the backend.
    pub sent: bool,
    /// Content was taken from the client: it cannot be sent again.
    pub spent: bool,
}

impl Failure {
    /// No connection stood.
    pub fn unconnected(reason: Reason) -> Self {
        Self {
            reason,
            answered: false,
            sent: false,
            spent: false,
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Step {
    /// Try this backend.
    Try {
        /// Which one.
        endpoint: Arc<Endpoint>,
        /// Only on a new connection.
        fresh: bool,
    },
    /// There is nothing left to try.
    GiveUp(Reason),
}

/// The tries of one request.
#[derive(Debug)]
pub struct Retry {
    rules: Rules,
    tried: Tried,
    /// The last backend whose kept connection had ended: it was not tried in earnest.
    stale: Option<Arc<Endpoint>>,
    last: Reason,
    over: bool,
}

impl Retry {
    /// Nothing has been tried yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            tried: Tried::default(),
            stale: None,
            last: Reason::NoBackend,
            over: false,
        }
    }

    /// The next step; `pick` chooses a backend that was not tried.
    pub fn next(&mut self, pick: impl FnOnce(&Tried) -> Option<Arc<Endpoint>>) -> Step {
        if self.over {
            return Step::GiveUp(self.last);
        }
        if self.rules.affine
            && let Some(endpoint) = self.stale.take()
        {
            return Step::Try {
                endpoint,
                fresh: true,
            };
        }
        if self.tried.len() < self.rules.backends.max(1) as usize
            && let Some(endpoint) = pick(&self.tried)
        {
            self.tried.insert(endpoint.id);
            return Step::Try {
                endpoint,
                fresh: false,
            };
        }
        match self.stale.take() {
            Some(endpoint) => Step::Try {
                endpoint,
                fresh: true,
            },
            None => Step::GiveUp(self.last),
        }
    }

    /// Takes note of how the last try ended.
    pub fn failed(&mut self, endpoint: &Arc<Endpoint>, failure: &Failure) {
        self.last = failure.reason;
        self.over = !self.may_go_on(failure);
        if failure.reason == Reason::StaleConnection {
            self.stale = Some(endpoint.clone());
        }
    }

    fn may_go_on(&self, failure: &Failure) -> bool {
        let unanswered = failure.reason.side() == Side::Endpoint && !failure.answered;
        // A backend that is silent for so long may be at work on it still.
        let replayable = !failure.spent && failure.reason != Reason::Timeout;
        unanswered && replayable && (!failure.sent || self.rules.repeatable)
    }
}

#[cfg(test)]
mod tests;
