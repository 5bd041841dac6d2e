//! One worker: a thread with a runtime of its own, its listeners, connections, unused upstream
//! connections and counters. Workers share nothing on the path of a request but the atomics of
//! endpoints.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use socket2::Socket;
use tokio::sync::{mpsc, watch};

use super::accept;
use super::lines::Lines;
use super::timer::Timer;
use super::upstream::Pools;
use crate::access_log::LogWriter;
use crate::balance::Tried;
use crate::endpoint::{EndpointId, InFlight, clock};
use crate::event;
use crate::metrics::Shard;
use crate::pool::Pool;
use crate::pulse::{BEAT, Pulse};
use crate::shared::quotas::Quotas;
use crate::snapshot::{ListenerSettings, SnapshotReader};
use crate::sys::local_task;
use crate::trace;

/// How often unused upstream connections are looked through and log lines are written out.
const SWEEP: Duration = Duration::from_millis(250);

/// All clients are asked to leave, whenever they came.
const DRAINS: u64 = u64::MAX;

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
    /// Mark the time regularly.
    Beat(Pulse),
    /// Turn no more for so long.
    #[cfg(test)]
    Hang(Duration),
    /// Tell the clients that there are now to leave, and go on for others.
    AskToLeave {
        /// For connections that wait for a request; see [`Worker::idle_limit`].
        grace: Duration,
    },
    /// Close the open TCP connections and tunnels to these backends.
    Cut(Arc<[EndpointId]>),
    /// Stop accepting, tell clients to leave, end when the last one left.
    Drain {
        /// For connections that wait for a request; see [`Worker::idle_limit`].
        grace: Duration,
    },
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
    /// Open TCP connections and tunnels.
    pub lines: Rc<Lines>,
    /// The counters.
    pub shard: Shard,
    /// To the control plane.
    pub events: event::Sender,
    /// The access log's writer, if there is a log.
    pub log: Option<LogWriter>,
    /// What ids of traces and spans are made with.
    pub ids: trace::Ids,
    /// Where finished spans go, and requests that are watched.
    pub traces: Arc<trace::Traces>,
    /// Connections of the whole process.
    pub connections: Arc<Connections>,
    /// Connections of this worker.
    pub held: Cell<usize>,
    /// Sockets of this worker that are listened on.
    pub listening: Cell<usize>,
    grace: Cell<Duration>,
    max_buffers: usize,
    /// How often clients were asked to leave; [`DRAINS`] in the end.
    asked: watch::Sender<u64>,
    entropy: Cell<u64>,
    cursors: RefCell<Vec<u64>>,
    /// Requests for each pool that its budget has not been told of.
    untold: RefCell<Vec<u32>>,
    index: usize,
}

/// Counts client connections of the whole process against its limits.
#[derive(Debug)]
pub struct Connections {
    count: AtomicUsize,
    limit: AtomicUsize,
    /// Connections by listener, and by listener and client, where such a limit is set.
    places: Mutex<HashMap<Key, usize>>,
    /// Requests by client, where such a limit is set.
    pub quotas: Arc<Quotas>,
}

type Key = (u32, Option<IpAddr>);

/// Why a connection is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The process is at its limit.
    Process,
    /// The listener is, or this client on it.
    Listener,
}

