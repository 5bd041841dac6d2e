//! What happens to one request while it is under way, with the time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::endpoint::Endpoint;
use crate::error::Reason;

/// Tries that are noted of one request at most; the policy allows far fewer.
const MOST: usize = 64;

/// The notes of one request. Its worker alone writes and reads them.
#[derive(Debug)]
pub struct Notes {
    /// When the head was complete.
    pub began: Instant,
    /// The same by the clock.
    pub wall: SystemTime,
    /// When a route took it.
    pub routed: Cell<Option<Instant>>,
    /// From when to when it waited for a backend with room.
    waits: RefCell<Vec<(Instant, Instant)>>,
    attempts: RefCell<Vec<Attempt>>,
}

/// One try at a backend.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The backend.
    pub endpoint: Arc<Endpoint>,
    /// The id of the span.
    pub span: u64,
    /// Whether another one was under way: a hedge.
    pub hedge: bool,
    /// When the backend was chosen.
    pub began: Instant,
    /// When there was a connection, and whether it had served before.
    pub connected: Option<(Instant, bool)>,
    /// When the head of the answer was there, and its status.
    pub answered: Option<(Instant, u16)>,
    /// Why there was no answer.
    pub failed: Option<Reason>,
    /// When it was over; `None`: its answer is being passed on.
    pub ended: Option<Instant>,
}

impl Notes {
    /// Nothing has happened yet.
    pub fn begin(began: Instant) -> Self {
        Self {
            began,
            wall: SystemTime::now(),
            routed: Cell::new(None),
            waits: RefCell::default(),
            attempts: RefCell::default(),
        }
    }

    /// It has waited for a backend with room since then.
    pub fn waited(&self, since: Instant) {
        let mut waits = self.waits.borrow_mut();
        if waits.len() < MOST {
            waits.push((since, Instant::now()));
        }
    }

    /// From when to when it waited.
    pub fn waits(&self) -> Vec<(Instant, Instant)> {
        self.waits.borrow().clone()
    }

    /// A try begins; with [`Attempting`] dropped before an answer, it was given up.
    pub fn attempt(&self, endpoint: &Arc<Endpoint>, span: u64, began: Instant) -> Attempting<'_> {
        let mut attempts = self.attempts.borrow_mut();
        // An answer that is not passed on was given up for this try.
        for before in attempts.iter_mut().filter(|one| one.answered.is_some()) {
            before.ended.get_or_insert(began);
        }
        let hedge = attempts.iter().any(|one| one.ended.is_none());
        if attempts.len() < MOST {
            attempts.push(Attempt {
                endpoint: endpoint.clone(),
                span,
                hedge,
                began,
                connected: None,
                answered: None,
                failed: None,
                ended: None,
            });
        }
        Attempting {
            notes: self,
            span,
            is_open: true,
        }
    }

    /// All tries so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.borrow().clone()
    }
}

/// A try that is under way.
#[derive(Debug)]
pub struct Attempting<'n> {
    notes: &'n Notes,
    span: u64,
    is_open: bool,
}

impl Attempting<'_> {
    /// There is a connection; whether it has served before.
    pub fn connected(&self, reused: bool) {
        self.write(|attempt| attempt.connected = Some((Instant::now(), reused)));
    }

    /// The head of the answer is there.
    pub fn answered(&mut self, status: u16) {
        self.is_open = false;
        self.write(|attempt| attempt.answered = Some((Instant::now(), status)));
    }

    /// There will be no answer.
    pub fn failed(&mut self, reason: Reason) {
        self.is_open = false;
        self.write(|attempt| {
            attempt.failed = Some(reason);
            attempt.ended = Some(Instant::now());
        });
    }

    fn write(&self, write: impl FnOnce(&mut Attempt)) {
        let mut attempts = self.notes.attempts.borrow_mut();
        if let Some(attempt) = attempts.iter_mut().find(|one| one.span == self.span) {
            write(attempt);
        }
    }
}

impl Drop for Attempting<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.write(|attempt| attempt.ended = Some(Instant::now()));
        }
    }
}
