//! The data plane: an accepted connection on its way to an endpoint. It reads snapshots and sends
//! events; the control plane is on the other side of both.

mod accept;
mod buffer;
mod guard;
pub mod l4;
pub mod l7;
pub mod listener;
pub mod proxy_protocol;
mod stream;
mod timer;
pub mod tls;
mod upstream;
mod worker;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman_config::policy::BindAddr;
use tokio::sync::mpsc;

pub use self::guard::is_guarded;
pub use self::listener::BindError;
use self::worker::{Command, Connections, Parts};
use crate::access_log::AccessLog;
use crate::event;
use crate::metrics::Hub;
use crate::snapshot::{ListenerSettings, SnapshotSource};

/// What all workers are given.
#[derive(Debug)]
pub struct Shared<'a> {
    /// Where snapshots come from.
    pub source: SnapshotSource,
    /// To the control plane.
    pub events: event::Sender,
    /// Where each worker gets its counters.
    pub metrics: &'a Hub,
    /// The access log, if there is one.
    pub access_log: Option<&'a AccessLog>,
    /// Client connections at most.
    pub max_connections: usize,
    /// Bytes of buffers at most.
    pub max_buffers: usize,
}

/// The workers and their sockets.
#[derive(Debug)]
pub struct Plane {
    workers: Vec<mpsc::UnboundedSender<Command>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    open: Mutex<Open>,
    connections: Arc<Connections>,
}

/// Sockets that are listened on.
#[derive(Debug, Default)]
struct Open {
    sockets: HashMap<(u32, BindAddr), (u64, BindAddr, String)>,
    last_key: u64,
}

/// Sockets that stand but do not accept yet.
#[derive(Debug)]
pub struct Prepared {
    /// Everything that is wanted.
    wanted: Vec<(u32, BindAddr)>,
    /// What of it is new.
    new: Vec<New>,
}

#[derive(Debug)]
struct New {
    listener: u32,
    name: String,
    wanted: BindAddr,
    actual: BindAddr,
    sockets: Vec<socket2::Socket>,
}

impl Plane {
    /// Starts so many workers, each in a thread of its own, without a socket yet.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(workers: usize, shared: &Shared<'_>) -> io::Result<Self> {
        let connections = Arc::new(Connections::new(shared.max_connections));
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        let max_buffers = shared.max_buffers / workers.max(1);
        for index in 0..workers.max(1) {
            let (sender, commands) = mpsc::unbounded_channel();
            let source = shared.source.clone();
            let (shard, events) = (shared.metrics.shard(), shared.events.clone());
            let log = shared.access_log.map(AccessLog::writer);
            let connections = connections.clone();
            let run = move || {
                let parts = Parts {
                    index,
                    source,
                    shard,
                    events,
                    log,
                    connections,
                    max_buffers,
                };
                if let Err(error) = worker::run(parts, commands) {
                    tracing::error!(%error, "a worker could not start");
                }
            };
            threads.push(
                std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .spawn(run)?,
            );
            senders.push(sender);
        }
        let (threads, open) = (Mutex::new(threads), Mutex::default());
        Ok(Self {
            workers: senders,
            threads,
            open,
            connections,
        })
    }

    /// Opens sockets for what these listeners want and is not open yet. Nothing changes until
    /// [`Plane::commit`].
    ///
    /// # Errors
    /// The first socket that cannot be opened, with cause and remedy.
    pub fn prepare(&self, listeners: &[Arc<ListenerSettings>]) -> Result<Prepared, BindError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut wanted, mut new) = (Vec::new(), Vec::new());
        for settings in listeners {
            for addr in &settings.policy.bind {
                wanted.push((settings.id, addr.clone()));
                if open.sockets.contains_key(&(settings.id, addr.clone())) {
                    continue;
                }
                let sockets = listener::bind(addr, self.workers.len())?;
                let actual = sockets
                    .first()
                    .map_or(addr.clone(), |socket| actual(addr, socket));
                let name = settings.policy.name.clone();
                new.push(New {
                    listener: settings.id,
                    name,
                    wanted: addr.clone(),
                    actual,
                    sockets,
                });
            }
        }
        Ok(Prepared { wanted, new })
    }

    /// Accepts on the prepared sockets and closes those that are wanted no more. Connections that
    /// were accepted go on.
    pub fn commit(&self, prepared: Prepared) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for new in prepared.new {
            open.last_key += 1;
            let key = open.last_key;
            open.sockets
                .insert((new.listener, new.wanted), (key, new.actual, new.name));
            for (worker, socket) in self.workers.iter().zip(new.sockets) {
                // A worker that is gone has ended the process's service already.
                let _ = worker.send(Command::Listen {
                    listener: new.listener,
                    key,
                    socket,
                });
            }
        }
        open.sockets.retain(|place, (key, ..)| {
            let stays = prepared.wanted.contains(place);
            if !stays {
                self.tell(|| Command::Close { key: *key });
            }
            stays
        });
    }

    /// Each open socket: its listener's name and the address, the port filled in.
    pub fn addresses(&self) -> Vec<(String, BindAddr)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = open.sockets.values().collect();
        all.sort_by_key(|(key, ..)| *key);
        all.into_iter()
            .map(|(_, addr, name)| (name.clone(), addr.clone()))
            .collect()
    }

    /// Client connections now.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Changes the limit for client connections.
    pub fn set_max_connections(&self, limit: usize) {
        self.connections.set_limit(limit);
    }

    /// Whether every worker still runs.
    pub fn is_whole(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().all(|thread| !thread.is_finished())
    }

    /// Stops accepting, tells clients to leave and waits until they have left or `limit` is over;
    /// then what is left is cut. Resolves to the connections that were cut.
    pub fn drain(self, limit: Duration) -> usize {
        self.tell(|| Command::Drain);
        let until = Instant::now() + limit;
        let threads = self
            .threads
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let cut = self.connections.count();
        // Without a commander the workers end at once.
        drop(self.workers);
        for thread in threads {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
        cut
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            let _ = worker.send(command());
        }
    }
}

fn actual(wanted: &BindAddr, socket: &socket2::Socket) -> BindAddr {
    let local = socket.local_addr().ok().and_then(|addr| addr.as_socket());
    match (wanted, local) {
        (BindAddr::Any(_), Some(addr)) => BindAddr::Any(addr.port()),
        (BindAddr::Socket(_), Some(addr)) => BindAddr::Socket(addr),
        (wanted, _) => wanted.clone(),
    }
}