impl Connections {
    /// None yet.
    pub fn new(limit: usize, quotas: Arc<Quotas>) -> Self {
        Self {
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            places: Mutex::default(),
            quotas,
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

    /// Counts one more until the place is dropped. With `in_exchange` another connection is about
    /// to end, and the process's limit is not asked.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn enter(
        self: &Arc<Self>,
        listener: &ListenerSettings,
        client: IpAddr,
        in_exchange: bool,
    ) -> Result<Place, Full> {
        let limits = &listener.policy.limits;
        let of_listener =
            (limits.connections < NO_LIMIT).then_some(((listener.id, None), limits.connections));
        let of_client = limits
            .connections_per_client
            .map(|limit| ((listener.id, Some(client)), limit));
        let wanted: SmallVec<[(Key, usize); 2]> =
            of_listener.into_iter().chain(of_client).collect();
        let mut place = Place {
            connections: self.clone(),
            keys: SmallVec::new(),
        };
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit.load(Ordering::Relaxed) && !in_exchange {
            return Err(Full::Process);
        }
        if wanted.is_empty() {
            return Ok(place);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |(key, limit): &(Key, usize)| places.get(key).is_some_and(|n| n >= limit);
        if wanted.iter().any(is_full) {
            drop(places);
            return Err(Full::Listener);
        }
        for (key, _) in wanted {
            *places.entry(key).or_default() += 1;
            place.keys.push(key);
        }
        drop(places);
        Ok(place)
    }
}

/// The default of `limits.connections`, which is none.
const NO_LIMIT: usize = 1 << 24;

/// One connection's place within the limits.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    keys: SmallVec<[Key; 2]>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.count.fetch_sub(1, Ordering::Relaxed);
        if self.keys.is_empty() {
            return;
        }
        let mut places = self
            .connections
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Entry::Occupied(mut held) = places.entry(*key) {
                *held.get_mut() -= 1;
                if *held.get() == 0 {
                    held.remove();
                }
            }
        }
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
    /// Where finished spans go, and requests that are watched.
    pub traces: Arc<trace::Traces>,
    /// Connections of the whole process.
    pub connections: Arc<Connections>,
    /// Bytes of buffers that this worker may lend before new requests are refused.
    pub max_buffers: usize,
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
            lines: Rc::default(),
            shard: parts.shard,
            events: parts.events,
            log: parts.log,
            ids: trace::Ids::new(),
            traces: parts.traces,
            connections: parts.connections,
            held: Cell::new(0),
            listening: Cell::new(0),
            grace: Cell::new(Duration::MAX),
            max_buffers: parts.max_buffers,
            asked: watch::Sender::new(0),
            entropy: Cell::new(seed),
            cursors: RefCell::default(),
            untold: RefCell::default(),
            index: parts.index,
        }
    }

    /// A place at an endpoint of the pool that was not tried, if one has room.
    pub fn enter(&self, pool: &Pool, hash: Option<u64>, tried: &Tried) -> Option<InFlight> {
        let cursor = self.advance(pool.id);
        let now = if pool.wants_time { clock::now() } else { 0 };
        let entered = pool.enter(&crate::balance::Choice {
            cursor,
            entropy: self.random(),
            hash,
            now,
            tried,
        })?;
        pool.asked(entered.endpoint(), now);
        Some(entered)
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

    /// Counts one more request for the pool of this id.
    pub fn asked_of(&self, pool: u32) {
        let mut untold = self.untold.borrow_mut();
        let at = pool as usize;
        if at >= untold.len() {
            untold.resize(at + 1, 0);
        }
        untold[at] = untold[at].saturating_add(1);
    }

    /// Tells the pools' budgets of the requests since the last time.
    fn tell_budgets(&self, now: Instant) {
        let snapshot = self.snapshots.load();
        let mut untold = self.untold.borrow_mut();
        for pool in &snapshot.pools {
            match untold.get_mut(pool.id as usize).map(std::mem::take) {
                None | Some(0) => (),
                Some(count) => pool.lasting.budget.requests(count, now),
            }
        }
    }

    /// Random bits (splitmix64); for spreading, not for secrets.
    pub fn random(&self) -> u64 {
        let state = self.entropy.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.entropy.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether more bytes are under way than the policy allows.
    pub fn is_overloaded(&self) -> bool {
        super::buffer::lent() > self.max_buffers
    }

    /// Whether the worker is about to end.
    pub fn is_draining(&self) -> bool {
        *self.asked.borrow() == DRAINS
    }

    /// How often clients have been asked to leave so far: a connection that comes now is asked only
    /// by what follows.
    pub fn asked(&self) -> u64 {
        // Who comes while the worker drains leaves again.
        (*self.asked.borrow()).min(DRAINS - 1)
    }

    /// Whether clients have been asked to leave since it was [`Worker::asked`] so often.
    pub fn must_leave(&self, asked: u64) -> bool {
        *self.asked.borrow() > asked
    }

    /// How long a connection may wait for a request where the listener allows `idle`.
    ///
    /// One whose client must leave is not closed at once: a request may be on its way, and would
    /// meet a reset. One that comes within the grace is answered with `Connection: close`, so that
    /// no connection becomes idle again (RFC 9112 9.6).
    pub fn idle_limit(&self, idle: Duration, asked: u64) -> Duration {
        match self.must_leave(asked) {
            true => idle.min(self.grace.get()),
            false => idle,
        }
    }

    /// Resolves once the client must leave.
    pub fn leave_signal(&self, asked: u64) -> impl Future<Output = ()> + use<> {
        let mut now = self.asked.subscribe();
        async move {
            // The sender lives as long as the worker.
            let _ = now.wait_for(|now| *now > asked).await;
        }
    }

    fn ask_to_leave(&self, asked: u64, grace: Duration) {
        self.grace.set(grace);
        self.asked.send_replace(asked);
        self.timer.hasten_idle(Instant::now(), grace);
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
    let mut beats = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen {
                listener,
                key,
                socket,
            } => {
                let (stop, stopped) = tokio::sync::oneshot::channel();
                accepting.push((key, stop));
                worker.listening.set(worker.listening.get() + 1);
                local_task::spawn(accept::accept(worker.clone(), listener, socket, stopped));
            }
            Command::Beat(pulse) => {
                let pulse = Rc::new(pulse);
                local_task::spawn(beat(pulse.clone()));
                beats.push(pulse);
            }
            #[cfg(test)]
            Command::Hang(time) => std::thread::sleep(time),
            Command::Close { key } => accepting.retain(|(open, _)| *open != key),
            Command::Cut(endpoints) => worker.lines.cut(&endpoints),
            Command::AskToLeave { grace } => worker.ask_to_leave(worker.asked() + 1, grace),
            Command::Drain { grace } => {
                accepting.clear();
                worker.ask_to_leave(DRAINS, grace);
                worker.upstreams.clear();
                break;
            }
        }
    }
    // The accept tasks take what waits in their queues before they end.
    while worker.held.get() + worker.listening.get() > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(10)) => (),
            // Nobody is left to wait for the clients.
            gone = commands.recv() => if gone.is_none() { break },
        }
    }
    if let Some(log) = &worker.log {
        log.flush();
    }
    beats.iter().for_each(|pulse| pulse.retire());
}

async fn beat(pulse: Rc<Pulse>) {
    loop {
        pulse.mark(Instant::now());
        tokio::time::sleep(BEAT).await;
    }
}

async fn housekeeping(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let now = Instant::now();
        worker.upstreams.sweep(now);
        worker.tell_budgets(now);
        if let Some(log) = &worker.log {
            log.flush();
        }
    }
}
