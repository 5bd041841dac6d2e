//! Backends and services as the kernel is to have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Keeper, Network};
use crate::control::direct::face::{self, Hop, Key, Member, Path, State};
use crate::control::direct::plan::{Identity, Plan};

/// A backend that no plan wants any more finishes what it has for so long at most.
const LONGEST: Duration = Duration::from_secs(3600);
/// And for so long at least: connections that are only just beginning are in no table yet.
const LEAST: Duration = Duration::from_secs(5);
/// The same where another switch may have connections of it to tell of.
const SHARED_LEAST: Duration = Duration::from_secs(60);

/// A backend that finishes what it has.
#[derive(Debug)]
pub(super) struct Retired {
    /// Its pool.
    pub(super) pool: String,
    /// Its own address.
    pub(super) address: IpAddr,
    since: Instant,
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// Backends that the plan has no more, but their pools, finish what they have.
    pub(super) fn retire(&mut self, before: Option<&Plan>, now: Instant) {
        let Some(plan) = &self.plan else { return };
        let served = |pool: &str| plan.services.values().any(|one| one.pool == pool);
        let gone = before.iter().flat_map(|before| before.backends.keys());
        for identity in gone.filter(|identity| !plan.backends.contains_key(identity)) {
            if served(&identity.pool) && self.ids.get(identity.number()).is_some() {
                let retired = Retired {
                    pool: identity.pool.clone(),
                    address: identity.address,
                    since: now,
                };
                self.retired.insert(identity.number(), retired);
            }
        }
        if before.is_none() {
            self.retired.extend(self.left_behind(plan, now));
        }
        for identity in plan.backends.keys() {
            self.retired.remove(&identity.number());
        }
        if plan.services.is_empty() {
            self.retired.clear();
        }
    }

    /// Backends that a former process has left, of pools that are served: they were taken out of the
    /// policy meanwhile, or their agents have not come back yet.
    fn left_behind(&self, plan: &Plan, now: Instant) -> Vec<(u64, Retired)> {
        let pools: BTreeSet<&String> = plan.services.values().map(|one| &one.pool).collect();
        let served = self.written.values().filter(|one| one.state != State::Dead);
        let retired = |backend: &face::Backend| {
            let mut pools = pools.iter().map(|pool| Identity {
                pool: (*pool).clone(),
                address: backend.address,
            });
            let identity = pools.find(|identity| identity.number() == backend.identity)?;
            let retired = Retired {
                pool: identity.pool,
                address: identity.address,
                since: now,
            };
            Some((backend.identity, retired))
        };
        served.filter_map(retired).collect()
    }

    /// Those that have finished are forgotten.
    pub(super) fn forget_retired(&mut self, now: Instant) {
        let (ids, left) = (&self.ids, &self.left);
        let before = self.retired.len();
        let least = match self.mirrored.is_shared() {
            true => SHARED_LEAST,
            false => LEAST,
        };
        self.retired.retain(|number, retired| {
            let id = ids.get(*number);
            let has = id.is_some_and(|id| left.get(&id).is_none_or(|left| *left > 0));
            let age = now.saturating_duration_since(retired.since);
            age < least || (age < LONGEST && has)
        });
        if self.retired.len() != before {
            self.next = now;
        }
    }

    /// All but those that begin to drain: until the rings speak of them no more, a connection that
    /// begins could find nobody to take it.
    pub(super) fn write_backends(&mut self, now: Instant) {
        for (number, address, state) in self.wanted_backends() {
            if !self.begins_to_drain(number, state) {
                self.write_backend(number, address, state, now);
            }
        }
    }

    /// What [`Keeper::write_backends`] has left.
    pub(super) fn write_drains(&mut self, now: Instant) {
        for (number, address, state) in self.wanted_backends() {
            if self.begins_to_drain(number, state) {
                self.write_backend(number, address, state, now);
            }
        }
    }

    fn wanted_backends(&self) -> Vec<(u64, IpAddr, State)> {
        let planned = self.plan.iter().flat_map(|plan| &plan.backends);
        let planned =
            planned.map(|(identity, backend)| (identity.number(), identity.address, backend.state));
        let retired = self.retired.iter();
        let retired = retired.map(|(number, one)| (*number, one.address, State::Draining));
        planned.chain(retired).collect()
    }

