//! `GET /live`: what the dashboard shows, as server-sent events.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::content::{Answer, Content};
use super::site::text;
use super::{Phase, ended};
use crate::control::journal::Journal;
use crate::control::live::{Live, VIEWERS, Viewer};

/// Events that are told at once.
const BATCH: usize = 64;
/// A viewer that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// Server-sent events (HTML, 9.2).
const STREAM: &str = "text/event-stream";

/// Begins an answer; a task of its own goes on with it.
pub(super) fn answer(live: &Live, journal: &Journal, phases: watch::Receiver<Phase>) -> Answer {
    let Some(viewer) = live.viewer() else {
        let why = format!("{VIEWERS} others watch already\n");
        return text(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(tell(viewer, journal.clone(), sender, phases, PATIENCE));
    let mut response = Answer::new(Content::Pieces(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy between must not wait for the end.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn tell(
    mut viewer: Viewer,
    journal: Journal,
    sender: mpsc::Sender<Bytes>,
    mut phases: watch::Receiver<Phase>,
    patience: Duration,
) {
    let mut news = journal.watch();
    let mut seen = *news.borrow_and_update();
    loop {
        let piece = tokio::select! {
            frame = viewer.next() => match frame {
                Some(frame) => frame,
                None => return,
            },
            changed = news.changed() => match changed {
                Ok(()) => happened(&journal, &mut seen),
                Err(_) => return,
            },
            () = sender.closed() => return,
            _ = ended(&mut phases) => return,
        };
        if !matches!(timeout(patience, sender.send(piece)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The events after `seen`. Those that are too many for once are missing in the numbers, and
/// `/events` has them.
fn happened(journal: &Journal, seen: &mut u64) -> Bytes {
    let found = journal.after(*seen, BATCH);
    let mut text = String::new();
    for event in &found.events {
        *seen = event.seq;
        if let Ok(json) = serde_json::to_string(&**event) {
            text += &format!("event: happened\ndata: {json}\n\n");
        }
    }
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::journal::Happening;

    #[tokio::test]
    async fn a_viewer_that_takes_nothing_is_let_go() {
        let (live, journal) = (Live::default(), Journal::default());
        let mut viewers: Vec<_> = (0..VIEWERS).filter_map(|_| live.viewer()).collect();
        let (sender, mut pieces) = mpsc::channel(1);
        let (_phase, phases) = watch::channel(Phase::Serves);
        let viewer = viewers.pop().expect("there is one");
        let patience = Duration::from_millis(50);
        let told = tokio::spawn(tell(viewer, journal.clone(), sender, phases, patience));
        tokio::task::yield_now().await;
        while !told.is_finished() {
            journal.note(Happening::info("test", "something"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(live.viewer().is_some(), "its place is free");
        assert!(pieces.recv().await.is_some() && pieces.recv().await.is_none());
    }
}
