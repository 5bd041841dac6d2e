//! The exchanges of one connection: futures that its task polls itself. Each has a waker of its own
//! that notes which one is to be polled, so that the task is woken once for many of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::super::Ended;
use super::stream::{FEW, Key};

type Exchange = Pin<Box<dyn Future<Output = Ended>>>;

/// The futures, each at its stream's place.
#[derive(Default)]
pub struct Exchanges {
    places: Vec<Place>,
    board: Arc<Board>,
    due: Vec<Key>,
}

struct Place {
    exchange: Option<Exchange>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Which exchanges are to be polled.
#[derive(Default)]
struct Board {
    state: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    due: Vec<Key>,
    task: Option<Waker>,
}

/// The waker of one place.
struct Bell {
    key: Key,
    rung: AtomicBool,
    board: Arc<Board>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut notes = self.board.lock();
        notes.due.push(self.key);
        if notes.due.len() == 1
            && let Some(task) = &notes.task
        {
            task.wake_by_ref();
        }
    }
}

impl Board {
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchanges {
    /// The task to wake when an exchange is to be polled.
    pub fn wakes(&self, task: &Waker) {
        let mut notes = self.board.lock();
        if !notes
            .task
            .as_ref()
            .is_some_and(|known| known.will_wake(task))
        {
            notes.task = Some(task.clone());
        }
    }

    /// Takes an exchange in; it is to be polled for the first time with [`Exchanges::poll`].
    pub fn insert(&mut self, key: Key, exchange: impl Future<Output = Ended> + 'static) {
        while self.places.len() <= key {
            let bell = Arc::new(Bell {
                key: self.places.len(),
                rung: AtomicBool::new(false),
                board: self.board.clone(),
            });
            self.places.push(Place {
                exchange: None,
                waker: Waker::from(bell.clone()),
                bell,
            });
        }
        self.places[key].exchange = Some(Box::pin(exchange));
    }

    /// Polls an exchange; how it ended, if it did.
    pub fn poll(&mut self, key: Key) -> Option<Ended> {
        let place = self.places.get_mut(key)?;
        place.bell.rung.store(false, Ordering::Release);
        let exchange = place.exchange.as_mut()?;
        match exchange
            .as_mut()
            .poll(&mut Context::from_waker(&place.waker))
        {
            Poll::Ready(ended) => {
                place.exchange = None;
                Some(ended)
            }
            Poll::Pending => None,
        }
    }

    /// Gives memory back when none is under way.
    pub fn rest(&mut self) {
        if self.places.len() > FEW && self.places.iter().all(|place| place.exchange.is_none()) {
            self.places = Vec::new();
        }
    }

    /// The next exchange that was woken.
    pub fn next_due(&mut self) -> Option<Key> {
        if self.due.is_empty() {
            // Two lists take turns: neither is allocated anew.
            std::mem::swap(&mut self.due, &mut self.board.lock().due);
            self.due.reverse();
        }
        self.due.pop()
    }
}