    fn begins_to_drain(&self, number: u64, wanted: State) -> bool {
        let written = self.ids.get(number).and_then(|id| self.written.get(&id));
        wanted == State::Draining && written.is_some_and(|one| one.state == State::Active)
    }

    fn write_backend(&mut self, number: u64, address: IpAddr, state: State, now: Instant) {
        let Some(id) = self.ids.give(number) else {
            return self.trouble(address.to_string(), "there are too many backends");
        };
        let road = self.roads.get(&address);
        let state = match road.is_some_and(|road| road.is_open()) {
            true => state,
            false => State::Dead,
        };
        let before = self.written.get(&id).copied();
        let hop = road.and_then(|road| road.hop());
        let trouble = road.and_then(|road| road.trouble.clone());
        if state == State::Draining && before.is_some_and(|one| one.state != state) {
            // Who waits for the end of it wants to know what is left.
            self.next_count = now;
        }
        if let Some(why) = trouble {
            self.trouble(address.to_string(), why);
        }
        let Some(hop) = hop.or(before.map(|before| before.hop)) else {
            return;
        };
        let backend = face::Backend {
            address,
            hop,
            state,
            identity: number,
        };
        let done = match before {
            Some(before) if before == backend => return,
            Some(before) if face::Backend { state, ..before } == backend => {
                self.path.set_state(id, state)
            }
            _ => self.path.set_backend(id, &backend),
        };
        match done {
            Ok(()) => drop(self.written.insert(id, backend)),
            Err(error) => self.trouble(address.to_string(), error.to_string()),
        }
    }

    pub(super) fn write_services(&mut self) {
        let Some(plan) = &self.plan else { return };
        let mut wanted: BTreeMap<Key, Vec<Member>> = BTreeMap::new();
        for (key, service) in &plan.services {
            let member = |(identity, weight): &(Identity, u32)| {
                Some(Member {
                    id: self.ids.get(identity.number())?,
                    name: identity.address.to_string(),
                    weight: *weight,
                })
            };
            wanted.insert(*key, service.members.iter().filter_map(member).collect());
        }
        for (key, members) in wanted {
            if self.rings.get(&key).and_then(Option::as_ref) == Some(&members) {
                continue;
            }
            match self.path.set_service(key, &members) {
                Ok(()) => drop(self.rings.insert(key, Some(members))),
                Err(error) => self.trouble(key.to_string(), error.to_string()),
            }
        }
    }

    /// A ring of a former process may speak of anybody.
    fn is_in_a_ring(&self, id: u16) -> bool {
        let speaks = |members: &Vec<Member>| members.iter().any(|member| member.id == id);
        self.rings
            .values()
            .any(|ring| ring.as_ref().is_none_or(speaks))
    }

    pub(super) fn remove_services(&mut self) {
        let Some(plan) = &self.plan else { return };
        let gone = self.rings.keys().copied();
        let gone: Vec<Key> = gone
            .filter(|key| !plan.services.contains_key(key))
            .collect();
        for key in gone {
            match self.path.remove_service(key) {
                Ok(()) => drop(self.rings.remove(&key)),
                Err(error) => self.trouble(key.to_string(), error.to_string()),
            }
        }
    }

    /// Last, when no ring speaks of them.
    pub(super) fn remove_backends(&mut self) {
        let Some(plan) = &self.plan else { return };
        let planned: Vec<u64> = plan.backends.keys().map(Identity::number).collect();
        let wanted = |number: &u64| planned.contains(number) || self.retired.contains_key(number);
        let written = self.written.iter();
        let gone: Vec<(u16, u64)> = written
            .map(|(id, backend)| (*id, backend.identity))
            .filter(|(id, number)| !wanted(number) && !self.is_in_a_ring(*id))
            .collect();
        for (id, number) in gone {
            match self.path.remove_backend(id) {
                Ok(()) => {
                    self.written.remove(&id);
                    self.left.remove(&id);
                    self.ids.take_back(number);
                }
                Err(error) => self.trouble(format!("backend {id}"), error.to_string()),
            }
        }
    }
}

/// In words, for status.
pub(super) fn hop_word(hop: &Hop) -> (&'static str, [u8; 6], u32) {
    match hop {
        Hop::Neighbour { interface, mac, .. } => ("neighbour", *mac, *interface),
        Hop::Tunnel { interface, mac, .. } => ("tunnel", *mac, *interface),
    }
}
