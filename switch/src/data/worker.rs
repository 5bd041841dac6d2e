//! One worker: a thread with a runtime of its own, its listeners, connections, unused upstream
//! connections and counters. Workers share nothing on the path of a request but the atomics of
//! endpoints.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::sync::{mpsc, watch};

use super::accept;
use super::timer::Timer;
use super::upstream::Pools;
use crate::access_log::LogWriter;
use crate::balance::Tried;
use crate::event;
use crate::metrics::Shard;
use crate::pool::Pool;
use crate::snapshot::SnapshotReader;
use crate::{endpoint::Endpoint, sys::local_task};

/// How often unused upstream connections are looked through and log lines are written out.
const SWEEP: Duration = Duration::from_millis(250);

/// What the plane tells its workers.
#[derive(Debug)]
pub enum Command {
    /// Accept on this socket for the listener of this id; the key names it in `Close`.
    Listen {
        /// The listener.
        listener: u32,
        /// The socket's name among the plane's sockets.
        key: u64,
        /// The listening socket.
        socket: Socket,
    },
    /// Stop accepting on the socket.
    Close {
        /// The socket's name among the plane's sockets.
        key: u64,
    },
    /// Stop accepting, tell clients to leave, end when the last one left.
    Drain,
}

/// What every connection of a worker uses.
#[derive(Debug)]
pub struct Worker {
    /// The snapshots.
    pub snapshots: SnapshotReader,
    /// The alarms.
    pub timer: Rc<Timer>,
    /// Unused connections to backends.
    pub upstreams: Pools,
    /// The counters.
    pub shard: Shard,
    /// To the control plane.
    pub events: event::Sender,
    /// The access log's writer, if there is a log.
    pub log: Option<LogWriter>,
    /// Connections of the whole process.
    pub connections: Arc<Connections>,
    /// Connections of this worker.
    pub held: Cell<usize>,
    draining: watch::Sender<bool>,
    entropy: Cell<u64>,
    cursors: RefCell<Vec<u64>>,
    index: usize,
}

/// Counts client connections of the whole process against its limit.
#[derive(Debug)]
pub struct Connections {
    count: AtomicUsize,
    limit: AtomicUsize,
}

impl Connections {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Changes the limit for connections that come from now on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts one more; `false` when the limit is reached and it is not counted.
    pub fn enter(&self) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed) {
            self.leave();
            return false;
        }
        true
    }

    /// Counts one less.
    pub fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a worker is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its number, from 0.
    pub index: usize,
    /// Where snapshots come from.
    pub source: crate::snapshot::SnapshotSource,
    /// Its counters.
    pub shard: Shard,
    /// To the control plane.
    pub events: event::Sender,
    /// The access log's writer.
    pub log: Option<LogWriter>,
    /// Connections of the whole process.
    pub connections: Arc<Connections>,
}

impl Worker {
    fn new(parts: Parts) -> Self {
        // Any start will do, so long as workers differ.
        let seed = (parts.index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(std::process::id()).rotate_left(32);
        Self {
            snapshots: SnapshotReader::new(parts.source),
            timer: Timer::new(),
            upstreams: Pools::default(),
            shard: parts.shard,
            events: parts.events,
            log: parts.log,
            connections: parts.connections,
            held: Cell::new(0),
            draining: watch::Sender::new(false),
            entropy: Cell::new(seed),
            cursors: RefCell::default(),
            index: parts.index,
        }
    }

    /// Chooses an endpoint of the pool that was not tried.
    pub fn pick<'p>(
        &self,
        pool: &'p Pool,
        hash: Option<u64>,
        tried: &Tried,
    ) -> Option<&'p Arc<Endpoint>> {
        let cursor = self.advance(pool.id);
        pool.pick(&crate::balance::Choice {
            cursor,
            entropy: self.random(),
            hash,
            tried,
        })
    }

    fn advance(&self, pool: u32) -> u64 {
        let mut cursors = self.cursors.borrow_mut();
        let at = pool as usize;
        if at >= cursors.len() {
            cursors.resize(at + 1, self.index as u64);
        }
        let cursor = cursors[at];
        cursors[at] = cursor.wrapping_add(1);
        cursor
    }

    /// Random bits (splitmix64); for spreading, not for secrets.
    pub fn random(&self) -> u64 {
        let state = self.entropy.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.entropy.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether clients are told to leave.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// To wait for the draining.
    pub fn drain_signal(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}

/// Runs a worker in the calling thread until it has drained, or nobody is left to command it.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(parts: Parts, commands: mpsc::UnboundedReceiver<Command>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(61)
        .build()?;
    runtime.block_on(obey(Rc::new(Worker::new(parts)), commands));
    // What is still open now is cut: its time is over.
    drop(runtime);
    Ok(())
}

async fn obey(worker: Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let timer = worker.timer.clone();
    local_task::spawn(async move { timer.run().await });
    local_task::spawn(housekeeping(worker.clone()));
    let mut accepting: Vec<(u64, tokio::sync::oneshot::Sender<()>)> = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen {
                listener,
                key,
                socket,
            } => {
                let (stop, stopped) = tokio::sync::oneshot::channel();
                accepting.push((key, stop));
                local_task::spawn(accept::accept(worker.clone(), listener, socket, stopped));
            }
            Command::Close { key } => accepting.retain(|(open, _)| *open != key),
            Command::Drain => {
                accepting.clear();
                worker.draining.send_replace(true);
                worker.timer.wake_idle();
                worker.upstreams.clear();
                break;
            }
        }
    }
    // The accept tasks take what waits in their queues before they end.
    tokio::task::yield_now().await;
    while worker.held.get() > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(10)) => (),
            // Nobody is left to wait for the clients.
            gone = commands.recv() => if gone.is_none() { break },
        }
    }
    if let Some(log) = &worker.log {
        log.flush();
    }
}

async fn housekeeping(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        worker.upstreams.sweep(Instant::now());
        if let Some(log) = &worker.log {
            log.flush();
        }
    }
}
