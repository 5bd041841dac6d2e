//! The keeper's thread. It sleeps in poll(2) until somebody hands it a command, the network tells
//! something, or something is due.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::board::Board;
use super::detours::{Detour, Detours};
use super::face::{Found, Key, Path};
use super::keeper::{Keeper, Network, Wish};
use super::mirror::Mirror;
use super::plan::{Identity, Plan};
use super::vias::Vias;
use crate::control::contact::host::{Host, WayWatch};
use crate::control::health::Via;
use crate::control::journal::Journal;
use crate::metrics::Hub;

/// For the thread to answer: a load of programs takes a tenth of a second at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the board is written.
const TELLING: Duration = Duration::from_secs(1);
/// Readings of the network's news per turn.
const READINGS: usize = 64;

/// What is to be done.
pub(super) enum Command {
    /// Attach what these need; what cannot be.
    Prepare(Vec<Wish>, Sender<Result<(), String>>),
    /// Another plan holds.
    Want(Box<Plan>),
    /// Happenings are to be told there.
    Tell(Journal),
    /// Who gets the packets of a client.
    Lookup(Key, SocketAddr, Sender<Looked>),
    /// End; what the kernel has goes on. With `true` another process has taken over.
    End(bool),
}

/// Who gets the packets of a client, by what name and why.
pub type Looked = io::Result<Option<(Identity, String, Found)>>;

/// Hands commands in.
#[derive(Debug)]
pub(super) struct Desk {
    sender: Sender<Command>,
    wake: Arc<OwnedFd>,
}

impl Desk {
    pub(super) fn send(&self, command: Command) {
        // Nobody is there to take it when the thread has ended: then there is nothing to be done.
        let _ = self.sender.send(command);
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }

    pub(super) fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = channel();
        self.send(command(reply));
        answer.recv_timeout(PATIENCE).ok()
    }
}

/// The thread's own.
pub(super) struct Turner<P, N> {
    keeper: Keeper<P, N>,
    watch: WayWatch,
    commands: Receiver<Command>,
    wake: Arc<OwnedFd>,
    board: Arc<Board>,
    checks: Checks,
    mirror: Arc<Mirror>,
    hub: Arc<Hub>,
    journal: Option<Journal>,
    told: Instant,
}

/// The ways of checks.
pub(super) struct Checks {
    pub(super) host: Host,
    pub(super) detours: Detours,
    pub(super) vias: Arc<Vias>,
    /// Why they could not be laid the last time.
    pub(super) trouble: Option<String>,
}

impl<P: Path, N: Network> Turner<P, N> {
    /// With a desk for commands.
    pub(super) fn new(
        keeper: Keeper<P, N>,
        watch: WayWatch,
        (board, hub, checks): (Arc<Board>, Arc<Hub>, Checks),
        mirror: Arc<Mirror>,
    ) -> io::Result<(Self, Desk)> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        mirror.attach(wake.clone());
        let (sender, commands) = channel();
        let desk = Desk {
            sender,
            wake: wake.clone(),
        };
        let turner = Self {
            keeper,
            watch,
            commands,
            wake,
            board,
            checks,
            mirror,
            hub,
            journal: None,
            told: Instant::now(),
        };
        Ok((turner, desk))
    }

    /// Until it is told to end.
    pub(super) fn run(mut self) {
        loop {
            self.read_news();
            if !self.obey() {
                return;
            }
            let now = Instant::now();
            self.hear_others(now);
            if now >= self.keeper.deadline() {
                self.keeper.work(now);
                self.checks
                    .lay(&self.keeper.detours(), self.keeper.sources());
            }
            if let Some(parts) = self.keeper.told_flows() {
                self.mirror.tell(parts);
            }
            self.tell(now);
            self.sleep();
        }
    }

    fn read_news(&mut self) {
        for _ in 0..READINGS {
            match self.watch.read() {
                Ok(news) if news.is_empty() => return,
                Ok(news) => {
                    let now = Instant::now();
                    news.into_iter().for_each(|one| self.keeper.hear(one, now));
                }
                Err(error) => return tracing::debug!("rtnetlink: {error}"),
            }
        }
    }

    /// What the other switches tell of connections.
    fn hear_others(&mut self, now: Instant) {
        self.keeper.hold(self.mirror.held());
        let (heard, lost) = self.mirror.heard();
        self.keeper.missed_flows(lost);
        for (from, part) in heard {
            self.keeper.hear_flows(from, &part, now);
        }
    }

    /// Whether the thread goes on.
    fn obey(&mut self) -> bool {
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Prepare(wishes, reply) => {
                    let _ = reply.send(self.keeper.prepare(&wishes));
                }
                Command::Want(plan) => {
                    let now = Instant::now();
                    self.keeper.want(*plan, now);
                    self.keeper.work(now);
                    self.checks
                        .lay(&self.keeper.detours(), self.keeper.sources());
                    self.told = now;
                }
                Command::Tell(journal) => self.journal = Some(journal),
                Command::Lookup(key, client, reply) => {
                    let _ = reply.send(self.keeper.lookup(key, client));
                }
                Command::End(handed_over) => {
                    if !handed_over {
                        self.checks.detours.end(&self.checks.host);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn tell(&mut self, now: Instant) {
        if let Some(journal) = &self.journal {
            let happenings = self.keeper.happenings();
            happenings.into_iter().for_each(|event| journal.tell(event));
        }
        if now >= self.told {
            self.told = now + TELLING;
            if let Some(figures) = self.keeper.show(&self.board) {
                self.hub.set_direct(Some(figures));
            }
        }
    }

    /// When there is something to do or to tell.
    fn sleep(&self) {
        let until = self.keeper.deadline().min(self.told);
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let mut watched = [
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.watch.as_fd(), PollFlags::IN),
        ];
        let _ = poll(&mut watched, left.as_ref());
    }
}

impl Checks {
    /// Lays the ways that are wanted. Backends whose way cannot be laid are checked by the usual one.
    fn lay(
        &mut self,
        wanted: &BTreeMap<u16, (Identity, Detour)>,
        sources: BTreeMap<Identity, IpAddr>,
    ) {
        let ways = wanted.iter().map(|(id, (_, detour))| (*id, *detour));
        let trouble = self.detours.lay(&self.host, &ways.collect()).err();
        let trouble = trouble.map(|error| error.to_string());
        if trouble != self.trouble
            && let Some(why) = &trouble
        {
            tracing::warn!("backends are checked at their own addresses: {why}");
        }
        self.trouble = trouble;
        let laid = wanted
            .iter()
            .filter(|(id, (_, detour))| self.detours.is_laid(**id, detour));
        let laid = laid.map(|(id, (identity, detour))| (identity.clone(), detour.via(*id)));
        let sources = sources.into_iter();
        let usual = sources.map(|(identity, source)| (identity, Via::From(source)));
        self.vias.write(usual.chain(laid).collect());
    }
}
