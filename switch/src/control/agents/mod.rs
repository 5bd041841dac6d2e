//! Where agents register servers (`[agents]`): sessions come in, lists of backends go out.
//!
//! [`roll`] is who is registered, [`terms`] is who may be; both without I/O. [`door`] lets
//! connections in, each of which is a task of [`session`], and [`source`] tells discovery what has
//! become of a pool. Strangers cost a bounded number of descriptors, for a bounded time.

mod door;
mod gate;
mod refusal;
mod roll;
mod services;
mod session;
mod source;
pub mod status;
mod terms;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pointsman_backend::protocol::message::{Register, Standing};
use pointsman_config::policy::{Backend, Policy};
use tokio::sync::watch;

use self::door::{Door, Doors, Guests};
use self::gate::Gate;
use self::refusal::Refusal;
use self::roll::{Entry, Roll, Ticket};
use self::terms::Terms;
use super::admin::Phase;
use super::journal::{Happening, Journal};
use crate::endpoint::{Address, clock};
use crate::metrics::Hub;
use crate::snapshot::SnapshotSource;

pub use self::source::Agents;

/// After the start, the first list of a pool waits for so long: agents that were registered before
/// come back within it.
const SETTLE: Duration = Duration::from_millis(1500);

/// Addresses that are bound and not yet listened at, and what will hold there.
#[derive(Debug, Default)]
pub struct Prepared {
    doors: Vec<Door>,
    terms: Option<Arc<Terms>>,
}

/// Who is registered. Cheap to clone: all clones are the same one.
#[derive(Debug, Clone)]
pub struct Registrar(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roll: Mutex<Roll>,
    /// Counts changes of the roll.
    changes: watch::Sender<u64>,
    terms: watch::Sender<Option<Arc<Terms>>>,
    stage: watch::Sender<Stage>,
    doors: Mutex<Doors>,
    guests: Arc<Guests>,
    gate: Mutex<Gate>,
    hub: Arc<Hub>,
    journal: Journal,
    snapshots: SnapshotSource,
}

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody is let in yet.
    Closed,
    /// Since then agents can register.
    Open(Instant),
    /// Another process goes on: agents are sent there.
    Moved,
}

/// Binds what the policy wants, beside what is open already (`registrar`).
///
/// # Errors
/// An address that cannot be listened at, and what to do about it.
pub fn prepare(policy: &Policy, registrar: Option<&Registrar>) -> Result<Prepared, String> {
    let Some(agents) = &policy.agents else {
        return Ok(Prepared::default());
    };
    let is_open = |door: &&_| registrar.is_some_and(|registrar| registrar.doors().has(door));
    let wanted = agents.listen.iter().filter(|bind| !is_open(bind));
    let doors = wanted.map(Door::bind).collect::<Result<_, _>>()?;
    Ok(Prepared {
        doors,
        terms: Terms::of(policy).map(Arc::new),
    })
}

impl Registrar {
    /// Nobody is registered, and no door is open.
    pub fn new(hub: Arc<Hub>, journal: Journal, snapshots: SnapshotSource) -> Self {
        Self(Arc::new(Inner {
            roll: Mutex::default(),
            changes: watch::Sender::new(0),
            terms: watch::Sender::new(None),
            stage: watch::Sender::new(Stage::Closed),
            doors: Mutex::default(),
            guests: Arc::default(),
            gate: Mutex::default(),
            hub,
            journal,
            snapshots,
        }))
    }

    /// What another process has known of a pool: those servers stay until their agents have had the
    /// time to come here.
    pub fn inherit(&self, pool: &str, backends: &[Backend]) {
        self.roll().seed(pool, backends);
    }

    /// Puts what was prepared into force. Doors that are not wanted any more close; sessions that the
    /// new terms do not allow end.
    pub fn commit(&self, prepared: Prepared) {
        let wanted = prepared.terms.as_ref().map(|terms| terms.listen());
        let open = matches!(*self.0.stage.borrow(), Stage::Open(_));
        {
            let mut doors = self.doors();
            doors.keep(wanted.unwrap_or_default());
            doors.add(prepared.doors);
            if open {
                doors.open(self);
            }
        }
        // First, so that a session whose server is off the roll knows why.
        self.0.terms.send_replace(prepared.terms.clone());
        let pools = |pool: &str| {
            let terms = prepared.terms.as_ref();
            terms.is_some_and(|terms| terms.takes(pool))
        };
        self.roll().retain_pools(pools);
        self.changed();
    }

    /// Follows the phases of the process, and takes off who does not come back. Never ends.
    pub async fn run(self, mut phases: watch::Receiver<Phase>) {
        let mut changes = self.0.changes.subscribe();
        loop {
            self.enter(*phases.borrow_and_update());
            let due = self.due();
            tokio::select! {
                Ok(()) = phases.changed() => {}
                Ok(()) = changes.changed() => {}
                () = until(due) => self.expire(Instant::now()),
            }
        }
    }

    fn enter(&self, phase: Phase) {
        let stage = *self.0.stage.borrow();
        match (phase, stage) {
            (Phase::Serves, Stage::Closed) => {
                let now = Instant::now();
                let grace = self.grace();
                self.roll().wait_for_seeds(now + grace.max(SETTLE));
                self.0.stage.send_replace(Stage::Open(now));
                self.doors().open(self);
                self.changed();
            }
            (Phase::Ends { handed_over: true }, Stage::Open(_) | Stage::Closed) => {
                self.doors().keep(&[]);
                self.0.stage.send_replace(Stage::Moved);
            }
            _ => {}
        }
    }

