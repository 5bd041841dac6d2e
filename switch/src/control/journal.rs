//! What has happened, for people: a bounded ring of events, which `pointsman events` shows and
//! follows. Who reads never holds up who tells: a reader that is too slow finds that the ring has
//! gone on, and learns how many events it has missed.
//!
//! For the control plane alone: workers tell it what matters through `event.rs`, and the thread of
//! the contact addresses writes on its own board.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::clock::rfc3339;
use super::contact::status::{Board, ContactEvent};

/// Events that are kept.
pub const CAPACITY: usize = 1024;
/// Bytes of a message or of a field's value at most.
const MAX_TEXT: usize = 1024;
/// Fields of an event at most.
const MAX_FIELDS: usize = 16;

/// One event. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Happening {
    /// Counts the events of this switch, over upgrades too; from 1 on.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// The word for what happened, such as `backend-health`.
    pub event: String,
    /// `info`, or `warning` for what an operator should look at.
    pub level: String,
    /// In words.
    pub text: String,
    /// What it is about, such as `pool` and `backend`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub about: BTreeMap<String, String>,
}

impl Happening {
    /// Something to know.
    pub fn info(event: &str, text: impl Into<String>) -> Self {
        Self::new(event, "info", text.into())
    }

    /// Something to look at.
    pub fn warning(event: &str, text: impl Into<String>) -> Self {
        Self::new(event, "warning", text.into())
    }

    fn new(event: &str, level: &str, text: String) -> Self {
        Self {
            event: event.to_owned(),
            level: level.to_owned(),
            text: cut(text),
            ..Self::default()
        }
    }

    /// What it is about.
    pub fn about(mut self, key: &str, value: impl Into<String>) -> Self {
        if self.about.len() < MAX_FIELDS {
            self.about.insert(key.to_owned(), cut(value.into()));
        }
        self
    }
}

/// The ring. Cheap to clone: all clones are the same one.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Mutex<Ring>,
    /// The last event's number.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    kept: VecDeque<Arc<Happening>>,
}

/// What a reader finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Events that are gone and that it has not seen.
    pub missed: u64,
    /// The next ones, in order.
    pub events: Vec<Arc<Happening>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self(Arc::new(Inner {
            ring: Mutex::default(),
            last: watch::Sender::new(0),
        }))
    }
}

impl Journal {
    /// Writes an event down, and into the log.
    pub fn tell(&self, event: Happening) {
        if event.level == "warning" {
            tracing::warn!(event = event.event, "{}", event.text);
        } else {
            tracing::info!(event = event.event, "{}", event.text);
        }
        self.note(event);
    }

    /// Writes an event down; the log has it already, or need not have it.
    pub fn note(&self, event: Happening) {
        let mut ring = self.ring();
        ring.last += 1;
        let event = Happening {
            seq: ring.last,
            at: match event.at.is_empty() {
                true => rfc3339(SystemTime::now()),
                false => event.at,
            },
            ..event
        };
        if ring.kept.len() >= CAPACITY {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::new(event));
        let last = ring.last;
        drop(ring);
        self.0.last.send_replace(last);
    }

    /// The events after the one of this number, so many at most.
    pub fn after(&self, seq: u64, most: usize) -> Found {
        let ring = self.ring();
        let first = ring.kept.front().map_or(ring.last + 1, |event| event.seq);
        // A number from another life of the switch says nothing: then all are new.
        let seq = if seq > ring.last { 0 } else { seq };
        let begin = seq.saturating_add(1).max(first);
        let skip = usize::try_from(begin - first).unwrap_or(usize::MAX);
        Found {
            missed: if seq == 0 { 0 } else { begin - seq - 1 },
            events: ring.kept.iter().skip(skip).take(most).cloned().collect(),
        }
    }

    /// The last event's number, as it changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    /// Everything that is kept, for another process.
    pub fn export(&self) -> Vec<Happening> {
        let ring = self.ring();
        let kept = ring.kept.iter();
        kept.map(|event| Happening::clone(event)).collect()
    }

