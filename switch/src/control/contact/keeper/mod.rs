//! The thread that keeps the contact addresses. It has nothing else to do, and a raised priority,
//! so that no load on the data plane delays a heartbeat. It sleeps in poll(2); whenever it wakes it
//! reads everything first, then does what is due, then tells what has become of it.

mod act;
mod hear;
mod obey;
mod tell;

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::command::CommandInbox;
use super::desk::{Inbox, Reply};
use super::exchange::Exchange;
use super::fitness::Physician;
use super::ghosts::Ghosts;
use super::group::GroupId;
use super::host::{Charge, Guardian, Host, LinkWatch};
use super::member::Member;
use super::mesh::Mesh;
use super::place::Place;
use super::plan::Plan;
use super::relay::Relay;
use super::routed::Routed;
use super::status::Board;
use super::{Setup, Traffic};
use crate::control::direct::mirror::Mirror;
use crate::metrics::{Hub, LoopDelay, Tally};

/// Whatever is due: a thread of this priority must not keep a processor for itself.
const LEAST_SLEEP: Duration = Duration::from_micros(100);
/// How often the own health is looked at.
const CHECKUP: Duration = Duration::from_millis(100);
/// How often figures are told when nothing happens.
const TELL: Duration = Duration::from_millis(500);
/// Between two attempts to open an interface that is not there.
const REOPEN: Duration = Duration::from_secs(1);
/// For a successor's first word after an upgrade.
const SUCCESSOR: Duration = Duration::from_secs(3);
/// A withdrawn route goes on bringing connections for a moment.
const WITHDRAWAL: Duration = Duration::from_millis(500);
/// Between two lines of the log about the same contradiction.
const REPEAT: Duration = Duration::from_secs(1);
/// Packets of one socket that one turn reads.
const MAX_PACKETS: usize = 256;

