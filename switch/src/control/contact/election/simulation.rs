//! Whole groups in a simulated network: frames are lost and late, clocks drift, threads stall,
//! switches die, return and are cut off. Whatever happens, a side that can talk has one holder soon
//! after, and never two for longer than an interval.
//!
//! `POINTSMAN_TEST_SEEDS=3000` runs so many groups; every failure names its seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;
use crate::control::contact::group::Family;
use crate::control::contact::peer::watch::Watch;
use crate::control::random::SplitMix;

const INTERVAL: Duration = Duration::from_millis(100);
const HEARTBEAT: Duration = Duration::from_millis(5);
const MISSES: u32 = 3;
/// Simulated time of one group.
const LIFE: Duration = Duration::from_secs(30);
/// For one holder after the last change, where frames are lost.
const SETTLE: Duration = Duration::from_millis(700);
/// So long there may be two holders of one side.
const OVERLAP: Duration = Duration::from_millis(105);

#[test]
fn groups_of_peers_have_one_holder_on_each_side_whatever_happens() {
    each_seed(60, |seed| Group::new(seed, Kind::PEERS).live());
}

#[test]
fn groups_without_sessions_have_one_holder_on_each_side_whatever_happens() {
    each_seed(60, |seed| Group::new(seed, Kind::VRRP).live());
}

#[test]
fn peers_on_a_network_that_loses_frames_settle_on_one_holder() {
    each_seed(60, |seed| Group::new(seed, Kind::LOSSY).live());
}

#[test]
fn nobody_takes_over_from_a_holder_that_lives() {
    each_seed(30, |seed| {
        let mut group = Group::new(seed, Kind::CALM);
        group.live();
        assert!(
            group.last_change < Duration::from_secs(1),
            "seed {seed}: a takeover at {:?}",
            group.last_change
        );
    });
}

fn each_seed(usual: u64, run: impl Fn(u64)) {
    let wanted = std::env::var("POINTSMAN_TEST_SEEDS");
    let seeds = wanted.ok().and_then(|text| text.parse().ok());
    (0..seeds.unwrap_or(usual)).for_each(run);
}

/// What may happen to a group.
#[derive(Clone, Copy)]
struct Kind {
    sessions: bool,
    /// Of a thousand frames.
    lost: u64,
    faults: bool,
}

impl Kind {
    const PEERS: Self = Self {
        sessions: true,
        lost: 0,
        faults: true,
    };
    const VRRP: Self = Self {
        sessions: false,
        ..Self::PEERS
    };
    const LOSSY: Self = Self {
        lost: 20,
        ..Self::PEERS
    };
    const CALM: Self = Self {
        faults: false,
        ..Self::PEERS
    };
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Advert(u8),
    Beat(Sight, u64),
    Yield,
    Request,
    Closed,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrives {
        from: usize,
        to: usize,
        said: Said,
        life: u64,
    },
    Wakes(usize),
    Beats(usize),
    Fate,
}

struct Node {
    election: Election,
    watches: BTreeMap<usize, Watch>,
    /// The last heartbeat of each peer.
    heard: BTreeMap<usize, u64>,
    alive: bool,
    /// Counts its lives: what was on its way to an earlier one is lost.
    life: u64,
    /// Of a million: how much faster its clock runs.
    drift: i64,
    /// Its thread does not run before.
    stalls_until: Duration,
    mailbox: Vec<(usize, Said)>,
    holds: bool,
    /// When it wanted to wake.
    due: Duration,
    /// When it will.
    wakes: Option<Duration>,
}

struct Group {
    seed: u64,
    kind: Kind,
    base: Instant,
    now: Duration,
    random: SplitMix,
    nodes: Vec<Node>,
    /// Nodes of the same number can talk.
    side: Vec<u8>,
    queue: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    events: Vec<Event>,
    sent: u64,
    changed: Duration,
    doubled: Option<Duration>,
    last_change: Duration,
}

