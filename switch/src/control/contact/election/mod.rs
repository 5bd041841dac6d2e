//! Who holds the addresses of one group: a state machine without I/O. Time and what was seen go
//! in, actions come out.
//!
//! Its base is VRRP version 3 (RFC 9568, 6.4), so that any other implementation can be a member.
//! Switches that keep sessions with each other are faster: they see a holder die, they ask for what
//! they are preferred for, and they hand over before they let go.

mod action;
mod rules;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use action::{Action, Why};

use super::group::{GroupId, Role};

/// For a peer to take over what was handed to it.
const HANDOVER: Duration = Duration::from_millis(400);
/// Between two requests to the holder to hand over.
const REQUEST: Duration = Duration::from_secs(1);
/// Requests until a holder that does not heed them is preempted as VRRP does it.
const REQUESTS: u32 = 5;
/// Between two answers to the same contradiction: nobody can make this switch flood the network.
const ANSWER: Duration = Duration::from_millis(5);
/// The priority that says "I leave" (RFC 9568, 5.2.4).
const LEAVES: u8 = 0;
/// The priority of the addresses' owner.
const OWNER: u8 = 255;
/// The priority of a switch that serves worse than it should.
const WEAK: u8 = 1;

/// A member's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The group.
    pub group: GroupId,
    /// From which this switch sends adverts; of two with the same priority the greater one wins.
    pub own: IpAddr,
    /// 1 to 255.
    pub priority: u8,
    /// Between adverts.
    pub interval: Duration,
    /// Whether it takes the addresses back from a holder that is less preferred.
    pub preempt: bool,
    /// From its start on it waits so long before it does.
    pub preempt_delay: Duration,
}

/// How well a switch can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// Not at all: no link, no listeners, no pulse.
    Unfit,
    /// Worse than another switch, as far as is known.
    Weak,
    /// As it should.
    Fit,
}

/// What is seen of another switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// What it is for the group.
    pub role: Role,
    /// The priority that it stands with.
    pub priority: u8,
}

/// One member's view of who holds the group's addresses.
#[derive(Debug)]
pub struct Election {
    settings: Settings,
    fitness: Fitness,
    state: State,
    /// Switches with which there is a session, by the address of their adverts.
    peers: BTreeMap<IpAddr, Sight>,
    /// The holder's interval, learned from its adverts (RFC 9568: Active_Adver_Interval).
    active_interval: Duration,
    /// No preemption before.
    preempt_from: Instant,
    /// It was told to give way: it takes over only where nobody else is.
    yielded: bool,
    /// Whom it has just taken over from, and until when that one may still say that it holds.
    handed_by: Option<(IpAddr, Instant)>,
    /// When a contradiction was last answered.
    answered: Option<Instant>,
    actions: Vec<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Out,
    Standby {
        /// When the holder counts as gone (RFC 9568: Active_Down_Timer).
        down_at: Instant,
        holder: Option<IpAddr>,
        /// When the holder was last asked to hand over, and how often.
        asked: Option<(Instant, u32)>,
    },
    Active {
        advertise_at: Instant,
    },
    /// It holds the addresses until another one says that it does.
    Yielding {
        to: Option<IpAddr>,
        until: Instant,
        /// The process is about to end.
        stops: bool,
    },
}

