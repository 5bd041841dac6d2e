//! One server of a pool as this process knows it. Endpoints outlive policies: they are interned by
//! pool and address, so that a reload keeps their health, load and connections.

pub mod clock;
mod errors;
mod gradient;
mod latency;
mod limit;
mod load;
mod open;
pub mod orca;
mod queue;
mod stamped;
mod state;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

pub use errors::Errors;
pub use state::State;
pub use tls::{Tls, TlsSide};

/// All of a weight, in per mille.
pub const WHOLE: u16 = 1000;

pub use self::latency::{Estimate, Latency};
pub use self::limit::{Limit, Most};
pub use self::load::Load;
pub use self::open::{Open, Opened};
pub use self::queue::{Queue, Ticket};

/// An endpoint's identity for the life of the process.
pub type EndpointId = u32;

/// Where an endpoint can be reached, names resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// As in the policy: `HOST:PORT` or `unix:PATH`.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(socket) => socket.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Health as selection sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Health {
    /// Not checked yet: taken only when nothing is `Up`.
    Starting = 0,
    /// Takes requests.
    Up = 1,
    /// Takes none.
    Down = 2,
    /// Its name has no address.
    Unresolved = 3,
}

impl Health {
    /// Every state.
    pub const ALL: [Health; 4] = [
        Health::Starting,
        Health::Up,
        Health::Down,
        Health::Unresolved,
    ];

    /// The word in metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            Health::Starting => "starting",
            Health::Up => "up",
            Health::Down => "down",
            Health::Unresolved => "unresolved",
        }
    }
}

/// What the operator has a backend do, whatever its health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Duty {
    /// It takes requests.
    #[default]
    Active = 0,
    /// It takes no new ones, and finishes what it has.
    Draining = 1,
    /// It takes no new ones; its TCP connections and tunnels are closed.
    Disabled = 2,
}

impl Duty {
    /// Every one.
    pub const ALL: [Duty; 3] = [Duty::Active, Duty::Draining, Duty::Disabled];

    /// The word in metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            Duty::Active => "active",
            Duty::Draining => "draining",
            Duty::Disabled => "disabled",
        }
    }
}

/// One server of a pool.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique in this process, never used again.
    pub id: EndpointId,
    /// The pool's name.
    pub pool: String,
    /// The backend's name within the pool.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// What it is spoken to by.
    pub tls: Tls,
    /// Writer: the reconciler.
    health: AtomicU8,
    /// Writer: the reconciler.
    duty: AtomicU8,
    ejected: AtomicBool,
    /// Per mille of its weight. Writer: the reconciler.
    share: AtomicU16,
    /// What clients got from it.
    pub errors: Errors,
    /// Requests and TCP connections under way. Writers: the workers.
    in_flight: AtomicU32,
    /// Requests and TCP connections handed to it since the start. Writers: the workers.
    taken: AtomicU64,
    /// How soon it answers, where the pool's policy wants to know.
    pub latency: Latency,
    /// What it reports of its load. Writers: the workers and the health checks.
    pub load: Load,
    /// How much may be under way.
    pub limit: Limit,
    /// Connections to it.
    pub open: Open,
}

impl Endpoint {
    /// A new endpoint, `Starting`.
    pub fn new(id: EndpointId, pool: String, name: String, address: Address) -> Self {
        Self {
            id,
            pool,
            name,
            address,
            tls: Tls::default(),
            health: AtomicU8::new(Health::Starting as u8),
            duty: AtomicU8::new(Duty::Active as u8),
            ejected: AtomicBool::new(false),
            share: AtomicU16::new(WHOLE),
            errors: Errors::default(),
            in_flight: AtomicU32::new(0),
            taken: AtomicU64::new(0),
            latency: Latency::default(),
            load: Load::default(),
            limit: Limit::default(),
            open: Open::default(),
        }
    }

    /// Its health now; selection uses what the snapshot says instead.
    pub fn health(&self) -> Health {
        Health::ALL[usize::from(self.health.load(Ordering::Relaxed)) % Health::ALL.len()]
    }

    /// For the reconciler alone.
    pub fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    /// Whether it is out for what clients got from it.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }

    /// For the reconciler alone.
    pub fn set_ejected(&self, ejected: bool) {
        self.ejected.store(ejected, Ordering::Relaxed);
    }

    /// The part of its weight that it takes, in per mille: less than [`WHOLE`] in its slow start.
    pub fn share(&self) -> u16 {
        self.share.load(Ordering::Relaxed)
    }

    /// For the reconciler alone.
    pub fn set_share(&self, share: u16) {
        self.share.store(share, Ordering::Relaxed);
    }

    /// Its whole state now.
    pub fn state(&self) -> State {
        State::of(self.health(), self.is_ejected(), self.share() < WHOLE)
    }

    /// What the operator has it do now; selection uses what the snapshot says instead.
    pub fn duty(&self) -> Duty {
        Duty::ALL[usize::from(self.duty.load(Ordering::Relaxed)) % Duty::ALL.len()]
    }

    /// For the reconciler alone.
    pub fn set_duty(&self, duty: Duty) {
        self.duty.store(duty as u8, Ordering::Relaxed);
    }

    /// Requests and TCP connections under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests and TCP connections handed to it since the start.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Counts one more under way until the guard is dropped.
    pub fn enter(self: &std::sync::Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.taken.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// An answer took so long; `refused`: by it, or by giving none, the server said that it has too
    /// much to do.
    pub fn answered(&self, took: Duration, refused: bool) {
        self.limit.answered(took, refused, self.in_flight());
    }

    /// Whether it may get one more.
    pub fn has_room(&self) -> bool {
        self.limit.has_room(self.in_flight())
    }

    /// As [`Endpoint::enter`], unless that would be more than its limit.
    pub fn try_enter(self: &std::sync::Arc<Self>) -> Option<InFlight> {
        // Never beyond the limit for a moment: others would find it full, and nobody would tell
        // them that it is not.
        let more = |now| self.limit.has_room(now).then_some(now + 1);
        let entered = self
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.ok()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(InFlight(self.clone()))
    }
}

/// One request or connection under way at an endpoint.
#[derive(Debug)]
pub struct InFlight(std::sync::Arc<Endpoint>);

impl InFlight {
    /// Where it is under way.
    pub fn endpoint(&self) -> &std::sync::Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.limit.released();
    }
}
