//! Reloads: a signal, the admin interface or a changed file asks; the policy is read and put into
//! force, or everything stays as it is and the report says why.

use std::sync::Arc;

use pointsman_config::policy::Policy;
use sd_notify::NotifyState;
use tokio::sync::{mpsc, oneshot, watch};

use super::Listeners;
use super::journal::{Happening, Journal};
use super::reconcile::Desk;
use super::source::{Loaded, Refused, Source};
use super::watch::Watcher;
use crate::metrics::Hub;
use crate::shared::InCommon;

/// Requests that may wait; they are all served by one reload.
const CAPACITY: usize = 64;

/// How a reload ended: with this policy in force, or with the one before.
pub type Outcome = Result<Arc<Policy>, Refused>;

/// One who asks for a reload.
#[derive(Debug)]
pub struct Request {
    cause: &'static str,
    what: What,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// What is read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The policy and all that it names.
    Policy,
    /// The certificates of the policy in force: what was written into its file meanwhile waits.
    Certificates,
}

/// Asks for reloads.
#[derive(Debug, Clone)]
pub struct Reloads {
    requests: mpsc::Sender<Request>,
    last: watch::Receiver<Option<Outcome>>,
    in_force: watch::Receiver<Option<Arc<Policy>>>,
}

impl Reloads {
    /// Asks for a reload and does not wait. When many wait already, one of them will do.
    pub fn ask(&self, cause: &'static str) {
        self.ask_for(What::Policy, cause);
    }

    /// Has the certificates of the policy in force read anew, and nothing else.
    pub fn ask_for_certificates(&self) {
        self.ask_for(What::Certificates, "certificates have changed");
    }

    fn ask_for(&self, what: What, cause: &'static str) {
        let request = Request {
            cause,
            what,
            reply: None,
        };
        let _ = self.requests.try_send(request);
    }

    /// How the last reload ended, if there was one.
    pub fn last(&self) -> Option<Outcome> {
        self.last.borrow().clone()
    }

    /// The policy that the last successful reload put into force.
    pub fn in_force(&self) -> Option<Arc<Policy>> {
        self.in_force.borrow().clone()
    }

    /// Tells of each policy that comes into force by a reload.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Policy>>> {
        self.in_force.clone()
    }

    /// Reloads.
    ///
    /// # Errors
    /// Why the policy did not come into force; the one before stays.
    pub async fn wait(&self, cause: &'static str) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            cause,
            what: What::Policy,
            reply: Some(reply),
        };
        self.requests
            .send(request)
            .await
            .map_err(|_| Refused::Ending)?;
        answer.await.map_err(|_| Refused::Ending)?
    }
}

/// The requests that wait, and where outcomes are told.
#[derive(Debug)]
pub struct Inbox {
    requests: mpsc::Receiver<Request>,
    last: watch::Sender<Option<Outcome>>,
    in_force: watch::Sender<Option<Arc<Policy>>>,
}

impl Inbox {
    /// The next request.
    pub async fn next(&mut self) -> Option<Request> {
        self.requests.recv().await
    }
}

/// A new channel of requests.
pub fn channel() -> (Reloads, Inbox) {
    let (sender, requests) = mpsc::channel(CAPACITY);
    let (last_sender, last) = watch::channel(None);
    let (in_force_sender, in_force) = watch::channel(None);
    let inbox = Inbox {
        requests,
        last: last_sender,
        in_force: in_force_sender,
    };
    (
        Reloads {
            requests: sender,
            last,
            in_force,
        },
        inbox,
    )
}

/// The task that reloads, one at a time.
#[derive(Debug)]
pub struct Worker {
    source: Source,
    load: fn(&Source, &InCommon) -> Result<Loaded, Refused>,
    renew: fn(Arc<Policy>, &InCommon) -> Result<Loaded, Refused>,
    in_force: Arc<Policy>,
    common: InCommon,
    desk: Desk,
    hub: Arc<Hub>,
    watched: Watched,
    journal: Journal,
}

/// Files that are watched.
#[derive(Debug)]
pub enum Watched {
    /// All that the policy is made of.
    All(Option<Watcher>),
    /// Its certificates alone.
    Certificates(Option<Watcher>),
}

impl Watched {
    fn follow(&mut self, loaded: &Loaded) {
        let (watcher, sources) = match self {
            Self::All(watcher) => (watcher, loaded.sources()),
            Self::Certificates(watcher) => (watcher, loaded.certificates()),
        };
        if let Some(watcher) = watcher {
            watcher.follow(&sources);
        }
    }
}

impl Worker {
    /// Reads from `source`, hands over at `desk`; `watched` is told of files that were added.
    pub fn new<L: Listeners>(
        (source, in_force): (Source, Arc<Policy>),
        common: InCommon,
        desk: Desk,
        hub: Arc<Hub>,
        watched: Watched,
        journal: Journal,
    ) -> Self {
        Self {
            source,
            load: Source::load::<L>,
            renew: Loaded::new::<L>,
            in_force,
            common,
            desk,
            hub,
            watched,
            journal,
        }
    }

    /// Runs until nobody can ask any more.
    pub async fn run(mut self, mut inbox: Inbox) {
        while let Some(first) = inbox.next().await {
            let mut together = vec![first];
            while let Ok(next) = inbox.requests.try_recv() {
                together.push(next);
            }
            let whole = together.iter().find(|one| one.what == What::Policy);
            let request = whole.unwrap_or(&together[0]);
            let outcome = self.reload(request.what, request.cause).await;
            if let Ok(policy) = &outcome {
                self.in_force = policy.clone();
                inbox.in_force.send_replace(Some(policy.clone()));
            }
            inbox.last.send_replace(Some(outcome.clone()));
            for reply in together.into_iter().filter_map(|request| request.reply) {
                let _ = reply.send(outcome.clone());
            }
        }
    }

    async fn reload(&mut self, what: What, cause: &'static str) -> Outcome {
        tracing::info!(cause, "reloading");
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
        }
        let outcome = self.replace(what).await;
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        self.hub.reload(outcome.is_ok());
        match &outcome {
            Ok(policy) if !policy.warnings.is_empty() => {
                tracing::warn!("warnings:\n{}", policy.warnings.render_text(false));
            }
            Ok(_) => {}
            Err(refused) => {
                let why = refused.render(false);
                tracing::error!("nothing was changed, the policy before stays:\n{why}");
                let event = Happening::warning("reload-refused", why);
                self.journal.note(event.about("cause", cause));
            }
        }
        outcome
    }

    async fn replace(&mut self, what: What) -> Outcome {
        let (load, source, common) = (self.load, self.source.clone(), self.common.clone());
        let (renew, in_force) = (self.renew, self.in_force.clone());
        let loaded = tokio::task::spawn_blocking(move || match what {
            What::Policy => load(&source, &common),
            What::Certificates => renew(in_force, &common),
        });
        let loaded = loaded.await.map_err(|_| Refused::Ending)??;
        self.watched.follow(&loaded);
        self.desk.apply(loaded).await
    }
}
