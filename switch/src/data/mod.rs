//! The data plane: an accepted connection on its way to an endpoint. It reads snapshots and sends
//! events; the control plane is on the other side of both.

mod accept;
mod buffer;
mod census;
mod guard;
pub mod l4;
pub mod l7;
mod lines;
pub mod listener;
mod place;
pub mod proxy_protocol;
mod sockets;
mod stream;
mod timer;
pub mod tls;
mod upstream;
mod verdict;
mod worker;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman_config::policy::BindAddr;
use tokio::sync::mpsc;

pub use self::census::Census;
pub use self::guard::is_guarded;
pub use self::listener::{BindError, Inherited, Origin};
pub use self::sockets::Prepared;
use self::sockets::{Order, Sockets};
use self::worker::{Command, Connections, Parts};
use crate::access_log::AccessLog;
use crate::endpoint::EndpointId;
use crate::event;
use crate::metrics::Hub;
use crate::pulse::Pulses;
use crate::shared::quotas::{Limited, Pace, Quotas, Scope};
use crate::snapshot::{ListenerSettings, Snapshot, SnapshotSource};
use crate::trace::Traces;

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
    /// Where finished spans go, and requests that are watched.
    pub traces: Arc<Traces>,
    /// How far clients have used up their rates.
    pub quotas: Arc<Quotas>,
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
    sockets: Mutex<Sockets>,
    /// What workers are to be told once the plane begins; `None` when it has.
    held_back: Mutex<Option<Vec<Order>>>,
    connections: Arc<Connections>,
    source: SnapshotSource,
    /// Of workers that mark the time.
    pulses: OnceLock<Arc<Pulses>>,
}

/// How a plane ends.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// For everything: what is still open then is cut.
    pub limit: Duration,
    /// For connections that wait for a request.
    pub grace: Duration,
    /// Another process listens on the sockets.
    pub handed_over: bool,
}

