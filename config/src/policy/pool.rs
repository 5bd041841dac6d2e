use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{Balance, Discover, Eject, Forward, Panic, PoolLimit, PoolTls, Sticky};

/// `[pool.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// NAME.
    pub name: String,
    /// How packets reach the backends.
    pub forward: Forward,
    /// What backends are spoken to by; `None`: without TLS.
    pub tls: Option<PoolTls>,
    /// How a backend is chosen.
    pub balance: Balance,
    /// The part of a group's weight that must be up for it to take everything, 0.0 to 1.0.
    pub spill: f64,
    /// Whether backends are weighed by the load that they report.
    pub load_report: bool,
    /// The servers that are listed.
    pub backends: Vec<Backend>,
    /// Where others are found; without it, at least one is listed.
    pub discover: Vec<Discover>,
    /// Active checks; `None`: backends are taken as up until a connection fails.
    pub health: Option<Health>,
    /// The cookie that keeps a client with its backend, if there is one.
    pub sticky: Option<Sticky>,
    /// How much each backend may have under way; `None`: no limit.
    pub limit: Option<PoolLimit>,
    /// When backends are taken out for what clients get from them; `None`: never.
    pub eject: Option<Eject>,
    /// How long the weight of a backend grows that comes up while others serve; `None`: it has all
    /// of it at once.
    pub slow_start: Option<Duration>,
    /// What happens when few backends are healthy.
    pub panic: Panic,
    /// Time limits.
    pub timeouts: PoolTimeouts,
    /// `true`: routes forward to it, or a TCP or UDP listener does.
    pub used: bool,
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The given name, or the address as it is written.
    pub name: String,
    /// Where it listens.
    pub addr: BackendAddr,
    /// 0 to 1000; 0 takes no new requests.
    pub weight: u32,
    /// Its group: the lowest is used first, 0 to [`Backend::BACKUP`].
    pub priority: u8,
}

impl Backend {
    /// The group of backups.
    pub const BACKUP: u8 = 10;
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendAddr {
    /// An address and port.
    Socket(SocketAddr),
    /// A name to look up, and a port.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// `pool.health`
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked of the backend.
    pub check: Check,
    /// The port of the backend's host that is asked; `None`: its own. Unix sockets have none.
    pub port: Option<u16>,
    /// From one check to the next.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Failures in a row that take a backend out.
    pub fall: u32,
    /// Passes in a row that bring it back.
    pub rise: u32,
    /// Share of the interval by which checks are spread, 0.0 to 1.0.
    pub jitter: f64,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The connection is accepted.
    Tcp,
    /// A request is answered as expected.
    Http {
        /// Path and query.
        path: String,
        /// The Host field; `None`: the backend's address.
        host: Option<String>,
        /// Accepted status codes.
        status: Vec<RangeInclusive<u16>>,
        /// A text that the first 64 KiB of the body must hold.
        body: Option<String>,
    },
    /// The gRPC health checking protocol says SERVING.
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
        /// The authority of the call; `None`: the backend's address.
        host: Option<String>,
    },
    /// A conversation goes as expected.
    Script(Vec<ScriptStep>),
}

/// One exchange of a scripted check; at least one of the two is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStep {
    /// Bytes that are sent.
    pub send: Vec<u8>,
    /// Bytes that must come before the next step.
    pub expect: Vec<u8>,
}

/// `pool.timeouts`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// Until a connection to a backend stands.
    pub connect: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle: Duration,
}
