//! What comes on top of health: ejection and slow start. The machines of [`super::health`] decide,
//! [`Standing`] keeps one set of them per pool and writes what they say into the endpoints; the
//! next snapshot is made of that.

mod known;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_config::policy;

use super::health::eject::{Action, Counts, Ejector, Seat};
use super::health::ramp::Ramp;
use super::random::SplitMix;
use crate::endpoint::{Duty, Endpoint, EndpointId, Health, WHOLE};
use crate::pool::Member;

pub use known::{KnownEjection, KnownSlowStart};

/// A change of one endpoint, for whoever tells of it.
#[derive(Debug)]
pub struct Change {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// What happened.
    pub action: Action,
}

/// Ejections and slow starts of every pool.
#[derive(Debug)]
pub struct Standing {
    pools: HashMap<String, Pool>,
    epoch: Instant,
    random: SplitMix,
}

/// Those of one pool.
#[derive(Debug, Default)]
struct Pool {
    members: HashMap<EndpointId, Arc<Endpoint>>,
    ejector: Option<Ejector>,
    slow_start: Option<Duration>,
    ramps: HashMap<EndpointId, Ramp>,
    /// When the shares are to be looked at next.
    step: Option<Instant>,
    /// Members that came while others were up, and have not been up yet.
    late: HashSet<EndpointId>,
    /// The members have been told once.
    settled: bool,
}

impl Standing {
    /// Nothing is known yet.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            pools: HashMap::new(),
            epoch: now,
            random: SplitMix::new(seed),
        }
    }

    /// Takes over policy and members as they are now, and writes into the members what holds for
    /// them. What is known of endpoints that stay, stays.
    pub fn settle(&mut self, policy: &[policy::Pool], members: &mut [Vec<Member>], now: Instant) {
        let mut before = std::mem::take(&mut self.pools);
        for (spec, members) in policy.iter().zip(members) {
            let mut pool = before.remove(&spec.name).unwrap_or_default();
            let random = &mut self.random;
            let new = |rules| Ejector::new(rules, self.epoch, now, random.next_u64());
            pool.set_policy(spec, now, new);
            pool.set_members(members, now);
            for member in members {
                member.ejected = member.endpoint.is_ejected();
                member.share = member.endpoint.share();
            }
            self.pools.insert(spec.name.clone(), pool);
        }
    }

    /// Too many errors in a row.
    pub fn erred(
        &mut self,
        endpoint: &Endpoint,
        cause: &'static str,
        now: Instant,
    ) -> Option<Change> {
        let pool = self.pools.get_mut(&endpoint.pool)?;
        let action = pool.ejector.as_mut()?.erred(now, endpoint.id, cause)?;
        pool.carry_out(action, now)
    }

    /// The endpoint's health has changed.
    pub fn health_changed(
        &mut self,
        endpoint: &Endpoint,
        from: Health,
        now: Instant,
    ) -> Option<Change> {
        let pool = self.pools.get_mut(&endpoint.pool)?;
        let (id, health) = (endpoint.id, endpoint.health());
        if let Some(ejector) = &mut pool.ejector {
            ejector.set_able(id, is_able(health));
        }
        let late = pool.late.remove(&id);
        if health != Health::Up {
            pool.end_ramp(id);
            return None;
        }
        let recovered = from == Health::Down;
        if recovered || late {
            pool.begin_ramp(id, now);
        }
        let ejector = pool.ejector.as_mut().filter(|_| recovered)?;
        let action = ejector.recovered(now, id)?;
        pool.carry_out(action, now)
    }

    /// When [`Standing::advance`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.pools.values().filter_map(Pool::deadline).min()
    }

    /// Does what is due: the changes, and whether a share has grown.
    pub fn advance(&mut self, now: Instant) -> (Vec<Change>, bool) {
        let mut changes = Vec::new();
        let mut grown = false;
        for pool in self.pools.values_mut() {
            if pool.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            grown |= pool.step(now);
            changes.extend(pool.due(now));
        }
        (changes, grown)
    }

    /// Until when an endpoint is out, the how manieth time in a row, and why.
    pub fn sentence_of(&self, endpoint: &Endpoint) -> Option<(Instant, u32, &'static str)> {
        let pool = self.pools.get(&endpoint.pool)?;
        pool.ejector.as_ref()?.sentence_of(endpoint.id)
    }
}

impl Pool {
    fn set_policy(
        &mut self,
        spec: &policy::Pool,
        now: Instant,
        new: impl FnOnce(policy::Eject) -> Ejector,
    ) {
        match (&spec.eject, &mut self.ejector) {
            (Some(rules), Some(ejector)) => ejector.set_rules(rules, now),
            (Some(rules), none) => {
                *none = Some(new(rules.clone()));
            }
            (None, some) => {
                for id in some.take().iter().flat_map(Ejector::out) {
                    if let Some(endpoint) = self.members.get(&id) {
                        endpoint.set_ejected(false);
                    }
                }
            }
        }
        if self.slow_start != spec.slow_start {
            self.slow_start = spec.slow_start;
            self.step(now);
        }
    }