fn input(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// Everything that the thread has.
pub(super) struct Keeper {
    plan: Plan,
    traffic: Arc<dyn Traffic>,
    host: Host,
    links: LinkWatch,
    members: Vec<Member>,
    routed: Vec<Routed>,
    mesh: Option<Mesh>,
    relays: HashMap<u32, Relay>,
    ghosts: Ghosts,
    guardian: Guardian,
    charged: Charge,
    physician: Physician,
    /// Judges as to the routed addresses.
    route_physician: Physician,
    commands: CommandInbox,
    orders: Inbox,
    board: Arc<Board>,
    hub: Arc<Hub>,
    dropped: Tally<&'static str>,
    delay: Arc<LoopDelay>,
    phase: Phase,
    waiting: Vec<Waiting>,
    checkup_at: Instant,
    reopen_at: Instant,
    tell_at: Instant,
    changed: bool,
    conflict_told: Option<Instant>,
    /// Where segments of each group's unknown connections go.
    relaying: HashMap<GroupId, [u8; 6]>,
    /// The ticket keys that the others were told.
    shared_tickets: u64,
    exchange: Arc<Exchange>,
    mirror: Arc<Mirror>,
    /// The version of it that the others know.
    exchanged: u64,
    /// The operator had the routes withdrawn.
    routed_yielded: bool,
}

/// Where the thread stands in the life of its process.
enum Phase {
    /// The process before still serves.
    Waits,
    /// It takes part.
    Serves,
    /// It has handed over, or is about to; the reply is due when it has.
    Leaves(Option<Sender<()>>, Instant),
    /// Another process goes on with its roles.
    Bequeathed,
}

/// An order that takes its time.
struct Waiting {
    groups: Vec<GroupId>,
    reply: Reply,
}

impl Keeper {
    /// Opens everything that the policy needs, and changes nothing on the network.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub(super) fn new(
        setup: Setup,
        commands: CommandInbox,
        orders: Inbox,
        board: Arc<Board>,
        exchange: Arc<Exchange>,
    ) -> Result<Self, String> {
        let now = Instant::now();
        let of =
            |what: &'static str| move |error: std::io::Error| format!("contact: {what}: {error}");
        let host = Host::open().map_err(of("rtnetlink"))?;
        let mut keeper = Self {
            links: LinkWatch::open().map_err(of("rtnetlink"))?,
            guardian: Guardian::start().map_err(of("the guardian"))?,
            host,
            members: Vec::new(),
            routed: Vec::new(),
            mesh: None,
            relays: HashMap::new(),
            ghosts: Ghosts::default(),
            charged: Charge::default(),
            physician: Physician::new(setup.plan.doubt),
            route_physician: Physician::new(setup.plan.doubt),
            plan: setup.plan,
            traffic: setup.traffic,
            commands,
            orders,
            board,
            hub: setup.hub,
            dropped: Tally::default(),
            delay: Arc::default(),
            relaying: HashMap::new(),
            shared_tickets: 0,
            exchange,
            mirror: setup.mirror,
            exchanged: 0,
            routed_yielded: false,
            phase: Phase::Waits,
            waiting: Vec::new(),
            checkup_at: now,
            reopen_at: now + REOPEN,
            tell_at: now,
            changed: true,
            conflict_told: None,
        };
        for plan in keeper.plan.groups.clone() {
            let place = Place::open(&keeper.host, &plan, setup.succeeds)?;
            keeper.attach_relay(&place);
            keeper.members.push(Member::new(plan, place, now));
        }
        for plan in keeper.plan.routed.clone() {
            keeper
                .routed
                .push(Routed::open(&keeper.host, plan, setup.succeeds)?);
        }
        Ok(keeper)
    }

    /// Runs until it is told to end.
    pub(super) fn run(mut self) {
        let mut now = Instant::now();
        loop {
            // What was due before the last turn has been done in it.
            let due = self.deadline().max(now + LEAST_SLEEP);
            self.sleep(due);
            now = Instant::now();
            let late = now.saturating_duration_since(due);
            if !late.is_zero() {
                self.delay.record(late);
            }
            if let Some(mesh) = &mut self.mesh {
                mesh.looked(now, late);
            }
            self.read(now);
            if self.obey(now) {
                return self.end();
            }
            self.tick(now);
            self.settle(now);
            self.tell(now);
        }
    }

    /// The member of this group.
    fn member(&mut self, group: GroupId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id() == group)
    }

    fn deadline(&self) -> Instant {
        let members = self.members.iter().filter_map(Member::deadline);
        let mesh = self.mesh.as_ref().map(Mesh::deadline);
        let due = members.chain(mesh).chain(self.ghosts.deadline());
        due.fold(self.checkup_at.min(self.tell_at), Instant::min)
    }

    fn sleep(&self, due: Instant) {
        let mut watched = vec![input(self.commands.as_fd()), input(self.links.as_fd())];
        for place in self
            .members
            .iter()
            .filter_map(|member| member.place.as_ref())
        {
            watched.push(input(place.socket.as_fd()));
            watched.extend(
                place
                    .conflicts
                    .iter()
                    .map(|conflicts| input(conflicts.as_fd())),
            );
        }
        watched.extend(self.routed.iter().map(|routed| input(routed.as_fd())));
        for (fd, writes) in self.mesh.iter().flat_map(Mesh::sockets) {
            let out = if writes {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            watched.push(PollFd::from_borrowed_fd(fd, PollFlags::IN | out));
        }
        let time = due.saturating_duration_since(Instant::now());
        let time = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        // An interrupted sleep is a short one.
        let _ = poll(&mut watched, Some(&time));
    }

    fn read(&mut self, now: Instant) {
        self.read_links(now);
        for member in &mut self.members {
            hear::read_adverts(member, self.mesh.as_ref(), &mut self.dropped, now);
            hear::read_claims(member, now);
        }
        for routed in &self.routed {
            routed.drain();
        }
        if let Some(mesh) = &mut self.mesh {
            mesh.read(now);
        }
        self.hear(now);
    }

    fn tick(&mut self, now: Instant) {
        if let Some(mesh) = &mut self.mesh {
            mesh.tick(now);
        }
        self.hear(now);
        if now >= self.checkup_at {
            self.checkup_at = now + CHECKUP;
            self.guardian.tend();
            self.reopen(now);
            self.check_up(now);
        }
        for member in &mut self.members {
            member.tick(now);
        }
        let traffic = self.traffic.clone();
        let laid = self.ghosts.tick(&mut self.host, now, |addresses| {
            traffic.connections_at(addresses)
        });
        self.lay(&laid);
    }

    /// Does what the elections ask for, until they ask for nothing more.
    fn settle(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            let actions = self.members[at].election.actions();
            for action in actions {
                self.changed = true;
                self.act(at, action, now);
            }
        }
        self.answer_orders();
        self.answer_leave(now);
        let state = self.own_state();
        if let Some(mesh) = &mut self.mesh {
            mesh.set_own(state, now);
        }
        self.charge();
    }
}
