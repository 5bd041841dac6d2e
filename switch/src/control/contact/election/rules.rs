//! What follows from what was seen: who stands where, and who is to hold the addresses.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::action::{Action, Why};
use super::{ANSWER, Election, Fitness, HANDOVER, LEAVES, REQUEST, REQUESTS, State};
use crate::control::contact::group::Role;

impl Election {
    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn rank(&self) -> (u8, IpAddr) {
        (self.priority(), self.settings.own)
    }

    /// RFC 9568, 6.1: the less preferred waits longer.
    fn skew(&self) -> Duration {
        self.active_interval * (256 - u32::from(self.priority())) / 256
    }

    fn down_interval(&self) -> Duration {
        3 * self.active_interval + self.skew()
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = (u8, IpAddr)> {
        let standing = self
            .peers
            .iter()
            .filter(|(_, sight)| sight.role == Role::Standby && sight.priority > LEAVES);
        standing.map(|(peer, sight)| (sight.priority, *peer))
    }

    pub(super) fn best(&self) -> Option<IpAddr> {
        self.candidates().max().map(|(_, peer)| peer)
    }

    pub(super) fn take(&mut self, why: Why, now: Instant) {
        self.yielded = false;
        self.push(Action::Acquire);
        self.push(Action::Became(Role::Active, why));
        self.active_interval = self.settings.interval;
        self.advertise(now);
    }

    pub(super) fn advertise(&mut self, now: Instant) {
        self.push(Action::Advertise(self.priority()));
        self.state = State::Active {
            advertise_at: now + self.settings.interval,
        };
    }

    pub(super) fn stand_by(&mut self, holder: Option<IpAddr>, why: Why, now: Instant) {
        self.state = State::Standby {
            down_at: now + self.down_interval(),
            holder,
            asked: None,
        };
        self.push(Action::Became(Role::Standby, why));
    }

    pub(super) fn step_out(&mut self, why: Why) {
        self.state = State::Out;
        self.push(Action::Became(Role::Out, why));
    }

    pub(super) fn heard_leaving(&mut self, from: IpAddr, now: Instant) {
        match self.state {
            State::Standby { holder, .. } if holder.is_none_or(|holder| holder == from) => {
                if let Some(sight) = self.peers.get_mut(&from) {
                    sight.role = Role::Out;
                }
                self.holder_gone(now);
            }
            State::Active { .. } => self.say_so(now),
            _ => {}
        }
    }

    /// Somebody says that it holds the addresses.
    pub(super) fn heard_holder(
        &mut self,
        from: IpAddr,
        priority: u8,
        interval: Option<Duration>,
        now: Instant,
    ) {
        match self.state {
            State::Out => {}
            State::Standby { .. } => self.follow(from, priority, interval, now),
            State::Active { .. } if self.is_handing(from, now) => {}
            State::Active { .. } if (priority, from) > self.rank() => {
                self.push(Action::Conflict(from));
                // Who hears that there was another one announces the addresses again.
                self.push(Action::Advertise(self.priority()));
                self.let_go(from, Why::Conflict, now);
            }
            State::Active { .. } => self.insist(from, now),
            State::Yielding { stops, .. } => self.handed_over(from, stops, now),
        }
    }

    fn is_handing(&self, from: IpAddr, now: Instant) -> bool {
        self.handed_by
            .is_some_and(|(by, until)| by == from && now < until)
    }

    /// As a standby (RFC 9568, 6.4.2).
    fn follow(&mut self, from: IpAddr, priority: u8, interval: Option<Duration>, now: Instant) {
        let prefers_itself = priority < self.priority()
            && self.settings.preempt
            && !self.yielded
            && now >= self.preempt_from;
        if prefers_itself && !self.ask(from, now) {
            // Its time runs out as if it were not there.
            return;
        }
        if let Some(interval) = interval {
            self.active_interval = interval;
        }
        let down_interval = self.down_interval();
        if let State::Standby {
            down_at, holder, ..
        } = &mut self.state
        {
            *holder = Some(from);
            *down_at = now + down_interval;
        }
    }

    /// Asks a holder that there is a session with to hand over; whether there is hope that it does.
    fn ask(&mut self, from: IpAddr, now: Instant) -> bool {
        let is_peer = self.peers.contains_key(&from);
        let State::Standby { asked, .. } = &mut self.state else {
            return false;
        };
        let (at, times) = asked.map_or((None, 0), |(at, times)| (Some(at), times));
        if !is_peer || times >= REQUESTS {
            return false;
        }
        if at.is_none_or(|at| now >= at + REQUEST) {
            *asked = Some((now, times + 1));
            self.push(Action::Request(from));
        }
        true
    }

    /// The holder is gone for sure: the best of those who know takes over at once, the others wait
    /// for it.
    pub(super) fn holder_gone(&mut self, now: Instant) {
        let other = self
            .peers
            .iter()
            .find(|(_, sight)| sight.role == Role::Active);
        if let Some((&other, _)) = other {
            if let State::Standby { holder, .. } = &mut self.state {
                *holder = Some(other);
            }
            return;
        }
        if self.candidates().all(|other| other < self.rank()) {
            return self.take(Why::Death, now);
        }
        let latest = now + self.skew();
        if let State::Standby {
            down_at, holder, ..
        } = &mut self.state
        {
            *holder = None;
            *down_at = latest.min(*down_at);
        }
    }

    /// As the holder, against another one that is less preferred.
    fn insist(&mut self, from: IpAddr, now: Instant) {
        if self.may_answer(now) {
            self.push(Action::Conflict(from));
            self.push(Action::Announce);
            self.advertise(now);
        }
    }

    /// As the holder, to who may think that there is none.
    fn say_so(&mut self, now: Instant) {
        if self.may_answer(now) {
            self.advertise(now);
        }
    }

    fn may_answer(&mut self, now: Instant) -> bool {
        let may = self.answered.is_none_or(|at| now >= at + ANSWER);
        if may {
            self.answered = Some(now);
        }
        may
    }

    /// Gives the addresses up because another switch holds them.
    fn let_go(&mut self, holder: IpAddr, why: Why, now: Instant) {
        self.push(Action::Release { to: None });
        self.stand_by(Some(holder), why, now);
    }

    pub(super) fn hand_to(&mut self, peer: IpAddr, stops: bool, now: Instant) {
        self.push(Action::Yield(peer));
        self.state = State::Yielding {
            to: Some(peer),
            until: now + HANDOVER,
            stops,
        };
    }

    /// Hands over to whoever listens, which nobody may do.
    pub(super) fn leave_to_anyone(&mut self, stops: bool, now: Instant) {
        self.push(Action::Advertise(LEAVES));
        self.state = State::Yielding {
            to: None,
            until: now + self.settings.interval + HANDOVER,
            stops,
        };
    }

    fn handed_over(&mut self, to: IpAddr, stops: bool, now: Instant) {
        self.push(Action::Release { to: Some(to) });
        if stops {
            return self.step_out(Why::Stop);
        }
        self.stand_by(Some(to), Why::Yield, now);
    }

    /// Nobody has taken over in time.
    pub(super) fn hand_on(&mut self, stops: bool, now: Instant) {
        let State::Yielding { to, .. } = self.state else {
            return;
        };
        if let Some(to) = to {
            // Whatever it says of itself, it does not answer.
            self.peers.remove(&to);
            return match self.best() {
                Some(next) => self.hand_to(next, stops, now),
                None if stops => self.leave_to_anyone(true, now),
                None => self.take_back(now),
            };
        }
        if stops {
            self.push(Action::Release { to: None });
            return self.step_out(Why::Stop);
        }
        self.take_back(now);
    }

    /// It holds the addresses still: nobody else wants them.
    fn take_back(&mut self, now: Instant) {
        self.yielded = false;
        self.push(Action::Announce);
        self.advertise(now);
    }

    pub(super) fn give_way_if_weak(&mut self, now: Instant) {
        if self.fitness != Fitness::Weak || !matches!(self.state, State::Active { .. }) {
            return;
        }
        if let Some((priority, peer)) = self.candidates().max()
            && priority > self.priority()
        {
            self.hand_to(peer, false, now);
        }
    }

    pub(super) fn drop_out(&mut self, why: Why) {
        if self.role() == Role::Active {
            if let Some(peer) = self.best() {
                self.push(Action::Yield(peer));
            }
            self.push(Action::Release { to: None });
            self.push(Action::Advertise(LEAVES));
        }
        if self.state != State::Out {
            self.step_out(why);
        }
    }
}