impl Election {
    /// A member that is out until [`Election::start`].
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            active_interval: settings.interval,
            preempt_from: now + settings.preempt_delay,
            settings,
            fitness: Fitness::Fit,
            state: State::Out,
            peers: BTreeMap::new(),
            yielded: false,
            handed_by: None,
            answered: None,
            actions: Vec::new(),
        }
    }

    /// What is to be done, in this order. To be asked after every other call.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When [`Election::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Out => None,
            State::Standby { down_at, .. } => Some(down_at),
            State::Active { advertise_at } => Some(advertise_at),
            State::Yielding { until, .. } => Some(until),
        }
    }

    /// What this switch is now.
    pub fn role(&self) -> Role {
        match self.state {
            State::Out => Role::Out,
            State::Standby { .. } => Role::Standby,
            State::Active { .. } | State::Yielding { .. } => Role::Active,
        }
    }

    /// The priority that it stands with now.
    pub fn priority(&self) -> u8 {
        match self.fitness {
            Fitness::Unfit => LEAVES,
            Fitness::Weak if self.settings.priority < OWNER => WEAK,
            Fitness::Weak | Fitness::Fit => self.settings.priority,
        }
    }

    /// Who holds the addresses, as far as is known.
    pub fn holder(&self) -> Option<IpAddr> {
        match self.state {
            State::Out => None,
            State::Standby { holder, .. } => holder,
            State::Active { .. } | State::Yielding { .. } => Some(self.settings.own),
        }
    }

    /// Whether it was told to give way, and stands back since.
    pub fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// Peers that would take over.
    pub fn standbys(&self) -> usize {
        self.candidates().count()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Joins the group.
    pub fn start(&mut self, now: Instant) {
        if self.state != State::Out || self.fitness == Fitness::Unfit {
            return;
        }
        if self.settings.priority == OWNER {
            return self.take(Why::Start, now);
        }
        self.stand_by(None, Why::Start, now);
    }

    /// Goes on as the holder, where the process before left off.
    pub fn inherit(&mut self, now: Instant) {
        self.take(Why::Upgrade, now);
    }

    /// Takes another priority, interval or preemption; the group and the address stay.
    pub fn change(&mut self, settings: Settings, now: Instant) {
        self.settings = settings;
        if let State::Active { advertise_at } = &mut self.state {
            // Whoever learns the interval from adverts learns it now.
            *advertise_at = now;
        }
    }

    /// An advert has come (RFC 9568, 6.4.2 and 6.4.3).
    pub fn advert(&mut self, from: IpAddr, priority: u8, interval: Duration, now: Instant) {
        if priority == LEAVES {
            return self.heard_leaving(from, now);
        }
        self.heard_holder(from, priority, Some(interval), now);
    }

    /// A heartbeat or a message has told how another switch stands. What one switch says is to be
    /// handed in in the order in which it was said.
    pub fn saw(&mut self, from: IpAddr, sight: Sight, now: Instant) {
        let before = self.peers.insert(from, sight);
        let held_before = before.is_some_and(|before| before.role == Role::Active);
        if sight.role == Role::Active {
            return self.heard_holder(from, sight.priority, None, now);
        }
        match self.state {
            // It held the addresses as well, or was cut off: neighbours may still go there.
            State::Active { .. } if held_before || before.is_none() => self.push(Action::Announce),
            State::Active { .. } => self.give_way_if_weak(now),
            // An advert may have come before a heartbeat that is older.
            State::Standby { holder, .. } if holder == Some(from) && held_before => {
                self.holder_gone(now);
            }
            _ => {}
        }
    }

    /// A switch that there was a session with is gone.
    pub fn lost(&mut self, peer: IpAddr, now: Instant) {
        let sight = self.peers.remove(&peer);
        let held = sight.is_some_and(|sight| sight.role == Role::Active);
        match self.state {
            State::Standby { holder, .. } if held || holder == Some(peer) => self.holder_gone(now),
            State::Yielding { to, stops, .. } if to == Some(peer) => self.hand_on(stops, now),
            _ => {}
        }
    }

    /// The holder says: take over now.
    pub fn told_to_take(&mut self, from: IpAddr, now: Instant) {
        if !matches!(self.state, State::Standby { .. }) {
            return;
        }
        self.handed_by = Some((from, now + HANDOVER));
        self.take(Why::Handover, now);
    }

    /// A switch says that it is preferred for what this one holds.
    pub fn asked_for(&mut self, from: IpAddr, now: Instant) {
        let Some(&sight) = self.peers.get(&from) else {
            return;
        };
        let preferred = (sight.priority, from) > self.rank();
        if preferred && sight.role == Role::Standby && matches!(self.state, State::Active { .. }) {
            self.hand_to(from, false, now);
        }
    }

    /// Another switch has taken the addresses off the network: neighbours may still go there.
    pub fn heard_released(&mut self) {
        if matches!(self.state, State::Active { .. }) {
            self.push(Action::Announce);
        }
    }

    /// Whether it can hand over now; without `force` only when a peer would take over.
    ///
    /// # Errors
    /// Why not.
    pub fn may_give_way(&self, force: bool) -> Result<(), &'static str> {
        match self.state {
            State::Out => Err("this switch is out"),
            State::Yielding { .. } => Err("it is handing over already"),
            State::Active { .. } if self.best().is_none() && !force => {
                Err("no standby switch is known to take over: --force gives way nevertheless")
            }
            State::Active { .. } | State::Standby { .. } => Ok(()),
        }
    }

    /// Hands over and stands back until [`Election::resume`], or until nobody else is there.
    pub fn give_way(&mut self, now: Instant) {
        if matches!(self.state, State::Active { .. }) {
            match self.best() {
                Some(peer) => self.hand_to(peer, false, now),
                None => self.leave_to_anyone(false, now),
            }
        }
        self.yielded = true;
    }

    /// Stands back from the beginning.
    pub fn stand_back(&mut self) {
        self.yielded = true;
    }

    /// Whether it waits for another one to take over.
    pub fn is_yielding(&self) -> bool {
        matches!(self.state, State::Yielding { .. })
    }

    /// Stands as its priority says again.
    pub fn resume(&mut self, now: Instant) {
        self.yielded = false;
        self.preempt_from = now;
    }

    /// Something has changed about how well this switch can serve.
    pub fn set_fitness(&mut self, fitness: Fitness, now: Instant) {
        let before = std::mem::replace(&mut self.fitness, fitness);
        match (before, fitness) {
            (_, Fitness::Unfit) => self.drop_out(Why::Fault),
            (Fitness::Unfit, _) => self.start(now),
            (Fitness::Fit, Fitness::Weak) => self.give_way_if_weak(now),
            _ => {}
        }
    }

    /// Leaves the group: hands over first where somebody would take over.
    pub fn stop(&mut self, now: Instant) {
        match (self.state, self.best()) {
            (State::Active { .. }, Some(peer)) => self.hand_to(peer, true, now),
            (State::Active { .. }, None) => self.leave_to_anyone(true, now),
            (State::Yielding { to, until, .. }, _) => {
                self.state = State::Yielding {
                    to,
                    until,
                    stops: true,
                };
            }
            (State::Standby { .. }, _) => self.step_out(Why::Stop),
            (State::Out, _) => {}
        }
    }

    /// Leaves the group at once: somebody else is to see to the addresses.
    pub fn depart(&mut self) {
        self.drop_out(Why::Stop);
    }

    /// Leaves at once and without a word: the process after this one goes on with the role.
    pub fn bequeath(&mut self) -> bool {
        let holds = self.role() == Role::Active;
        self.state = State::Out;
        self.actions.clear();
        holds
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        match self.state {
            State::Standby { down_at, .. } if now >= down_at => self.take(Why::Silence, now),
            State::Active { advertise_at } if now >= advertise_at => self.advertise(now),
            State::Yielding { until, stops, .. } if now >= until => self.hand_on(stops, now),
            _ => {}
        }
    }
}
