//! What clients get from a backend, told to whoever ejects: errors in a row are counted where they
//! happen, and the control plane hears of them only when there are too many.

use std::sync::Arc;

use super::worker::Worker;
use crate::endpoint::Endpoint;
use crate::error::{Reason, Side};
use crate::event::Event;
use crate::pool::Pool;

/// The cause of errors that are answers.
const STATUS: &str = "status";

pub use crate::pool::is_failure as is_error;

/// An answer with such a status came.
pub fn answered_with_error(worker: &Worker, pool: &Pool, endpoint: &Arc<Endpoint>) {
    count(worker, pool, endpoint, STATUS);
}

/// No answer came, or not all of it. Reasons that are not the backend's say nothing of it, nor
/// does a kept connection that had ended.
pub fn failed(worker: &Worker, pool: &Pool, endpoint: &Arc<Endpoint>, reason: Reason) {
    if reason.side() == Side::Endpoint && reason != Reason::StaleConnection {
        count(worker, pool, endpoint, reason.word());
    }
}

fn count(worker: &Worker, pool: &Pool, endpoint: &Arc<Endpoint>, cause: &'static str) {
    let Some(most) = pool.errors else { return };
    let row = endpoint.errors.failed();
    // Told again while they go on: the pool may have had no room for one more to be out.
    if row.is_multiple_of(most) && !endpoint.is_ejected() {
        worker.events.send(Event::EndpointErrs {
            endpoint: endpoint.clone(),
            cause,
        });
    }
}
