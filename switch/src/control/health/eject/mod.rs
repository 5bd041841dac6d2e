//! Ejection: a backend is taken out for what clients get from it, though its checks may pass.
//! After Envoy's outlier detection and HAProxy's `observe`.
//!
//! ```text
//!        `errors` in a row, or too many within `window`
//!   In --------------------------------------------------> Out
//!    ^                                                      |
//!    +------ after `for`, twice as long each time in a row -+
//! ```
//!
//! Whoever returns is on probation: its next error takes it out again, a request that goes well
//! ends that. Every `for` that it has been in since forgives one of its times out.
//!
//! One machine stands for one pool, since a pool has only so much room: no more than `max` of it
//! are out at once, but one always may; and the last one that can serve never is. No I/O: time,
//! errors and counts go in, actions come out.

mod window;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pointsman_config::policy::{Eject, ErrorRatio};

use self::window::{Window, worst};
use crate::control::random::SplitMix;
use crate::endpoint::EndpointId;

pub use self::window::Counts;

/// The cause of ejections by [`Eject::ratio`].
pub const RATIO: &str = "ratio";
/// How often a window is looked at while it passes.
const LOOKS: u32 = 10;
/// By how much times out are varied, so that backends that failed together do not return together.
const JITTER: f64 = 0.2;

/// What the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The endpoint takes no more requests.
    Eject {
        /// Which one.
        id: EndpointId,
        /// A reason's word, `status` or `ratio`.
        cause: &'static str,
        /// For how long.
        time: Duration,
        /// The how manieth time in a row.
        times: u32,
    },
    /// The endpoint takes requests again.
    Return {
        /// Which one.
        id: EndpointId,
    },
}

/// A member of the pool, as the machine has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The endpoint.
    pub id: EndpointId,
    /// Its weight lets it take requests at all.
    pub weighs: bool,
    /// Nothing but ejection keeps it from taking requests.
    pub able: bool,
}

/// What is remembered of an endpoint, for another process or another switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentence {
    /// For how much longer it is out; zero when it is in.
    pub left: Duration,
    /// Times out in a row.
    pub times: u32,
    /// The cause of the last one.
    pub cause: &'static str,
    /// For how long it has been in since.
    pub behaved: Duration,
}

/// The machine of one pool.
#[derive(Debug)]
pub struct Ejector {
    rules: Eject,
    records: BTreeMap<EndpointId, Record>,
    /// Looks are whole intervals after this, so that those of many pools fall together.
    epoch: Instant,
    /// When the counts are to be looked at next.
    look: Option<Instant>,
    /// When the first one that is out returns.
    first_return: Option<Instant>,
    random: SplitMix,
}

#[derive(Debug)]
struct Record {
    seat: Seat,
    /// Times out in a row, as they were at the last change.
    times: u32,
    cause: &'static str,
    place: Place,
    window: Window,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    In { since: Instant },
    Out { until: Instant },
}

impl Record {
    fn new(seat: Seat, now: Instant) -> Self {
        Self {
            seat,
            times: 0,
            cause: "",
            place: Place::In { since: now },
            window: Window::default(),
        }
    }

    fn until(&self) -> Option<Instant> {
        match self.place {
            Place::Out { until } => Some(until),
            Place::In { .. } => None,
        }
    }

    fn serves(&self) -> bool {
        self.seat.able && self.until().is_none()
    }

    /// Times out in a row that are not forgiven.
    fn counted(&self, now: Instant, base: Duration) -> u32 {
        match self.place {
            Place::Out { .. } => self.times,
            Place::In { since } => {
                let behaved = now.saturating_duration_since(since).as_nanos();
                let forgiven = behaved / base.as_nanos().max(1);
                let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
                self.times.saturating_sub(forgiven)
            }
        }
    }
}

impl Ejector {
    /// A machine without members. Equal epochs let the looks of several machines fall together.
    pub fn new(rules: Eject, epoch: Instant, now: Instant, seed: u64) -> Self {
        let mut ejector = Self {
            rules,
            records: BTreeMap::new(),
            epoch,
            look: None,
            first_return: None,
            random: SplitMix::new(seed),
        };
        ejector.plan_look(now);
        ejector
    }

