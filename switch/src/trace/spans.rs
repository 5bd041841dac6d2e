//! Finished spans, and the queue on which they wait for their export.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::TraceId;

/// Spans that wait at most.
const MOST: usize = 4096;
/// With so many waiting, they are exported at once.
pub const BATCH: usize = 512;
/// Bytes of a text at most.
const TEXT: usize = 1024;

/// A finished span (OpenTelemetry).
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// Its own id; never 0.
    pub id: u64,
    /// The span that caused it; 0: none.
    pub parent: u64,
    /// Whose side it tells of.
    pub kind: Kind,
    /// The name; few different ones.
    pub name: String,
    /// `tracestate` as it came.
    pub state: String,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it, by the names of the semantic conventions.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened in it.
    pub events: Vec<(SystemTime, &'static str)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Span {
    /// The same with what is known of it; an error has its word in `error.type`.
    pub fn with(mut self, attributes: Vec<(&'static str, Value)>, error: Option<String>) -> Self {
        self.attributes = attributes;
        if let Some(error) = &error {
            self.attributes.push(("error.type", error.as_str().into()));
        }
        self.error = error;
        self
    }
}

/// Whose side a span tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that came.
    Server,
    /// A request that was sent.
    Client,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, of bounded length.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl Value {
    /// A text from bytes that a peer chose.
    pub fn text(bytes: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT)]).into_owned())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text.as_bytes())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Spans that wait for their export: one queue for the whole process. When it is full, the oldest
/// are dropped.
#[derive(Debug, Default)]
pub struct Spans {
    waiting: Mutex<VecDeque<Span>>,
    /// A batch is full.
    full: Notify,
    /// What became of them.
    pub figures: Figures,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Figures {
    /// Spans that the collector took.
    pub exported: AtomicU64,
    /// Spans for which there was no room.
    pub dropped: AtomicU64,
    /// Spans that the collector refused, or did not take in time.
    pub lost: AtomicU64,
    /// Exports that succeeded.
    pub exports: AtomicU64,
    /// Exports that failed.
    pub failures: AtomicU64,
}

impl Spans {
    /// Lays spans on the queue. The lock is held for moves of memory alone.
    pub fn push(&self, spans: impl IntoIterator<Item = Span>) {
        let mut waiting = self.waiting();
        waiting.extend(spans);
        let over = waiting.len().saturating_sub(MOST);
        if over > 0 {
            waiting.drain(..over);
            self.figures.dropped.fetch_add(over as u64, Relaxed);
        }
        let is_full = waiting.len() >= BATCH;
        drop(waiting);
        if is_full {
            self.full.notify_one();
        }
    }

    /// Takes so many of the oldest.
    pub fn take(&self, most: usize) -> Vec<Span> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Resolves when a batch may be full.
    pub async fn filled(&self) {
        self.full.notified().await;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64) -> Span {
        Span {
            trace: TraceId(1),
            id,
            parent: 0,
            kind: Kind::Server,
            name: "GET".to_owned(),
            state: String::new(),
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_them() {
        let spans = Spans::default();
        for id in 1..=MOST as u64 + 10 {
            spans.push([span(id)]);
        }
        assert_eq!(spans.len(), MOST);
        assert_eq!(spans.figures.dropped.load(Relaxed), 10);
        assert_eq!(spans.take(1)[0].id, 11);
        assert_eq!(spans.take(usize::MAX).len(), MOST - 1);
        assert!(spans.is_empty());
    }

    #[test]
    fn a_text_is_bounded_and_is_utf_8() {
        let Value::Text(text) = Value::text(&[b'a'; 5000]) else {
            panic!("no text");
        };
        assert_eq!(text.len(), TEXT);
        assert_eq!(Value::text(b"a\xff"), Value::Text("a\u{fffd}".to_owned()));
    }
}