impl Plane {
    /// Starts so many workers, each in a thread of its own, without a socket yet. They accept
    /// nothing before [`Plane::begin`].
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(workers: usize, shared: &Shared<'_>) -> io::Result<Self> {
        let connections = Arc::new(Connections::new(
            shared.max_connections,
            shared.quotas.clone(),
        ));
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        let max_buffers = shared.max_buffers / workers.max(1);
        for index in 0..workers.max(1) {
            let (sender, commands) = mpsc::unbounded_channel();
            let source = shared.source.clone();
            let (shard, events) = (shared.metrics.shard(), shared.events.clone());
            let log = shared.access_log.map(AccessLog::writer);
            let (connections, traces) = (connections.clone(), shared.traces.clone());
            let run = move || {
                let parts = Parts {
                    index,
                    source,
                    shard,
                    events,
                    log,
                    traces,
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
        Ok(Self {
            sockets: Mutex::new(Sockets::new(senders.len())),
            workers: senders,
            threads: Mutex::new(threads),
            held_back: Mutex::new(Some(Vec::new())),
            connections,
            source: shared.source.clone(),
            pulses: OnceLock::new(),
        })
    }

    /// Accepts connections from now on.
    pub fn begin(&self) {
        let mut held_back = lock(&self.held_back);
        for order in held_back.take().into_iter().flatten() {
            self.tell(order);
        }
    }

    /// Sockets that listeners take over rather than open their own.
    pub fn inherit(&self, sockets: Vec<Inherited>) {
        lock(&self.sockets).inherit(sockets);
    }

    /// Where inherited sockets listen that no listener has taken over.
    pub fn unclaimed(&self) -> Vec<String> {
        lock(&self.sockets).unclaimed()
    }

    /// Closes inherited sockets that no listener has taken over.
    pub fn close_unclaimed(&self) {
        lock(&self.sockets).close_unclaimed();
    }

    /// Copies of all open sockets, for another process.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn lend(&self) -> io::Result<Vec<Inherited>> {
        lock(&self.sockets).lend()
    }

    /// Opens sockets for what these listeners want and is not open yet. Nothing changes until
    /// [`Plane::commit`].
    ///
    /// # Errors
    /// The first socket that cannot be opened, with cause and remedy.
    pub fn prepare(&self, listeners: &[Arc<ListenerSettings>]) -> Result<Prepared, BindError> {
        lock(&self.sockets).prepare(listeners)
    }

    /// Accepts on the prepared sockets and closes those that are wanted no more. Connections that
    /// were accepted go on.
    pub fn commit(&self, prepared: Prepared) {
        let limited = limited(&self.source.current());
        self.connections.quotas.set_limited(limited);
        let orders = lock(&self.sockets).commit(prepared);
        match lock(&self.held_back).as_mut() {
            Some(held_back) => held_back.extend(orders),
            None => orders.into_iter().for_each(|order| self.tell(order)),
        }
    }

    /// Whether clients can connect somewhere.
    pub fn listens(&self) -> bool {
        lock(&self.sockets).is_any()
    }

    /// Each open socket: its listener's name and the address, the port filled in.
    pub fn addresses(&self) -> Vec<(String, BindAddr)> {
        lock(&self.sockets).addresses()
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
        lock(&self.threads)
            .iter()
            .all(|thread| !thread.is_finished())
    }

    /// Asks the clients of all connections that are open now to leave, and goes on for new ones:
    /// their next responses are their last, and those that wait for a request are closed after
    /// the grace. TCP connections and tunnels go on.
    pub fn ask_to_leave(&self, grace: Duration) {
        for worker in 0..self.workers.len() {
            self.tell((worker, Command::AskToLeave { grace }));
        }
    }

    /// Closes the open TCP connections and tunnels to these backends.
    pub fn cut(&self, endpoints: &[EndpointId]) {
        let endpoints: Arc<[EndpointId]> = endpoints.into();
        for worker in 0..self.workers.len() {
            self.tell((worker, Command::Cut(endpoints.clone())));
        }
    }

    /// Whether the workers turn. They mark the time from the first call on: without one, idle
    /// workers sleep.
    pub fn pulses(&self) -> Arc<Pulses> {
        let begin = || {
            let pulses = Pulses::new(self.workers.len(), Instant::now());
            for worker in 0..self.workers.len() {
                self.tell((worker, Command::Beat(pulses.pulse(worker))));
            }
            pulses
        };
        self.pulses.get_or_init(begin).clone()
    }

    /// Stops accepting, tells clients to leave and waits until they have left or the limit is
    /// over; then what is left is cut. Resolves to the connections that were cut.
    pub fn drain(self, how: Drain) -> usize {
        // First of all: a copy that stays open would keep a socket listening.
        lock(&self.sockets).release(how.handed_over);
        for worker in 0..self.workers.len() {
            self.tell((worker, Command::Drain { grace: how.grace }));
        }
        let until = Instant::now() + how.limit;
        let threads = std::mem::take(&mut *lock(&self.threads));
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

    fn tell(&self, (worker, command): Order) {
        if let Some(worker) = self.workers.get(worker) {
            // A worker that is gone has ended the process's service already.
            let _ = worker.send(command);
        }
    }
}

/// What has a rate of its own, for other switches.
fn limited(snapshot: &Snapshot) -> Vec<Limited> {
    let listeners = snapshot.listeners.iter().filter_map(|settings| {
        let rate = settings.policy.limits.requests_per_client?;
        Some(Limited {
            scope: Scope::Listener(settings.id),
            name: settings.policy.name.clone(),
            pace: Pace::new(rate, rate.count),
        })
    });
    let routes = snapshot.routes.routes.iter().filter_map(|route| {
        let limit = route.limit.as_ref()?;
        Some(Limited {
            scope: Scope::Route(route.id),
            name: route.name.clone(),
            pace: Pace::new(limit.rate, limit.burst),
        })
    });
    listeners.chain(routes).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