    /// The rules in force.
    pub fn rules(&self) -> &Eject {
        &self.rules
    }

    /// The rules of a new policy. Who is out stays out for as long as was said.
    pub fn set_rules(&mut self, rules: &Eject, now: Instant) {
        if self.rules != *rules {
            self.rules = rules.clone();
            self.plan_look(now);
        }
    }

    /// The pool's members as they are now; what is known of others is forgotten.
    pub fn set_members(&mut self, now: Instant, seats: impl Iterator<Item = Seat>) {
        let mut before = std::mem::take(&mut self.records);
        let record = |seat: Seat| {
            let known = before.remove(&seat.id);
            let known = known.unwrap_or_else(|| Record::new(seat, now));
            (seat.id, Record { seat, ..known })
        };
        self.records = seats.map(record).collect();
        self.plan_return();
    }

    /// Whether anything but ejection keeps a member from taking requests has changed.
    pub fn set_able(&mut self, id: EndpointId, able: bool) {
        if let Some(record) = self.records.get_mut(&id) {
            record.seat.able = able && record.seat.weighs;
        }
    }

    /// Too many errors in a row.
    pub fn erred(&mut self, now: Instant, id: EndpointId, cause: &'static str) -> Option<Action> {
        self.eject(now, id, cause)
    }

    /// Its checks had found it down and find it up again: then it is another one than the one that
    /// failed, once. Whoever failed repeatedly stays out.
    pub fn recovered(&mut self, now: Instant, id: EndpointId) -> Option<Action> {
        let record = self.records.get_mut(&id)?;
        record.until().filter(|_| record.times <= 1)?;
        record.place = Place::In { since: now };
        self.plan_return();
        Some(Action::Return { id })
    }

