//! All switches together.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Settings;
use super::link::{Course, Link};
use crate::protocol::message::{Accepted, Standing};

/// News that may wait.
const CAPACITY: usize = 64;
/// For the last words to be written.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What happens at a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// The server is a member, or what holds for it is something else.
    Accepted {
        /// Where.
        switch: String,
        /// What holds.
        accepted: Accepted,
        /// The switch's address.
        at: IpAddr,
        /// The server's address, as it is registered there.
        own: IpAddr,
    },
    /// It is none there, or nobody knows.
    Lost {
        /// Where.
        switch: String,
        /// Why.
        trouble: String,
    },
    /// The switch sends nothing new.
    Released {
        /// Which.
        switch: String,
    },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { switch, .. } => write!(f, "registered with {switch}"),
            Self::Lost { switch, trouble } => write!(f, "not registered with {switch}: {trouble}"),
            Self::Released { switch } => write!(f, "{switch} sends nothing new"),
        }
    }
}

/// The sessions with all switches.
#[derive(Debug)]
pub(super) struct Links {
    tasks: JoinSet<()>,
    course: watch::Sender<Course>,
    news: mpsc::Receiver<News>,
    /// Every switch, and what it has accepted while it does.
    known: BTreeMap<String, Option<Accepted>>,
}

impl Links {
    /// Begins to connect to all of them.
    pub(super) fn start(settings: &Settings, standing: &watch::Sender<Standing>) -> Self {
        let (course, _) = watch::channel(Course::Serve);
        let (sender, news) = mpsc::channel(CAPACITY);
        let mut tasks = JoinSet::new();
        let seed = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = seed.map_or(0, |since| since.as_nanos() as u64) ^ u64::from(std::process::id());
        for (place, switch) in settings.switches.iter().enumerate() {
            let link = Link {
                switch: switch.clone(),
                settings: settings.clone(),
                standing: standing.subscribe(),
                course: course.subscribe(),
                news: sender.clone(),
                ends: ([0; 4].into(), [0; 4].into()),
            };
            tasks.spawn(link.run(seed.wrapping_add(place as u64)));
        }
        let known = settings
            .switches
            .iter()
            .map(|switch| (switch.clone(), None));
        Self {
            tasks,
            course,
            news,
            known: known.collect(),
        }
    }

    /// What happens next.
    pub(super) async fn next(&mut self) -> Option<News> {
        let news = self.news.recv().await?;
        match &news {
            News::Accepted {
                switch, accepted, ..
            } => {
                self.known.insert(switch.clone(), Some(accepted.clone()));
            }
            News::Lost { switch, .. } | News::Released { switch } => {
                self.known.insert(switch.clone(), None);
            }
        }
        Some(news)
    }

    /// For the service manager.
    pub(super) fn summary(&self) -> String {
        let known = self.known.values().flatten().count();
        format!("registered with {known} of {} switches", self.known.len())
    }

    /// The server takes nothing new.
    pub(super) fn say_farewell(&self) {
        self.course.send_replace(Course::Leave);
    }

    /// Whether every switch has told what holds.
    pub(super) fn are_complete(&self) -> bool {
        self.known.values().all(Option::is_some)
    }

    /// Waits until no switch sends anything new.
    pub(super) async fn released(&mut self, say: &impl Fn(&str)) {
        while self.known.values().any(Option::is_some) {
            match self.next().await {
                Some(news) => say(&news.to_string()),
                None => return,
            }
        }
    }

    /// Ends all sessions.
    pub(super) async fn end(mut self) {
        self.course.send_replace(Course::End);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(END_LIMIT, all).await;
    }
}
