//! What the dashboard shows, as it changes: once a second, or more seldom where that would cost the
//! workers more than a hundredth of their time, one frame for all who watch, and none while nobody does. The same task fills the hour of [`History`].

pub mod frame;
pub mod shape;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use pointsman_config::policy::Policy;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::history::{History, STEP};
use super::reconcile::Desk;
use super::reload::Reloads;
use crate::metrics::Hub;
use frame::{Composer, Frame};
use window::Window;

/// Who may watch at once.
pub const VIEWERS: usize = 16;
/// Between two frames.
const BEAT: Duration = Duration::from_secs(1);
/// Of thousands of backends a frame takes its time, which is the workers' as well: it is rested for a
/// hundred times as long, but no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(4);

/// Where frames are published. Cheap to clone: all clones are the same one.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    frames: watch::Sender<Option<Arc<Frame>>>,
    places: Arc<Semaphore>,
    /// Somebody has begun to watch.
    begun: Notify,
}

/// One who watches.
#[derive(Debug)]
pub struct Viewer {
    frames: watch::Receiver<Option<Arc<Frame>>>,
    /// Of what it was told last.
    seen: Option<(u64, u64)>,
    _place: OwnedSemaphorePermit,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Inner {
            frames: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(VIEWERS)),
            begun: Notify::new(),
        }))
    }
}

impl Live {
    /// A place to watch from; `None` when all are taken.
    pub fn viewer(&self) -> Option<Viewer> {
        let place = self.0.places.clone().try_acquire_owned().ok()?;
        let mut frames = self.0.frames.subscribe();
        frames.mark_changed();
        self.0.begun.notify_one();
        Some(Viewer {
            frames,
            seen: None,
            _place: place,
        })
    }

    fn is_watched(&self) -> bool {
        self.0.places.available_permits() < VIEWERS
    }
}

impl Viewer {
    /// What the viewer has to be told next, as server-sent events: all of a frame at first, and
    /// whenever it has missed one. `None` when there will be nothing more.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.frames.changed().await.ok()?;
            let frame = self.frames.borrow_and_update().clone();
            let Some(frame) = frame else { continue };
            if frame.is_old() {
                // Of a time when somebody else watched.
                continue;
            }
            let told = frame.after(self.seen);
            self.seen = Some((frame.shape, frame.seq));
            return Some(told);
        }
    }
}

/// What frames are made of.
#[derive(Debug)]
pub struct Sources {
    /// The reconciler's.
    pub desk: Desk,
    /// The counters.
    pub hub: Arc<Hub>,
    /// Who knows the policy in force, once it is another one than the first.
    pub reloads: Reloads,
    /// The policy that the process began with.
    pub first: Arc<Policy>,
}

/// Runs until the process is about to end.
pub async fn run(live: Live, history: History, sources: Sources) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut window, mut composer) = (Window::new(STEP), Composer::default());
    let mut last: Option<Instant> = None;
    let mut rest = Duration::ZERO;
    loop {
        let rested = tokio::select! {
            _ = beat.tick() => rest,
            () = live.0.begun.notified() => BEAT / 2,
        };
        let (now, watched) = (Instant::now(), live.is_watched());
        let fresh = last.is_some_and(|last| now - last < rested.max(BEAT / 2));
        if !window.is_due(now) && (!watched || fresh) {
            continue;
        }
        let turn = window.take(now, sources.hub.sample());
        if let Some(points) = &turn.of_step {
            let at = SystemTime::now().duration_since(UNIX_EPOCH);
            history.record(at.map_or(0, |at| at.as_secs()), points);
        }
        if !watched {
            continue;
        }
        let Some(news) = sources.desk.news(composer.generation()).await else {
            return;
        };
        let policy = sources.reloads.in_force();
        let policy = policy.unwrap_or_else(|| sources.first.clone());
        let frame = composer.compose(news, &policy, &turn);
        live.0.frames.send_replace(Some(Arc::new(frame)));
        last = Some(now);
        rest = (now.elapsed() * 100).min(LONGEST_REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_have_a_limit_and_leave_their_place() {
        let live = Live::default();
        let mut all: Vec<_> = (0..VIEWERS).map(|_| live.viewer()).collect();
        assert!(all.iter().all(Option::is_some) && live.is_watched());
        assert!(live.viewer().is_none());
        all.pop();
        assert!(live.viewer().is_some());
        all.clear();
        assert!(!live.is_watched());
    }

    #[tokio::test]
    async fn a_viewer_that_has_missed_a_frame_is_told_everything_anew() {
        let live = Live::default();
        let mut viewer = live.viewer().expect("there is a place");
        let mut told = async |seq| {
            let frame = Frame::for_tests(1, seq);
            live.0.frames.send_replace(Some(Arc::new(frame)));
            let told = viewer.next().await.expect("there is a frame");
            String::from_utf8(told.to_vec()).expect("it is text")
        };
        assert_eq!(told(1).await, "SHAPE FULL");
        assert_eq!(told(2).await, "DELTA");
        assert_eq!(told(4).await, "FULL");
    }
}
