//! What is kept of a request beyond its entry in metrics and log. Few have it, so that it lies apart:
//! what a request carries along makes its future larger, and that is copied.

use std::rc::Rc;
use std::time::Instant;

use super::Scene;
use super::head::RequestHead;
use super::record::Record;
use super::told::Watched;
use super::trace::Trace;
use crate::trace::{Notes, TraceId};

/// The trace that a request belongs to, and who will ask what became of it.
#[derive(Debug)]
pub struct Mark {
    /// Where requests are traced.
    pub trace: Option<Trace>,
    watched: Option<Watched>,
    /// What happens, where somebody will ask.
    pub notes: Option<Notes>,
}

impl Mark {
    /// That of a request whose head is complete now; `None`: it has none.
    #[inline]
    pub fn of(scene: &Scene<'_>, request: &RequestHead, now: Instant) -> Option<Rc<Self>> {
        let wanted = scene.snapshot.tracing.is_some() || scene.worker.traces.desk.expects();
        wanted.then(|| Self::make(scene, request, now)).flatten()
    }

    #[inline(never)]
    fn make(scene: &Scene<'_>, request: &RequestHead, now: Instant) -> Option<Rc<Self>> {
        let trace = Trace::begin(scene, request);
        let watched = Watched::claim(scene, request, now);
        let is_noted = watched.is_some() || trace.as_ref().is_some_and(|one| one.is_recorded);
        let mark = Self {
            notes: is_noted.then(|| Notes::begin(now)),
            trace,
            watched,
        };
        (mark.trace.is_some() || mark.watched.is_some()).then(|| Rc::new(mark))
    }

    /// The id by which metrics point at it: of a trace that is recorded.
    pub fn exemplar(&self) -> Option<TraceId> {
        let trace = self.trace.as_ref().filter(|trace| trace.is_recorded);
        trace.map(|trace| trace.id)
    }

    /// Leaves what is known in the end.
    pub fn finish(&self, scene: &Scene<'_>, request: &RequestHead, record: &Record<'_>) {
        let Some(notes) = &self.notes else { return };
        if let Some(trace) = self.trace.as_ref().filter(|trace| trace.is_recorded) {
            trace.finish(scene, request, record, notes);
        }
        if let Some(watched) = &self.watched {
            watched.tell(scene, request, record, notes);
        }
    }
}
