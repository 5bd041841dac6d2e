//! Direct return: services whose packets the kernel passes on, so that backends answer clients
//! themselves.
//!
//! [`plan`] says what is wanted, [`keeper`] makes the kernel do it, in a thread of its own; [`kernel`]
//! is the kernel's part. All of that begins when a policy has a direct pool for the first time, and
//! what it puts into the kernel outlives the process.

mod accept;
pub mod board;
pub mod clear;
mod detours;
pub mod face;
mod ids;
pub mod keeper;
pub mod kernel;
pub mod mirror;
pub mod needs;
mod pins;
pub mod plan;
pub mod source;
mod thread;
mod vias;
mod weights;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use pointsman_config::policy::{DirectProcess, Policy};

use self::board::Board;
use self::detours::Detours;
use self::face::Key;
use self::keeper::Keeper;
use self::kernel::{Capacity, Datapath};
use self::mirror::Mirror;
use self::pins::Hold;
use self::plan::Plan;
use self::thread::{Checks, Command, Desk, Looked, Turner};
use self::vias::Vias;
use super::contact::host::{Host, WayWatch};
use super::journal::{Happening, Journal};
use super::source::{Loaded, Refused};
use crate::metrics::Hub;

/// Direct return, seen from the rest of the control plane.
#[derive(Debug)]
pub struct Direct {
    settings: DirectProcess,
    hub: Arc<Hub>,
    succeeds: bool,
    board: Arc<Board>,
    vias: Arc<Vias>,
    mirror: Arc<Mirror>,
    journal: Mutex<Option<Journal>>,
    running: Mutex<Option<Running>>,
    /// What a former process may have left is gone.
    swept: Mutex<bool>,
}

#[derive(Debug)]
struct Running {
    desk: Desk,
    thread: JoinHandle<()>,
    hold: Hold,
}

impl Direct {
    /// Nothing begins yet. With `succeeds` another process serves until this one does.
    pub fn new(settings: DirectProcess, hub: Arc<Hub>, succeeds: bool) -> Arc<Self> {
        Arc::new(Self {
            settings,
            hub,
            succeeds,
            board: Arc::default(),
            vias: Arc::default(),
            mirror: Arc::default(),
            journal: Mutex::default(),
            running: Mutex::default(),
            swept: Mutex::default(),
        })
    }

    /// Of a process that has none.
    #[cfg(test)]
    pub fn idle() -> Arc<Self> {
        let settings = DirectProcess {
            pins: "/none".into(),
            connections: 1024,
        };
        Self::new(settings, Hub::new(1), false)
    }

    /// Where it is told from now on what happens.
    pub fn tell(&self, journal: Journal) {
        if let Some(running) = &*lock(&self.running) {
            running.desk.send(Command::Tell(journal.clone()));
        }
        *lock(&self.journal) = Some(journal);
    }

    /// How it stands.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// By which way backends are checked.
    pub fn vias(&self) -> &Vias {
        &self.vias
    }

    /// Connections that other switches are told of, and tell of.
    pub fn mirror(&self) -> &Arc<Mirror> {
        &self.mirror
    }

    /// Lets a policy be carried out where direct return may be impossible: pools that may be proxied
    /// then are. Gives back what is to be told about it.
    ///
    /// # Errors
    /// A pool is neither possible nor may be proxied: why, and what to do about it.
    pub fn settle(&self, loaded: &mut Loaded) -> Result<Vec<Happening>, Refused> {
        if !loaded.policy.is_direct() {
            return Ok(Vec::new());
        }
        let Err(why) = self.prepare(&loaded.policy) else {
            return Ok(Vec::new());
        };
        let policy = loaded.policy.as_ref().clone();
        let (policy, pools) = policy.proxied().map_err(|pools| {
            let pools = pools.join("`, `");
            Refused::Direct(format!(
                "direct return is not possible: {why} (pool `{pools}`; with fallback = \"proxy\" in \
                 a pool its connections are proxied instead)"
            ))
        })?;
        loaded.policy = Arc::new(policy);
        let told = pools.into_iter().map(|pool| {
            let text = format!("pool {pool} is proxied, direct return is not possible: {why}");
            Happening::warning("direct-fallback", text).about("pool", pool)
        });
        Ok(told.collect())
    }