impl Group {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut random = SplitMix::new(seed);
        let count = 2 + (random.next_u64() % 3) as usize;
        let base = Instant::now();
        let nodes = (0..count).map(|at| Node::new(at, kind, &mut random, base));
        let nodes: Vec<Node> = nodes.collect();
        let mut group = Self {
            seed,
            kind,
            base,
            now: Duration::ZERO,
            random,
            side: vec![0; count],
            nodes,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            sent: 0,
            changed: Duration::ZERO,
            doubled: None,
            last_change: Duration::ZERO,
        };
        for at in 0..count {
            group.start(at);
        }
        if kind.faults {
            group.push(Duration::from_secs(1), Event::Fate);
        }
        group
    }

    fn live(&mut self) {
        while let Some(Reverse((time, _, event))) = self.queue.pop() {
            if time > LIFE {
                return;
            }
            self.now = time;
            let event = std::mem::replace(&mut self.events[event], Event::Fate);
            self.happen(event);
            self.judge();
        }
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.sent += 1;
        self.events.push(event);
        let at = self.events.len() - 1;
        self.queue.push(Reverse((self.now + after, self.sent, at)));
    }

    fn start(&mut self, at: usize) {
        let now = self.local(at);
        self.nodes[at].election.start(now);
        self.work(at);
        let phase = Duration::from_micros(self.random.next_u64() % 5000);
        if self.kind.sessions {
            self.push(phase, Event::Beats(at));
        }
    }

    /// What the node's clock shows.
    fn local(&self, at: usize) -> Instant {
        let nanos = self.now.as_nanos() as i64;
        let drifted = nanos + nanos / 1_000_000 * self.nodes[at].drift;
        self.base + Duration::from_nanos(drifted as u64)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives {
                from,
                to,
                said,
                life,
            } => {
                let reaches = self.side[from] == self.side[to] || matches!(said, Said::Closed);
                if self.nodes[to].alive && self.nodes[to].life == life && reaches {
                    self.nodes[to].mailbox.push((from, said));
                    self.turn(to);
                }
            }
            // An earlier one has been found to be due meanwhile.
            Event::Wakes(at) if self.nodes[at].wakes != Some(self.now) => {}
            Event::Wakes(at) => {
                self.nodes[at].wakes = None;
                self.turn(at);
            }
            Event::Beats(at) => self.beat(at),
            Event::Fate => self.fate(),
        }
    }

    /// One turn of the node's loop, unless its thread stalls.
    fn turn(&mut self, at: usize) {
        if !self.nodes[at].alive {
            return;
        }
        if self.now < self.nodes[at].stalls_until {
            let left = self.nodes[at].stalls_until - self.now;
            return self.wake(at, left);
        }
        let now = self.local(at);
        let late = self.now.saturating_sub(self.nodes[at].due);
        for watch in self.nodes[at].watches.values_mut() {
            watch.looked(now, late);
        }
        for (from, said) in std::mem::take(&mut self.nodes[at].mailbox) {
            self.hear(at, from, said, now);
        }
        self.nodes[at].election.tick(now);
        self.bury(at, now);
        self.work(at);
    }

    fn wake(&mut self, at: usize, after: Duration) {
        // Where a clock is slow, its nanoseconds would never be over.
        let after = after.max(Duration::from_micros(1));
        let time = self.now + after;
        let wakes = &mut self.nodes[at].wakes;
        if wakes.is_none_or(|known| time < known || known < self.now) {
            *wakes = Some(time);
            self.push(after, Event::Wakes(at));
        }
    }

    fn hear(&mut self, at: usize, from: usize, said: Said, now: Instant) {
        let node = &mut self.nodes[at];
        let peer = ip(from);
        match said {
            Said::Advert(priority) => node.election.advert(peer, priority, INTERVAL, now),
            // The network has sent an older one by a longer way.
            Said::Beat(_, sequence) if node.heard.get(&from) >= Some(&sequence) => {}
            Said::Beat(sight, sequence) => {
                node.heard.insert(from, sequence);
                let watch = node.watches.entry(from);
                watch
                    .or_insert_with(|| Watch::new(HEARTBEAT, MISSES))
                    .heard(now);
                node.election.saw(peer, sight, now);
            }
            Said::Yield => node.election.told_to_take(peer, now),
            Said::Request => node.election.asked_for(peer, now),
            Said::Closed => {
                if let Some(watch) = node.watches.get_mut(&from) {
                    watch.session_ended(now);
                }
            }
        }
    }

    /// Takes note of peers that are silent.
    fn bury(&mut self, at: usize, now: Instant) {
        let node = &mut self.nodes[at];
        let dead: Vec<usize> = node
            .watches
            .iter_mut()
            .filter_map(|(peer, watch)| watch.is_dead(now).then_some(*peer))
            .collect();
        for peer in dead {
            node.watches.remove(&peer);
            node.election.lost(ip(peer), now);
        }
    }

    /// Does what the node's election asks for.
    fn work(&mut self, at: usize) {
        for action in self.nodes[at].election.actions() {
            match action {
                Action::Acquire => {
                    self.last_change = self.now;
                    self.nodes[at].holds = true;
                }
                Action::Release { .. } => self.nodes[at].holds = false,
                Action::Advertise(priority) => self.send_all(at, Said::Advert(priority)),
                Action::Yield(to) => self.send(at, node_of(to), Said::Yield),
                Action::Request(to) => self.send(at, node_of(to), Said::Request),
                Action::Became(..) if self.kind.sessions => self.beat_once(at),
                Action::Became(..) | Action::Announce | Action::Conflict(_) => {}
            }
        }
        let local = self.local(at);
        let node = &self.nodes[at];
        let watches = node.watches.values().filter_map(Watch::deadline);
        let due = watches.chain(node.election.deadline()).min();
        if let Some(due) = due {
            let after = due.saturating_duration_since(local);
            self.nodes[at].due = self.now + after;
            self.wake(at, after);
        }
    }

    fn beat(&mut self, at: usize) {
        if !self.nodes[at].alive {
            return;
        }
        let stall = self.nodes[at].stalls_until.saturating_sub(self.now);
        if stall.is_zero() {
            self.beat_once(at);
            // A thread of raised priority is seldom late, and not by much.
            if self.random.next_u64().is_multiple_of(200) {
                let stall = Duration::from_micros(self.random.next_u64() % 8000);
                self.nodes[at].stalls_until = self.now + stall;
            }
        }
        self.push(stall.max(HEARTBEAT), Event::Beats(at));
    }

    fn beat_once(&mut self, at: usize) {
        let election = &self.nodes[at].election;
        let sight = Sight {
            role: election.role(),
            priority: election.priority(),
        };
        self.send_all(at, Said::Beat(sight, self.sent));
    }

    fn send_all(&mut self, from: usize, said: Said) {
        (0..self.nodes.len())
            .filter(|to| *to != from)
            .for_each(|to| self.send(from, to, said));
    }

    fn send(&mut self, from: usize, to: usize, said: Said) {
        let is_frame = matches!(said, Said::Advert(_) | Said::Beat(..));
        if is_frame && self.random.next_u64() % 1000 < self.kind.lost {
            return;
        }
        let delay = Duration::from_micros(50 + self.random.next_u64() % 1000);
        let life = self.nodes[to].life;
        self.push(
            delay,
            Event::Arrives {
                from,
                to,
                said,
                life,
            },
        );
    }

    /// Something happens to the group; the last third of its life is quiet.
    fn fate(&mut self) {
        if self.now > LIFE * 2 / 3 {
            self.side.fill(0);
            for at in 0..self.nodes.len() {
                self.revive(at);
            }
            self.changed = self.now;
            return;
        }
        let at = (self.random.next_u64() % self.nodes.len() as u64) as usize;
        match self.random.next_u64() % 6 {
            0 => self.kill(at, true),
            1 => self.kill(at, false),
            2 => self.revive(at),
            3 => self.side[at] = (self.random.next_u64() % 2) as u8,
            4 => self.side.fill(0),
            _ => self.order(at),
        }
        self.changed = self.now;
        let pause = Duration::from_millis(200 + self.random.next_u64() % 2000);
        self.push(pause, Event::Fate);
    }

    /// The process dies, which its system tells the others; or the whole host does.
    fn kill(&mut self, at: usize, is_process: bool) {
        self.nodes[at].alive = false;
        self.nodes[at].holds = false;
        self.nodes[at].life += 1;
        if is_process && self.kind.sessions {
            self.send_all(at, Said::Closed);
        }
    }

    fn revive(&mut self, at: usize) {
        if self.nodes[at].alive {
            return;
        }
        let now = self.local(at);
        let node = &mut self.nodes[at];
        node.alive = true;
        node.election = Election::new(node.election.settings().clone(), now);
        node.watches.clear();
        node.mailbox.clear();
        self.start(at);
    }

    fn order(&mut self, at: usize) {
        let now = self.local(at);
        let node = &mut self.nodes[at];
        if !node.alive {
            return;
        }
        if node.election.has_yielded() {
            node.election.resume(now);
        } else if node.election.may_give_way(false).is_ok() {
            node.election.give_way(now);
        }
        self.work(at);
    }

    fn judge(&mut self) {
        let since = self.now - self.changed;
        let mut doubled = false;
        for side in [0, 1] {
            let there: Vec<&Node> = self
                .nodes
                .iter()
                .zip(&self.side)
                .filter_map(|(node, own)| (*own == side).then_some(node))
                .collect();
            let alive = there.iter().filter(|node| node.alive).count();
            let holders = there.iter().filter(|node| node.holds).count();
            doubled |= holders > 1;
            if alive > 0 && since > SETTLE {
                assert!(
                    holders > 0,
                    "seed {}: nobody holds on side {side} at {:?}",
                    self.seed,
                    self.now
                );
            }
        }
        let from = match (self.doubled, doubled) {
            (_, false) => None,
            (None, true) => Some(self.now),
            (known, true) => known,
        };
        self.doubled = from;
        let lasted = from.map_or(Duration::ZERO, |from| self.now - from);
        assert!(
            lasted <= OVERLAP,
            "seed {}: two holders for {lasted:?} at {:?}",
            self.seed,
            self.now
        );
    }
}

impl Node {
    fn new(at: usize, kind: Kind, random: &mut SplitMix, base: Instant) -> Self {
        let settings = Settings {
            group: GroupId {
                number: 51,
                family: Family::Ipv4,
            },
            own: ip(at),
            priority: [50, 100, 100, 200][(random.next_u64() % 4) as usize],
            interval: INTERVAL,
            preempt: kind.faults && random.next_u64().is_multiple_of(2),
            preempt_delay: Duration::ZERO,
        };
        Self {
            election: Election::new(settings, base),
            watches: BTreeMap::new(),
            heard: BTreeMap::new(),
            alive: true,
            life: 0,
            drift: (random.next_u64() % 2000) as i64 - 1000,
            stalls_until: Duration::ZERO,
            mailbox: Vec::new(),
            holds: false,
            due: Duration::ZERO,
            wakes: None,
        }
    }
}

fn ip(at: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, at as u8 + 1])
}

fn node_of(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => unreachable!("all are IPv4"),
    }
}
