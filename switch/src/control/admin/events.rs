//! `GET /events`: what has happened, and with `follow=yes` what happens from now on, one JSON
//! object per line.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::content::{Answer, Content};
use super::site::text;
use super::{Phase, ended, query};
use crate::control::journal::{Happening, Journal};

/// Who may follow at once.
const FOLLOWERS: usize = 16;
/// Events that are written at once.
const BATCH: usize = 64;
/// In silence an empty line tells that the connection stands.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A follower that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// The type of lines of JSON.
const LINES: &str = "application/x-ndjson";

/// Who follows.
#[derive(Debug, Clone)]
pub(super) struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS)))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Events from then on, RFC 3339.
    since: String,
    /// Events after the one of this number.
    after: u64,
    /// Those to come as well.
    pub(super) follow: bool,
}

impl Wish {
    /// `None` when it makes no sense.
    pub(super) fn read(query: &str) -> Option<Self> {
        let mut wish = Self::default();
        for (name, value) in query::pairs(query)? {
            match (name.as_str(), value.as_str()) {
                ("since", _) => wish.since = value,
                ("after", _) => wish.after = value.parse().ok()?,
                ("follow", "yes") => wish.follow = true,
                ("follow", "no") => wish.follow = false,
                _ => return None,
            }
        }
        Some(wish)
    }
}

/// Begins an answer; a task of its own goes on with it.
pub(super) fn answer(
    journal: &Journal,
    wish: Wish,
    followers: &Followers,
    phases: watch::Receiver<Phase>,
) -> Answer {
    let Ok(place) = followers.0.clone().try_acquire_owned() else {
        let why = format!("{FOLLOWERS} others read the events already\n");
        return text(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(tell(journal.clone(), wish, sender, phases, place));
    let mut response = Answer::new(Content::Pieces(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell(
    journal: Journal,
    wish: Wish,
    sender: mpsc::Sender<Bytes>,
    mut phases: watch::Receiver<Phase>,
    _place: OwnedSemaphorePermit,
) {
    let mut news = journal.watch();
    let mut seen = wish.after;
    loop {
        news.mark_unchanged();
        let found = journal.after(seen, BATCH);
        let piece = match found.events.last() {
            Some(last) => {
                seen = last.seq;
                lines(found.missed, &found.events, &wish.since)
            }
            None if !wish.follow => return,
            None => tokio::select! {
                changed = news.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = tokio::time::sleep(HEARTBEAT) => "\n".to_owned(),
                () = sender.closed() => return,
                _ = ended(&mut phases) => return,
            },
        };
        if piece.is_empty() {
            continue;
        }
        let taken = timeout(PATIENCE, sender.send(Bytes::from(piece))).await;
        if !matches!(taken, Ok(Ok(()))) {
            return;
        }
    }
}

fn lines(missed: u64, events: &[Arc<Happening>], since: &str) -> String {
    let mut text = String::new();
    if missed > 0 {
        let gap = Happening::warning("missed", format!("{missed} events are missing here"))
            .about("missed", missed.to_string());
        line(&mut text, &gap);
    }
    let wanted = events.iter().filter(|event| event.at.as_str() >= since);
    wanted.for_each(|event| line(&mut text, event));
    text
}

fn line(text: &mut String, event: &Happening) {
    if let Ok(json) = serde_json::to_string(event) {
        *text += &json;
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::control::journal::CAPACITY;

    fn journal(events: usize) -> Journal {
        let journal = Journal::default();
        for n in 0..events {
            journal.note(Happening::info("test", n.to_string()));
        }
        journal
    }

    fn events(text: &[u8]) -> Vec<Happening> {
        let lines = std::str::from_utf8(text).expect("it is text").lines();
        let lines = lines.filter(|line| !line.is_empty());
        let event = |line| serde_json::from_str(line).expect("each line is an event");
        lines.map(event).collect()
    }

    fn begin(journal: &Journal, query: &str) -> (Answer, watch::Sender<Phase>) {
        let (sender, phases) = watch::channel(Phase::Serves);
        let wish = Wish::read(query).expect("it makes sense");
        let answer = answer(journal, wish, &Followers::default(), phases);
        (answer, sender)
    }

    #[tokio::test]
    async fn without_follow_the_answer_ends_with_the_last_event() {
        let (answer, _phases) = begin(&journal(BATCH * 2 + 1), "after=3");
        let all = answer.into_body().collect().await.expect("it is whole");
        let events = events(&all.to_bytes());
        assert_eq!((events.len(), events[0].seq), (BATCH * 2 - 2, 4));
    }

    #[tokio::test]
    async fn a_follower_hears_of_what_happens_and_of_what_it_has_missed() {
        let journal = journal(1);
        let (answer, phases) = begin(&journal, "follow=yes");
        let mut body = answer.into_body();
        let mut next = async || {
            let frame = body.frame().await?.expect("it cannot fail");
            Some(events(&frame.into_data().expect("data")))
        };
        assert_eq!(next().await.expect("the first")[0].text, "0");
        journal.note(Happening::info("test", "new"));
        assert_eq!(next().await.expect("the next")[0].text, "new");
        for n in 0..CAPACITY * 2 {
            journal.note(Happening::info("test", n.to_string()));
        }
        let found = next().await.expect("there are more");
        assert_eq!(found[0].event, "missed");
        assert_eq!(found[0].about["missed"], CAPACITY.to_string());
        assert_eq!(found[1].text, CAPACITY.to_string());
        phases.send_replace(Phase::Ends { handed_over: true });
        while next().await.is_some() {}
    }

    #[tokio::test]
    async fn followers_have_a_limit_and_leave_their_place() {
        let (journal, followers) = (journal(0), Followers::default());
        let (_sender, phases) = watch::channel(Phase::Serves);
        let follow = || {
            let wish = Wish::read("follow=yes").expect("it makes sense");
            answer(&journal, wish, &followers, phases.clone())
        };
        let mut all: Vec<_> = (0..FOLLOWERS).map(|_| follow()).collect();
        assert!(all.iter().all(|answer| answer.status() == 200));
        assert_eq!(follow().status(), 503);
        all.pop();
        while followers.0.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(follow().status(), 200);
    }

    #[test]
    fn a_wish_is_read_whole_or_not_at_all() {
        assert_eq!(Wish::read(""), Some(Wish::default()));
        assert!(Wish::read("after=7&follow=yes&since=2026").is_some());
        for query in ["after=x", "follow=1", "moon=full", "after"] {
            assert_eq!(Wish::read(query), None, "{query}");
        }
    }
}
