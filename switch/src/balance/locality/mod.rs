//! Locality-aware request distribution with replication, LARD/R (Pai, Aron, Banga, Svendsen,
//! Druschel, Zwaenepoel, Nahum: "Locality-aware request distribution in cluster-based network
//! servers", ASPLOS 1998, figure 3), with weights.
//!
//! Each target goes to the backend that has served it before, so that the caches of all backends
//! together hold what otherwise each of them would have to hold. A target whose backends have too
//! much to do gets one more; one that has several, and got none for a while, loses one.
//!
//! In one respect this is not the paper's: a target without a backend goes to the one that its hash
//! belongs to if that has room, and only else to the least loaded one. Switches that know nothing of
//! one another, or one after a restart, then mostly agree who has what.

mod table;

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::policy;

pub use self::table::Table;
use self::table::{Servers, Target};
use super::maglev::Maglev;
use super::{Balance, Candidate, Choice};
use crate::endpoint::EndpointId;

/// Sends a target to where it was served before, as long as load allows it.
#[derive(Debug)]
pub struct Locality {
    maglev: Maglev,
    table: Arc<Table>,
    /// For each candidate, what one request adds to its load: 1 at the mean weight.
    units: Vec<f32>,
    /// The candidates' places by their ids, in the order of the ids.
    places: Vec<(EndpointId, u32)>,
    low: f32,
    high: f32,
    decay: Duration,
}

/// What is to be done with a target.
#[derive(Debug, Clone, Copy)]
struct Plan {
    place: usize,
    /// What is known of the target from now on, if that changes.
    change: Option<Target>,
}

impl Locality {
    /// For this list of candidates, with what is known from lists before.
    pub fn new(policy: &policy::Locality, candidates: &[Candidate], table: Arc<Table>) -> Self {
        let weights = candidates
            .iter()
            .map(|candidate| candidate.weight.max(1) as f32);
        let mean = weights.clone().sum::<f32>() / candidates.len().max(1) as f32;
        let ids = candidates.iter().map(|candidate| candidate.endpoint.id);
        let mut places: Vec<_> = ids.zip(0..).collect();
        places.sort_unstable();
        Self {
            maglev: Maglev::new(candidates),
            table,
            units: weights.map(|weight| mean / weight).collect(),
            places,
            low: policy.low as f32,
            high: policy.high as f32,
            decay: policy.decay,
        }
    }

    /// What is to be done with a request's first try.
    fn decide(&self, candidates: &[Candidate], choice: &Choice<'_>, hash: u64) -> Option<Plan> {
        let plan = self.plan(candidates, hash, self.table.get(hash), choice.now)?;
        if choice.is_open(&candidates[plan.place]) {
            return Some(plan);
        }
        let place = self.again(candidates, choice, hash)?;
        Some(Plan {
            place,
            change: None,
        })
    }

    fn plan(
        &self,
        candidates: &[Candidate],
        hash: u64,
        known: Option<Target>,
        now: u64,
    ) -> Option<Plan> {
        let target = known.unwrap_or_default();
        let Some((least, most)) = self.extremes(candidates, &target.servers) else {
            let place = self.first_place(candidates, hash)?;
            let change = grown(target.servers, candidates, place, now, |id| {
                self.place(id).is_some()
            });
            return Some(Plan { place, change });
        };
        let (mut place, mut servers) = (least, target.servers);
        let mut change = None;
        if let Some(relief) = self.relief(candidates, least) {
            place = relief;
            change = grown(servers, candidates, relief, now, |id| {
                self.place(id).is_some()
            });
            servers = change.map_or(servers, |change| change.servers);
        }
        let settled = u128::from(now.saturating_sub(target.changed)) > self.decay.as_millis();
        if least != most && settled {
            let gone = candidates[most].endpoint.id;
            servers.retain(|id| id != gone);
            change = Some(Target {
                servers,
                changed: now,
            });
        }
        Some(Plan { place, change })
    }

    /// The least and the most loaded of those that serve a target and are candidates.
    fn extremes(&self, candidates: &[Candidate], servers: &Servers) -> Option<(usize, usize)> {
        let mut found = servers.iter().filter_map(|id| self.place(id));
        let first = found.next()?;
        let load = self.load(candidates, first);
        let (mut least, mut most) = ((load, first), (load, first));
        for place in found {
            let load = self.load(candidates, place);
            if load < least.0 {
                least = (load, place);
            }
            if load >= most.0 {
                most = (load, place);
            }
        }
        Some((least.1, most.1))
    }