    /// Goes on with the events of another process, which come before all that was told here.
    pub fn inherit(&self, events: Vec<Happening>) {
        let mut ring = self.ring();
        let own = std::mem::take(&mut ring.kept);
        ring.last = 0;
        let surplus = (events.len() + own.len()).saturating_sub(CAPACITY);
        for event in events.into_iter().skip(surplus) {
            ring.last = event.seq.max(ring.last + 1);
            let seq = ring.last;
            ring.kept.push_back(Arc::new(Happening { seq, ..event }));
        }
        for event in own {
            ring.last += 1;
            let seq = ring.last;
            let event = Happening::clone(&event);
            ring.kept.push_back(Arc::new(Happening { seq, ..event }));
        }
        let last = ring.last;
        drop(ring);
        self.0.last.send_replace(last);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two looks at the board of the contact addresses.
const LOOK: Duration = Duration::from_millis(250);

/// Writes down what the thread of the contact addresses tells on its board, for as long as this is
/// polled. The thread itself must wait for nobody.
pub async fn pass_on(board: Arc<Board>, journal: Journal) {
    let mut last: Option<ContactEvent> = None;
    loop {
        let status = board.read();
        let known = |last: &ContactEvent| status.events.iter().rposition(|one| one == last);
        let new = last.as_ref().and_then(known).map_or(0, |place| place + 1);
        for event in &status.events[new..] {
            journal.note(of_contact(event));
        }
        last = status.events.last().cloned().or(last);
        tokio::time::sleep(LOOK).await;
    }
}

fn of_contact(event: &ContactEvent) -> Happening {
    let word = format!("contact-{}", event.event);
    let happening = Happening {
        at: event.at.clone(),
        ..Happening::info(&word, event.text.clone())
    };
    match &event.group {
        Some(group) => happening.about("group", group),
        None => happening,
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(events: usize) -> Journal {
        let journal = Journal::default();
        for n in 0..events {
            journal.note(Happening::info("test", n.to_string()));
        }
        journal
    }

    fn texts(found: &Found) -> Vec<&str> {
        found.events.iter().map(|one| one.text.as_str()).collect()
    }

    #[test]
    fn a_reader_gets_what_came_since_it_last_looked() {
        let journal = journal(3);
        assert_eq!(texts(&journal.after(0, 9)), ["0", "1", "2"]);
        assert_eq!(texts(&journal.after(2, 9)), ["2"]);
        assert_eq!(texts(&journal.after(0, 2)), ["0", "1"]);
        assert_eq!(journal.after(3, 9), Found::default());
    }

    #[test]
    fn a_reader_that_is_too_slow_learns_how_much_it_has_missed() {
        let journal = journal(CAPACITY + 10);
        let found = journal.after(4, 2);
        assert_eq!((found.missed, texts(&found)), (6, vec!["10", "11"]));
        assert_eq!(
            journal.after(0, 1).missed,
            0,
            "it has asked for what is kept"
        );
        assert_eq!(journal.after(0, usize::MAX).events.len(), CAPACITY);
    }

    #[test]
    fn a_new_process_goes_on_with_the_numbers_of_the_one_before() {
        let before = journal(5);
        let after = journal(1);
        after.inherit(before.export());
        let found = after.after(4, 9);
        let numbers: Vec<u64> = found.events.iter().map(|event| event.seq).collect();
        assert_eq!((numbers, texts(&found)), (vec![5, 6], vec!["4", "0"]));
        assert_eq!(*after.watch().borrow(), 6);
        let full = journal(CAPACITY);
        full.inherit(journal(CAPACITY).export());
        assert_eq!(full.export().len(), CAPACITY);
    }

    #[test]
    fn a_number_of_another_life_shows_everything() {
        assert_eq!(journal(2).after(77, 9).events.len(), 2);
    }

    #[tokio::test]
    async fn what_the_contact_thread_tells_is_written_down_once() {
        let (board, journal) = (Arc::new(Board::new("nice")), Journal::default());
        let tell = |text: &str| {
            board.tell(ContactEvent::now("takeover", None, text.to_owned()));
        };
        tell("one");
        let mut news = journal.watch();
        tokio::spawn(pass_on(board.clone(), journal.clone()));
        news.wait_for(|last| *last == 1).await.expect("it is there");
        tell("two");
        news.wait_for(|last| *last == 2).await.expect("it is there");
        let found = journal.after(0, 9);
        assert_eq!(texts(&found), ["one", "two"]);
        assert_eq!(found.events[0].event, "contact-takeover");
    }

    #[test]
    fn texts_are_bounded() {
        let event = Happening::info("test", "ü".repeat(MAX_TEXT)).about("key", "x".repeat(5000));
        assert!(event.text.len() < MAX_TEXT + 8 && event.about["key"].len() < MAX_TEXT + 8);
    }
}
