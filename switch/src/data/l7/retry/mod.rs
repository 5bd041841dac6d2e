//! Which backend a request is tried on next: the decisions alone, no I/O (RFC 9110 9.2.2).
//!
//! Another backend is tried when nothing of the request can have arrived, and for requests that
//! may be repeated also when something may have, as long as no byte of an answer came. No backend
//! is tried twice, but for one whose kept connection had ended: that says nothing of the backend,
//! so it gets the request once more on a new connection. What a policy says (`retry`) only narrows
//! that, or adds whole answers that are as good as none.

use std::sync::Arc;

use pointsman_config::policy::RetryOn;

use crate::balance::Tried;
use crate::endpoint::{Endpoint, EndpointId};
use crate::error::{Reason, Side};

/// What holds for one request.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// Backends that are tried at most; 0 means 1.
    pub backends: u32,
    /// Whether a backend may get the request though another may have got it, too.
    pub repeatable: bool,
    /// Whether the request belongs to one backend (hashing): it is tried there in earnest first.
    pub affine: bool,
    /// After which failures.
    pub on: &'r RetryOn,
    /// Whether each try has a time of its own: then a silent backend does not end them.
    pub per_try: bool,
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
    /// Pick a backend that was not tried; tell by [`Retry::chose`] or [`Retry::nobody`].
    Pick,
    /// Try this backend once more, on a new connection only.
    Again(Arc<Endpoint>),
    /// There is nothing left to try.
    GiveUp(Reason),
}

/// The tries of one request.
#[derive(Debug)]
pub struct Retry<'r> {
    rules: Rules<'r>,
    tried: Tried,
    /// The last backend whose kept connection had ended: it was not tried in earnest.
    stale: Option<Arc<Endpoint>>,
    last: Reason,
    /// The last try may have given a backend work.
    burdened: bool,
    over: bool,
}

impl<'r> Retry<'r> {
    /// Nothing has been tried yet.
    pub fn new(rules: Rules<'r>) -> Self {
        Self {
            rules,
            tried: Tried::default(),
            stale: None,
            last: Reason::NoBackend,
            burdened: false,
            over: false,
        }
    }

    /// The next step. `afford` is asked whether the pool's budget allows a try by which the request
    /// becomes work for more than one backend.
    pub fn next(&mut self, afford: impl FnOnce() -> bool) -> Step {
        if self.over {
            return Step::GiveUp(self.last);
        }
        if std::mem::take(&mut self.burdened) && !afford() {
            self.over = true;
            return Step::GiveUp(self.last);
        }
        if self.rules.affine
            && let Some(endpoint) = self.stale.take()
        {
            return Step::Again(endpoint);
        }
        match self.has_tries_left() {
            true => Step::Pick,
            false => self.nobody(self.last),
        }
    }

    /// Those that must not be picked.
    pub fn tried(&self) -> &Tried {
        &self.tried
    }

    /// A backend was picked.
    pub fn chose(&mut self, id: EndpointId) {
        self.tried.insert(id);
    }

    /// None could be picked, for this reason.
    pub fn nobody(&mut self, reason: Reason) -> Step {
        match self.stale.take() {
            Some(endpoint) => Step::Again(endpoint),
            None if self.tried.is_empty() => Step::GiveUp(reason),
            None => Step::GiveUp(self.last),
        }
    }

    /// Takes note of how the last try ended.
    pub fn failed(&mut self, endpoint: &Arc<Endpoint>, failure: &Failure) {
        self.last = failure.reason;
        self.over = !self.may_go_on(failure);
        self.burdened = failure.sent && failure.reason != Reason::StaleConnection;
        if failure.reason == Reason::StaleConnection {
            self.stale = Some(endpoint.clone());
        }
    }

    /// Whether another backend may be asked as well while a try is under way.
    pub fn may_hedge(&self) -> bool {
        !self.over && self.has_tries_left()
    }

    /// Whether an answer of this status is as good as none, so that the next step is to be taken;
    /// `spent` as in [`Failure`].
    pub fn is_refused(&mut self, status: u16, spent: bool) -> bool {
        let refused = self.rules.repeatable
            && !spent
            && self.has_tries_left()
            && self.rules.on.has_status(status);
        self.burdened = refused;
        refused
    }

    fn has_tries_left(&self) -> bool {
        self.tried.len() < self.rules.backends.max(1) as usize
    }

    fn may_go_on(&self, failure: &Failure) -> bool {
        let unanswered = failure.reason.side() == Side::Endpoint && !failure.answered;
        let replayable = !failure.spent && (!failure.sent || self.rules.repeatable);
        unanswered && replayable && self.is_wanted(failure.reason)
    }

    fn is_wanted(&self, reason: Reason) -> bool {
        let on = self.rules.on;
        match reason {
            Reason::ConnectRefused | Reason::ConnectTimeout | Reason::ConnectFailed => on.connect,
            // A backend that is silent for so long may be at work on it still.
            Reason::Timeout => on.timeout || self.rules.per_try,
            // That the connection had ended is nobody's failure.
            Reason::StaleConnection => true,
            _ => on.reset,
        }
    }
}

#[cfg(test)]
mod tests;