    /// Another plan holds. Without any service everything is taken out of the kernel.
    pub fn want(&self, plan: Plan) {
        if !plan.services.is_empty() {
            if let Some(running) = &*lock(&self.running) {
                running.desk.send(Command::Want(Box::new(plan)));
            }
            return;
        }
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.desk.send(Command::Want(Box::new(plan)));
            running.end(false);
            *lock(&self.swept) = false;
            self.board.write(None);
            self.hub.set_direct(None);
        }
        let mut swept = lock(&self.swept);
        if !*swept {
            *swept = pins::sweep_own(&self.settings.pins).unwrap_or_else(|error| {
                tracing::debug!("{}: {error}", self.settings.pins.display());
                // It would be no better the next time.
                true
            });
        }
    }

    /// Who gets the packets of a client; `None`: nobody is there to be asked.
    pub fn lookup(&self, key: Key, client: SocketAddr) -> Option<Looked> {
        let running = lock(&self.running);
        let running = running.as_ref()?;
        running
            .desk
            .ask(|reply| Command::Lookup(key, client, reply))
    }

    /// Ends the thread. The kernel goes on; with `handed_over` another process goes on, too.
    pub fn end(&self, handed_over: bool) {
        if let Some(running) = lock(&self.running).take() {
            running.end(handed_over);
        }
    }

    /// Opens everything that is not open yet, and attaches what this policy's services need.
    fn prepare(&self, policy: &Policy) -> Result<(), String> {
        let mut running = lock(&self.running);
        if running.is_none() {
            *running = Some(self.open()?);
        }
        let Some(running) = &*running else {
            return Err(ENDED.to_owned());
        };
        let wishes = plan::wishes(policy);
        let prepared = running.desk.ask(|reply| Command::Prepare(wishes, reply));
        prepared.unwrap_or_else(|| Err(ENDED.to_owned()))
    }

    fn open(&self) -> Result<Running, String> {
        let pins = &self.settings.pins;
        let text = |error: io::Error| error.to_string();
        let hold = || Hold::take(pins, self.succeeds).map_err(|error| named(pins, &error));
        // Nothing of another process's may be touched.
        let before = match pins.exists() {
            true => Some(hold()?.ok_or_else(|| taken(pins))?),
            false => None,
        };
        let capacity = Capacity {
            connections: self.settings.connections,
            ..Capacity::default()
        };
        let path = Datapath::open(Some(pins), capacity).map_err(text)?;
        let hold = match before {
            Some(hold) => hold,
            None => hold()?.ok_or_else(|| taken(pins))?,
        };
        pins::mark(pins).map_err(|error| named(pins, &error))?;
        let last = u16::try_from(capacity.backends - 1).unwrap_or(u16::MAX);
        let watch = WayWatch::open().map_err(text)?;
        let net = Host::open().map_err(text)?;
        let keeper = Keeper::new(path, net, last, Instant::now()).map_err(text)?;
        let checks = Checks {
            host: Host::open().map_err(text)?,
            detours: Detours::new(pins),
            vias: self.vias.clone(),
            trouble: None,
        };
        let shown = (self.board.clone(), self.hub.clone(), checks);
        let (turner, desk) =
            Turner::new(keeper, watch, shown, self.mirror.clone()).map_err(text)?;
        if let Some(journal) = &*lock(&self.journal) {
            desk.send(Command::Tell(journal.clone()));
        }
        let thread = std::thread::Builder::new()
            .name("direct".to_owned())
            .spawn(move || turner.run())
            .map_err(text)?;
        Ok(Running { desk, thread, hold })
    }
}

const ENDED: &str = "the thread of direct return does not answer";

impl Running {
    fn end(self, handed_over: bool) {
        self.desk.send(Command::End(handed_over));
        // Its panic has ended the process already.
        let _ = self.thread.join();
        drop(self.hold);
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.end(false);
    }
}

fn taken(pins: &std::path::Path) -> String {
    let pins = pins.display();
    format!(
        "another switch on this host keeps its programs in {pins}: write another folder for this \
         one, such as direct = {{ pins = \"{pins}-2\" }} in [process]"
    )
}

fn named(path: &std::path::Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
