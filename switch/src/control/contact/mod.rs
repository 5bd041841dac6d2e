//! The contact address: the one address that clients keep, whichever switch answers at it.
//!
//! A thread of its own (`keeper`) does everything: it elects the holder of each group
//! ([`election`]) with the other members by VRRP ([`vrrp`]) and with other switches like this one
//! over sessions and heartbeats (`mesh`, [`peer`]), puts addresses on interfaces ([`host`]), tells
//! the neighbours ([`announce`]), and lets open connections outlive a handover ([`relay`],
//! `ghosts`).

pub mod announce;
mod command;
pub mod desk;
pub mod election;
pub mod exchange;
mod fitness;
mod ghosts;
pub mod group;
pub mod host;
mod keeper;
mod member;
mod mesh;
pub mod peer;
mod place;
pub mod plan;
pub mod relay;
mod routed;
pub mod status;
pub mod vrrp;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use command::{Command, Commands, commands};
pub use command::{Inheritance, PlanDesk};
use desk::ContactParts;
use exchange::Exchange;
use keeper::Keeper;
use plan::Plan;
use status::Board;

use crate::control::direct::mirror::Mirror;
use crate::metrics::Hub;
use crate::shared::quotas::Used;
use crate::sys::realtime;

/// The rest of this switch as the contact plane sees it. Nothing here may take long: heartbeats
/// wait for it.
pub trait Traffic: Send + Sync {
    /// Whether the first checks of backends are over, and the process is not about to end.
    fn is_ready(&self) -> bool;
    /// Whether clients can connect.
    fn listens(&self) -> bool;
    /// How long the most delayed worker has not turned.
    fn pulse(&self) -> Duration;
    /// Pools of which a backend is up.
    fn pools_up(&self) -> u32;
    /// Clients are asked to leave within this time, new ones are served as ever.
    fn ask_to_leave(&self, grace: Duration);
    /// Connections whose address on this side is one of these, as last counted; `None` while that
    /// is not known. Asking has them counted, elsewhere.
    fn connections_at(&self, addresses: &[IpAddr]) -> Option<usize>;
    /// Changes whenever the keys of TLS tickets do.
    fn ticket_version(&self) -> u64;
    /// The keys of TLS tickets.
    fn ticket_keys(&self) -> Vec<String>;
    /// Takes over another switch's keys of TLS tickets.
    fn adopt_ticket_keys(&self, keys: &[String]);
    /// Clients that have used up much of their rates.
    fn quotas(&self, now: Instant) -> Vec<Used>;
    /// What clients have used up elsewhere.
    fn merge_quotas(&self, clients: &[Used]);
}

/// What the contact plane starts with.
pub struct Setup {
    /// What the policy asks for.
    pub plan: Plan,
    /// The rest of this switch.
    pub traffic: Arc<dyn Traffic>,
    /// Where direct return tells of connections.
    pub mirror: Arc<Mirror>,
    /// The metrics.
    pub hub: Arc<Hub>,
    /// Another process serves, with which this one is to go on.
    pub succeeds: bool,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("plan", &self.plan)
            .field("succeeds", &self.succeeds)
            .finish_non_exhaustive()
    }
}

/// The contact plane, seen from outside of its thread.
#[derive(Debug)]
pub struct Contacts {
    commands: Commands,
    parts: ContactParts,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Contacts {
    /// Opens everything and starts the thread. It takes no part before [`Contacts::begin`].
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub fn start(setup: Setup) -> Result<Self, String> {
        let of = |error: std::io::Error| format!("contact: {error}");
        let (commands, inbox) = commands().map_err(of)?;
        let waker = commands.clone();
        let (desk, orders) = desk::desk(move || waker.wake());
        let plans = PlanDesk::new(commands.clone());
        let board = Arc::new(Board::new(""));
        let exchange = Arc::new(Exchange::default());
        let keeper = Keeper::new(setup, inbox, orders, board.clone(), exchange.clone())?;
        let shown = board.clone();
        let thread = std::thread::Builder::new()
            .name("contact".to_owned())
            .spawn(move || {
                shown.set_scheduling(realtime::raise().word());
                keeper.run();
            })
            .map_err(of)?;
        Ok(Self {
            commands,
            parts: ContactParts {
                board,
                desk,
                plans,
                exchange,
            },
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Where orders are handed in and the state is read.
    pub fn parts(&self) -> &ContactParts {
        &self.parts
    }

    /// Joins the groups, and goes on as the holder of those that were inherited.
    pub fn begin(&self, inheritance: Inheritance) {
        self.commands.send(Command::Begin(inheritance));
    }

    /// Hands everything over and waits until that is done: a second at most, as a rule. Connections
    /// that are open go on until [`Contacts::end`].
    pub fn leave(&self) {
        let _ = self.commands.ask(Command::Leave);
    }

    /// Lets another process go on with the roles.
    pub fn bequeath(&self) -> Inheritance {
        self.commands.ask(Command::Bequeath).unwrap_or_default()
    }

    /// Takes everything off the network, unless another process goes on with it, and ends the
    /// thread.
    pub fn end(&self) {
        self.commands.send(Command::End);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // Its panic has ended the process already.
            let _ = thread.join();
        }
    }
}

impl Drop for Contacts {
    fn drop(&mut self) {
        self.end();
    }
}
