//! What the data plane tells the control plane: a bounded channel, and nothing on it is worth
//! waiting for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::endpoint::Endpoint;
use crate::error::Reason;

/// Events that may be under way; more are dropped and counted.
pub const CAPACITY: usize = 1024;

/// One thing that happened on the data plane.
#[derive(Debug, Clone)]
pub enum Event {
    /// A backend could not be reached or broke off.
    EndpointFailed {
        /// The backend.
        endpoint: Arc<Endpoint>,
        /// How.
        reason: Reason,
    },
    /// As many errors in a row as the policy lets a backend have, or as many again.
    EndpointErrs {
        /// The backend.
        endpoint: Arc<Endpoint>,
        /// The last error: a reason's word, or `status`.
        cause: &'static str,
    },
}

/// The workers' end.
#[derive(Debug, Clone)]
pub struct Sender {
    channel: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Sender {
    /// Hands the event over; drops it when the control plane lags behind.
    pub fn send(&self, event: Event) {
        if self.channel.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the events of all senders of this channel that were dropped.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }
}

/// A new channel.
pub fn channel() -> (Sender, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (
        Sender {
            channel: sender,
            dropped: Arc::default(),
        },
        receiver,
    )
}