    /// When [`Ejector::due`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.look, self.first_return].into_iter().flatten().min()
    }

    /// Does what is due; `counts` tells what a member has done since the start.
    pub fn due(&mut self, now: Instant, counts: impl Fn(EndpointId) -> Counts) -> Vec<Action> {
        let mut actions = self.returns(now);
        if self.look.is_some_and(|look| look <= now)
            && let Some(ratio) = self.rules.ratio.clone()
        {
            self.plan_look(now);
            actions.extend(self.look(now, &ratio, counts));
        }
        actions
    }

    /// What is known of members that were out and are not forgiven.
    pub fn export(&self, now: Instant) -> Vec<(EndpointId, Sentence)> {
        let sentence = |(id, record): (&EndpointId, &Record)| {
            let times = record.counted(now, self.rules.base);
            let sentence = match record.place {
                Place::In { since } => Sentence {
                    left: Duration::ZERO,
                    times: record.times,
                    cause: record.cause,
                    behaved: now.saturating_duration_since(since),
                },
                Place::Out { until } => Sentence {
                    left: until.saturating_duration_since(now),
                    times: record.times,
                    cause: record.cause,
                    behaved: Duration::ZERO,
                },
            };
            (times > 0).then_some((*id, sentence))
        };
        self.records.iter().filter_map(sentence).collect()
    }

    /// Takes over what another one knew, as far as there is room; the longer time out holds.
    pub fn adopt(&mut self, now: Instant, id: EndpointId, known: &Sentence) -> Option<Action> {
        let left = known.left.min(self.rules.longest);
        let room = self.may_eject(id);
        let base = self.rules.base;
        let record = self.records.get_mut(&id)?;
        let own = record.counted(now, base);
        if known.times > own {
            record.times = known.times;
            record.cause = known.cause;
            if let Place::In { since } = &mut record.place {
                *since = now.checked_sub(known.behaved).unwrap_or(now);
            }
        }
        if left.is_zero() {
            return None;
        }
        let until = now + left;
        match record.place {
            Place::Out { until: own } => {
                record.place = Place::Out {
                    until: own.max(until),
                };
                self.plan_return();
                None
            }
            Place::In { .. } if !room => None,
            Place::In { .. } => {
                Some(self.put_out(id, known.cause, now, left, known.times.max(own)))
            }
        }
    }

    /// Everybody who is out, for when the rules are taken back.
    pub fn out(&self) -> impl Iterator<Item = EndpointId> {
        let out = self
            .records
            .iter()
            .filter(|(_, record)| record.until().is_some());
        out.map(|(id, _)| *id)
    }

    /// Until when a member is out, the how manieth time in a row, and why.
    pub fn sentence_of(&self, id: EndpointId) -> Option<(Instant, u32, &'static str)> {
        let record = self.records.get(&id)?;
        Some((record.until()?, record.times, record.cause))
    }

    fn eject(&mut self, now: Instant, id: EndpointId, cause: &'static str) -> Option<Action> {
        if !self.may_eject(id) {
            return None;
        }
        let record = self.records.get(&id)?;
        let times = record.counted(now, self.rules.base).saturating_add(1);
        let doubled = 2u32.saturating_pow(times - 1);
        let time = self.rules.base.saturating_mul(doubled);
        let time = self.random.jittered(time.min(self.rules.longest), JITTER);
        let time = time.min(self.rules.longest);
        Some(self.put_out(id, cause, now, time, times))
    }

    fn put_out(
        &mut self,
        id: EndpointId,
        cause: &'static str,
        now: Instant,
        time: Duration,
        times: u32,
    ) -> Action {
        if let Some(record) = self.records.get_mut(&id) {
            record.times = times.max(1);
            record.cause = cause;
            record.place = Place::Out { until: now + time };
            record.window = Window::default();
        }
        self.plan_return();
        Action::Eject {
            id,
            cause,
            time,
            times,
        }
    }

    /// Whether the member serves, may be spared, and the pool has room for one more to be out.
    fn may_eject(&self, id: EndpointId) -> bool {
        if !self.records.get(&id).is_some_and(Record::serves) {
            return false;
        }
        let seats = self.records.values().filter(|record| record.seat.weighs);
        let (mut all, mut out) = (0u32, 0u32);
        for record in seats {
            all += 1;
            out += u32::from(record.until().is_some());
        }
        // A share such as a third of three must not fail by rounding.
        let most = (self.rules.most * f64::from(all) + 1e-9) as u32;
        let mut others = self.records.iter().filter(|(other, _)| **other != id);
        out < most.max(1) && others.any(|(_, record)| record.serves())
    }

    fn returns(&mut self, now: Instant) -> Vec<Action> {
        if self.first_return.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        for (id, record) in &mut self.records {
            if record.until().is_some_and(|until| until <= now) {
                record.place = Place::In { since: now };
                actions.push(Action::Return { id: *id });
            }
        }
        self.plan_return();
        actions
    }

    fn look(
        &mut self,
        now: Instant,
        ratio: &ErrorRatio,
        counts: impl Fn(EndpointId) -> Counts,
    ) -> Vec<Action> {
        let serving = self
            .records
            .iter_mut()
            .filter(|(_, record)| record.serves());
        let mut all: Vec<(EndpointId, Counts)> = serving
            .map(|(id, record)| (*id, record.window.take(counts(*id), LOOKS as usize)))
            .collect();
        let mut actions = Vec::new();
        while let Some(place) = worst(&all, ratio) {
            let (id, _) = all.swap_remove(place);
            actions.extend(self.eject(now, id, RATIO));
        }
        actions
    }

    fn plan_look(&mut self, now: Instant) {
        let ratio = self.rules.ratio.as_ref();
        self.look = ratio.map(|ratio| {
            let interval = (ratio.window / LOOKS).max(Duration::from_millis(1));
            let passed = now.saturating_duration_since(self.epoch).as_nanos() % interval.as_nanos();
            now + interval - Duration::from_nanos(passed as u64)
        });
    }

    fn plan_return(&mut self) {
        self.first_return = self.records.values().filter_map(Record::until).min();
    }
}
