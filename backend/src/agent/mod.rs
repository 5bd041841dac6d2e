//! The agent beside a server: it registers the server with switches, tells how it stands, and says
//! farewell when it ends. For direct return it also makes the host fit for it.
//!
//! Each switch has a task of its own ([`link`]), which connects again and again; what all of them
//! tell is one [`Standing`], which lies in a channel that remembers the last value. [`ready`] asks the
//! server whether it is fit, [`host`] is the host itself.

mod backoff;
mod foresight;
mod host;
mod link;
mod links;
mod load;
mod ready;
pub mod settings;

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

pub use self::foresight::foresee;
pub use self::host::{Direct, take_back};
use self::host::{Fitness, Host};
use self::links::{Links, News};
pub use self::settings::Settings;
use crate::protocol::message::Standing;

/// The service manager hears that the agent is there at the latest after so long: switches that are
/// away must not keep the host from starting. Nor is anything of dead agents kept for longer for a
/// switch that may want it.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For switches to take note of the farewell.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

/// Runs until `stop` is there; `say` tells the operator.
///
/// # Errors
/// What the agent cannot begin with, or could not take back at its end.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    say: impl Fn(&str),
) -> io::Result<()> {
    let mut stop = pin!(stop);
    let agent = format!("{}/{}", settings.pool, settings.name);
    let direct = settings.direct.as_ref();
    let host = direct
        .map(|direct| Host::open(direct, &agent))
        .transpose()?;
    let first = Standing {
        weight: settings.weight,
        ready: false,
        why: "it has not been asked yet".to_owned(),
        load: String::new(),
        holds: vec![],
    };
    let (server, _) = watch::channel(first.clone());
    let mut watching = pin!(ready::watch(&settings, &server));
    let mut asked = server.subscribe();
    // Whoever comes back says at once how it stands: a restart of the agent changes nothing.
    tokio::select! {
        () = &mut watching => {}
        _ = asked.changed() => {}
        () = &mut stop => return Ok(()),
    }
    let mut own = Place {
        host,
        fitness: Fitness::default(),
        told: watch::Sender::new(first),
    };
    own.look(&server.borrow());
    let mut life = Life {
        links: Links::start(&settings, &own.told),
        own,
        say,
        started: false,
    };
    life.live(watching, server.subscribe(), stop).await;
    life.end().await
}

/// What the agent has while it lives.
struct Life<S> {
    links: Links,
    own: Place,
    say: S,
    started: bool,
}

/// The server and its host, together.
struct Place {
    host: Option<Host>,
    fitness: Fitness,
    /// What switches hear.
    told: watch::Sender<Standing>,
}

impl<S: Fn(&str)> Life<S> {
    async fn live(
        &mut self,
        mut watching: Pin<&mut impl Future<Output = ()>>,
        mut server: watch::Receiver<Standing>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) {
        let mut late = pin!(tokio::time::sleep(START_LIMIT));
        let mut waits = true;
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = &mut watching => {}
                () = &mut late, if waits => {
                    waits = false;
                    self.start();
                    self.own.tidy_up();
                    self.look(&server);
                }
                Some(news) = self.links.next() => {
                    self.hear(&news);
                    self.look(&server);
                }
                Ok(()) = server.changed() => self.look(&server),
                () = changed(self.own.host.as_ref()) => self.look(&server),
            }
        }
    }

    fn hear(&mut self, news: &News) {
        (self.say)(&news.to_string());
        if let News::Accepted {
            switch,
            accepted,
            at,
            own,
        } = news
        {
            if let Some(host) = &mut self.own.host {
                host.learn(switch, *at, *own, accepted);
            }
            self.start();
            if self.links.are_complete() {
                self.own.tidy_up();
            }
        }
        let _ = sd_notify::notify(&[NotifyState::Status(&self.links.summary())]);
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    fn look(&mut self, server: &watch::Receiver<Standing>) {
        let before = self.own.fitness.why.clone();
        self.own.look(&server.borrow());
        match self.own.fitness.why.as_str() {
            why if *why == before => {}
            "" => (self.say)("the host is fit for direct return"),
            why => (self.say)(&format!("the host is not fit for direct return: {why}")),
        }
    }

    async fn end(mut self) -> io::Result<()> {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        (self.say)("says farewell");
        self.links.say_farewell();
        let released = self.links.released(&self.say);
        let _ = tokio::time::timeout(FAREWELL_LIMIT, released).await;
        let ended = match self.own.host {
            Some(host) => {
                host.drained().await;
                host.end()
            }
            None => Ok(()),
        };
        self.links.end().await;
        ended
    }
}

impl Place {
    fn tidy_up(&mut self) {
        if let Some(host) = &mut self.host {
            host.tidy_up();
        }
    }

    fn look(&mut self, server: &Standing) {
        if let Some(host) = &mut self.host {
            self.fitness = host.apply();
            if !host.knows() {
                self.fitness.why = "no switch has said yet what it serves".to_owned();
            }
        }
        self.tell(server);
    }

    /// Both have to be fit.
    fn tell(&self, server: &Standing) {
        let mut standing = server.clone();
        standing.holds.clone_from(&self.fitness.holds);
        if standing.ready && !self.fitness.why.is_empty() {
            standing.ready = false;
            standing.why = ready::printable(&self.fitness.why);
        }
        self.told.send_if_modified(|told| {
            let differs = *told != standing;
            *told = standing;
            differs
        });
    }
}

async fn changed(host: Option<&Host>) {
    match host {
        Some(host) => host.changed().await,
        None => std::future::pending().await,
    }
}