    /// Who is to help when the least loaded server of a target has too much to do.
    fn relief(&self, candidates: &[Candidate], least: usize) -> Option<usize> {
        let load = self.load(candidates, least);
        if load <= self.high {
            return None;
        }
        let other = self.least_loaded(candidates, least, |_| true)?;
        let relieves = self.load(candidates, other) < self.low || load >= 2.0 * self.high;
        (relieves && other != least).then_some(other)
    }

    /// Where a target goes that nobody has served.
    fn first_place(&self, candidates: &[Candidate], hash: u64) -> Option<usize> {
        let own = self.maglev.order(hash).next()?;
        if self.load(candidates, own) < self.low {
            return Some(own);
        }
        self.least_loaded(candidates, own, |_| true)
    }

    /// The least loaded of all for which this holds; of equals `start`, or the first one behind it.
    fn least_loaded(
        &self,
        candidates: &[Candidate],
        start: usize,
        is_open: impl Fn(&Candidate) -> bool,
    ) -> Option<usize> {
        let around = (start..candidates.len()).chain(0..start.min(candidates.len()));
        let open = around.filter(|&place| is_open(&candidates[place]));
        let loads = open.map(|place| (self.load(candidates, place), place));
        let least = loads.min_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(least.1)
    }

    fn load(&self, candidates: &[Candidate], place: usize) -> f32 {
        let unit = self.units.get(place).copied().unwrap_or(1.0);
        candidates[place].endpoint.in_flight() as f32 * unit
    }

    fn place(&self, id: EndpointId) -> Option<usize> {
        let at = self.places.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.places[at].1 as usize)
    }

    /// Another try of a request, or one for whose server there is no room: whoever else serves the
    /// target, or else the least loaded one. What is remembered does not change for it.
    fn again(&self, candidates: &[Candidate], choice: &Choice<'_>, hash: u64) -> Option<usize> {
        let target = self.table.get(hash).unwrap_or_default();
        let places = target.servers.iter().filter_map(|id| self.place(id));
        let open = places.filter(|&place| choice.is_open(&candidates[place]));
        let loads = open.map(|place| (self.load(candidates, place), place));
        let least = loads.min_by(|one, other| one.0.total_cmp(&other.0));
        let other = || {
            let start = self.maglev.order(hash).next()?;
            self.least_loaded(candidates, start, |candidate| choice.is_open(candidate))
        };
        least.map(|(_, place)| place).or_else(other)
    }
}

impl Balance for Locality {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        // Without a target there is nothing to remember.
        let Some(hash) = choice.hash else {
            let open = |candidate: &Candidate| choice.is_open(candidate);
            let start = self.maglev.order(choice.entropy).next()?;
            return self.least_loaded(candidates, start, open);
        };
        if !choice.tried.is_empty() {
            return self.again(candidates, choice, hash);
        }
        let plan = self.decide(candidates, choice, hash)?;
        if let Some(change) = plan.change {
            // Two workers at once may both change it: then one of them has done so in vain.
            self.table.put(hash, &change);
        }
        Some(plan.place)
    }

    fn foresee(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let Some(hash) = choice.hash.filter(|_| choice.tried.is_empty()) else {
            return self.pick(candidates, choice);
        };
        self.decide(candidates, choice, hash).map(|plan| plan.place)
    }
}

/// A target's servers with one more; `None` when it is there already, or when there is no room,
/// also not in place of one that is no candidate now.
fn grown(
    mut servers: Servers,
    candidates: &[Candidate],
    place: usize,
    now: u64,
    is_candidate: impl Fn(EndpointId) -> bool,
) -> Option<Target> {
    let id = candidates[place].endpoint.id;
    if servers.iter().any(|known| known == id) {
        return None;
    }
    if servers.len() == table::SERVERS {
        servers.retain(is_candidate);
    }
    let target = |servers| Target {
        servers,
        changed: now,
    };
    servers.insert(id).then(|| target(servers))
}

#[cfg(test)]
mod tests;