    fn set_members(&mut self, members: &[Member], now: Instant) {
        let before = std::mem::take(&mut self.members);
        self.members = members
            .iter()
            .map(|member| (member.endpoint.id, member.endpoint.clone()))
            .collect();
        let serving = members.iter().any(|member| member.health == Health::Up);
        if self.settled && serving {
            let new = self.members.keys().filter(|id| !before.contains_key(id));
            self.late.extend(new.copied());
        }
        self.settled = true;
        self.late.retain(|id| self.members.contains_key(id));
        self.ramps.retain(|id, _| self.members.contains_key(id));
        if let Some(ejector) = &mut self.ejector {
            ejector.set_members(now, members.iter().map(seat));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let ejector = self.ejector.as_ref().and_then(Ejector::deadline);
        [self.step, ejector].into_iter().flatten().min()
    }

    fn due(&mut self, now: Instant) -> Vec<Change> {
        let Some(ejector) = &mut self.ejector else {
            return Vec::new();
        };
        let members = &self.members;
        let counts = |id| members.get(&id).map_or_else(Counts::default, counts);
        let actions = ejector.due(now, counts);
        let carry_out = |action| self.carry_out(action, now);
        actions.into_iter().filter_map(carry_out).collect()
    }

    /// Writes a decision into its endpoint.
    fn carry_out(&mut self, action: Action, now: Instant) -> Option<Change> {
        let (Action::Eject { id, .. } | Action::Return { id }) = action;
        let endpoint = self.members.get(&id)?.clone();
        let ejected = matches!(action, Action::Eject { .. });
        endpoint.set_ejected(ejected);
        if ejected {
            endpoint.errors.set_row(0);
            self.end_ramp(id);
        } else {
            self.put_on_probation(&endpoint);
            self.begin_ramp(id, now);
        }
        Some(Change { endpoint, action })
    }

    /// Its next error is one too many, unless a request goes well before.
    fn put_on_probation(&self, endpoint: &Endpoint) {
        let rules = self.ejector.as_ref().map(Ejector::rules);
        let errors = rules.map_or(1, |rules| rules.errors.max(1));
        endpoint.errors.set_row(errors - 1);
    }

    /// Where nobody else serves, there is nothing to take a part of.
    fn begin_ramp(&mut self, id: EndpointId, now: Instant) {
        let is_up = |endpoint: &Arc<Endpoint>| endpoint.health() == Health::Up;
        let mut others = self.members.iter().filter(|(other, _)| **other != id);
        let beside_others = others.any(|(_, endpoint)| endpoint.state().serves());
        let up = self.members.get(&id).is_some_and(is_up);
        if self.slow_start.is_some() && up && beside_others {
            self.ramps.insert(id, Ramp::new(now, Duration::ZERO));
            self.step(now);
        }
    }

    fn end_ramp(&mut self, id: EndpointId) {
        self.ramps.remove(&id);
        if let Some(endpoint) = self.members.get(&id) {
            endpoint.set_share(WHOLE);
        }
    }

    /// Writes the shares of now into the endpoints; whether one has changed. Those of a pool grow
    /// in step, so that many slow starts make no more snapshots than one.
    fn step(&mut self, now: Instant) -> bool {
        let mut changed = false;
        let time = self.slow_start;
        let members = &self.members;
        self.ramps.retain(|id, ramp| {
            let share = time.map_or(WHOLE, |time| ramp.share(now, time));
            if let Some(endpoint) = members.get(id) {
                changed |= endpoint.share() != share;
                endpoint.set_share(share);
            }
            share < WHOLE
        });
        let pace = time.filter(|_| !self.ramps.is_empty()).map(Ramp::pace);
        let planned = self.step.filter(|step| *step > now);
        self.step = pace.map(|pace| planned.unwrap_or(now + pace));
        changed
    }
}

fn seat(member: &Member) -> Seat {
    let on_duty = member.duty == Duty::Active;
    let weighs = on_duty && member.weight > 0 && member.health != Health::Unresolved;
    Seat {
        id: member.endpoint.id,
        weighs,
        able: weighs && is_able(member.endpoint.health()),
    }
}

fn is_able(health: Health) -> bool {
    matches!(health, Health::Up | Health::Starting)
}

fn counts(endpoint: &Arc<Endpoint>) -> Counts {
    Counts {
        ended: endpoint
            .taken()
            .saturating_sub(u64::from(endpoint.in_flight())),
        failed: endpoint.errors.all(),
    }
}