    /// When something changes by itself.
    fn due(&self) -> Option<Instant> {
        let settled = match *self.0.stage.borrow() {
            Stage::Open(since) if since.elapsed() < SETTLE => Some(since + SETTLE),
            // Whoever is sent away is missed by nobody here.
            Stage::Moved | Stage::Closed => return None,
            Stage::Open(_) => None,
        };
        settled.into_iter().chain(self.roll().deadline()).min()
    }

    fn expire(&self, now: Instant) {
        let gone = self.roll().expire(now);
        for (pool, name) in gone {
            let text = format!("{pool}/{name} is out: its agent has not come back");
            self.tell(Happening::warning("agent-gone", text), &pool, &name);
        }
        self.changed();
    }

    /// The backends of a pool; `None` while agents may still be on their way.
    fn list(&self, pool: &str) -> Option<Vec<Backend>> {
        let settled = match *self.0.stage.borrow() {
            Stage::Closed => false,
            Stage::Open(since) => since.elapsed() >= SETTLE,
            Stage::Moved => true,
        };
        let roll = self.roll();
        (settled || roll.is_seeded(pool)).then(|| roll.list(pool))
    }

    /// The roll has changed: whoever watches it looks.
    fn changed(&self) {
        self.0.hub.set_agents(self.roll().census());
        self.0.changes.send_modify(|count| *count += 1);
    }

    fn grace(&self) -> Duration {
        let terms = self.0.terms.borrow();
        terms.as_ref().map_or(Duration::ZERO, |terms| terms.grace())
    }

    fn register(&self, register: &Register, from: IpAddr) -> Result<Ticket, Refusal> {
        let (ticket, entry) = self.roll().register(register, from)?;
        let (pool, name) = (&register.pool, &register.name);
        self.0.hub.agent_registered(pool);
        let text = match entry {
            Entry::New => format!("{pool}/{name} has registered, from {from}"),
            Entry::Back => format!("{pool}/{name} is back, from {from}"),
        };
        self.tell(Happening::info("agent-registered", text), pool, name);
        self.weigh(register, &register.standing);
        self.changed();
        Ok(ticket)
    }

    fn update(&self, ticket: &Ticket, register: &Register, standing: Standing) {
        self.weigh(register, &standing);
        let (pool, name) = (&register.pool, &register.name);
        let turned = (!standing.ready).then(|| standing.why.clone());
        let Some(before) = self.roll().update(ticket, standing) else {
            return;
        };
        match (before, turned) {
            (true, Some(why)) => {
                let text = format!("{pool}/{name} is not ready: {why}");
                self.tell(Happening::warning("agent-not-ready", text), pool, name);
            }
            (false, None) => {
                let text = format!("{pool}/{name} is ready");
                self.tell(Happening::info("agent-ready", text), pool, name);
            }
            _ => {}
        }
        self.changed();
    }

    fn farewell(&self, ticket: &Ticket, register: &Register) {
        if self.roll().farewell(ticket) {
            let (pool, name) = (&register.pool, &register.name);
            let text = format!("{pool}/{name} says farewell: it gets nothing new");
            self.tell(Happening::info("agent-farewell", text), pool, name);
            self.changed();
        }
    }

    /// The session is over; `why`, unless there was a farewell or this process hands over.
    fn lose(&self, ticket: &Ticket, register: &Register, why: &str) {
        let grace = self.grace();
        let moved = *self.0.stage.borrow() == Stage::Moved;
        let missed = self.roll().lose(ticket, Instant::now() + grace);
        if missed && !moved {
            let (pool, name) = (&register.pool, &register.name);
            self.0.hub.agent_lost(pool);
            let text = format!(
                "the agent of {pool}/{name} is lost: {why}; it stays for {:?}",
                grace
            );
            self.tell(Happening::warning("agent-lost", text), pool, name);
        }
        self.changed();
    }

    fn dismiss(&self, ticket: &Ticket) {
        self.roll().remove(ticket);
        self.changed();
    }

    /// Somebody is not taken; counted always, told seldom.
    fn refused(&self, reason: &'static str, from: IpAddr, text: &str) {
        self.0.hub.agent_refused(reason);
        let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.lets_through(Instant::now()) {
            let text = format!("an agent from {from} is refused: {text}");
            let event = Happening::warning("agent-refused", text);
            let event = event.about("reason", reason);
            self.0.journal.tell(event.about("from", from.to_string()));
        }
    }

    /// Notes the reported load where selection looks for it.
    fn weigh(&self, register: &Register, standing: &Standing) {
        if standing.load.is_empty() {
            return;
        }
        let address = Address::Tcp((register.address.to_canonical(), register.port).into());
        let snapshot = self.0.snapshots.current();
        let pools = snapshot
            .pools
            .iter()
            .filter(|pool| pool.name == register.pool);
        let members = pools.flat_map(|pool| &pool.members);
        for member in members.filter(|member| member.endpoint.address == address) {
            let load = &member.endpoint.load;
            load.hear(standing.load.as_bytes(), clock::now());
        }
    }

    fn tell(&self, event: Happening, pool: &str, name: &str) {
        self.0
            .journal
            .tell(event.about("pool", pool).about("backend", name));
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.0.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.0.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
