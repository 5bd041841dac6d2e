//! What an operator has laid over the policy by hand: backends that take no new requests, and
//! weights, each with its reason and perhaps an end. No I/O.
//!
//! The file stays the truth: an entry that has ended, or was taken back, leaves no trace. Entries
//! outlive reloads and upgrades, and can be shared between switches: each has a version, and of two
//! for the same thing the later one holds ([`Overlay::adopt`]), whoever tells whom, how often and
//! in which order.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::endpoint::{Duty, Endpoint};
use crate::pool::Member;

pub use entry::{Order, OverlayEntry};

use entry::{Aspect, DUTY, WEIGHT};

/// Entries at most, those that only remember that something was taken back included.
pub const MAX_ENTRIES: usize = 1024;
/// Characters of a reason at most.
pub const MAX_WHY: usize = 200;
/// The longest time that an entry may be given: a month. Without one it has no end.
pub const MAX_TIME: Duration = Duration::from_secs(31 * 86_400);
/// How long is remembered that something was taken back, so that another switch's older entry does
/// not bring it again: a day.
const REMEMBERED: u64 = 86_400_000;

/// There is no room for another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay(BTreeMap<Key, Held>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pool: String,
    backend: String,
    aspect: Aspect,
}

/// Compared field by field: of two with the same time one holds everywhere, whichever came first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    at: u64,
    order: Order,
    until: Option<u64>,
    why: String,
}

impl Overlay {
    /// Gives an order about a backend, in place of what held for it.
    ///
    /// # Errors
    /// There are too many entries.
    pub fn give(
        &mut self,
        pool: &str,
        backend: &str,
        order: Order,
        why: &str,
        time: Option<Duration>,
        now: SystemTime,
    ) -> Result<(), Full> {
        let now = millis(now);
        let key = Key::new(pool, backend, order.aspect());
        let before = self.0.get(&key);
        // Later than what it takes the place of, also where another switch's clock is ahead.
        let at = before.map_or(now, |before| now.max(before.at.saturating_add(1)));
        if before.is_none() && !order.is_set() {
            return Ok(());
        }
        if before.is_none() {
            self.make_room(now)?;
        }
        let until = time.map(|time| now.saturating_add(in_millis(time.min(MAX_TIME))));
        let why = cut(why);
        self.0.insert(
            key,
            Held {
                at,
                order,
                until,
                why,
            },
        );
        Ok(())
    }

    /// Takes back what holds for a backend; whether anything did.
    pub fn take_back(&mut self, pool: &str, backend: &str, why: &str, now: SystemTime) -> bool {
        let mut held = false;
        for order in [Order::Enable, Order::FileWeight] {
            let key = Key::new(pool, backend, order.aspect());
            let before = self.0.get(&key).filter(|before| before.order.is_set());
            if before.is_some_and(|before| !before.is_over(millis(now))) {
                held = true;
                // There is an entry already, so that there is room.
                let _ = self.give(pool, backend, order, why, None, now);
            }
        }
        held
    }

    /// What holds now, for whoever is to know: another process, another switch, the operator.
    /// `all`: with what was taken back.
    pub fn export(&self, all: bool, now: SystemTime) -> Vec<OverlayEntry> {
        let now = millis(now);
        let wanted = |held: &Held| !held.is_over(now) && (all || held.order.is_set());
        let entries = self.0.iter().filter(|(_, held)| wanted(held));
        entries.map(|(key, held)| held.entry(key)).collect()
    }

    /// Takes over what another process or switch has exported, where it is later than what is
    /// known here; gives back what was new. What makes no sense is left out.
    pub fn adopt(&mut self, entries: Vec<OverlayEntry>, now: SystemTime) -> Vec<OverlayEntry> {
        let now = millis(now);
        let mut taken = Vec::new();
        for entry in entries.into_iter().take(MAX_ENTRIES) {
            let Some((key, held)) = entry.read() else {
                continue;
            };
            if held.is_over(now) || held.is_forgotten(now) {
                continue;
            }
            let is_new = match self.0.get(&key) {
                Some(before) => *before < held,
                None => self.make_room(now).is_ok(),
            };
            if is_new {
                taken.push(held.entry(&key));
                self.0.insert(key, held);
            }
        }
        taken
    }

    /// Drops what has ended and gives it back.
    pub fn expire(&mut self, now: SystemTime) -> Vec<OverlayEntry> {
        let now = millis(now);
        let mut over = Vec::new();
        self.0.retain(|key, held| {
            if held.is_over(now) {
                over.push(held.entry(key));
            }
            !held.is_over(now) && !held.is_forgotten(now)
        });
        over
    }

    /// From now to when the next entry ends.
    pub fn next_end(&self, now: SystemTime) -> Option<Duration> {
        let next = self.0.values().filter_map(|held| held.until).min()?;
        Some(Duration::from_millis(next.saturating_sub(millis(now))))
    }

    /// Lays the entries over the members of all pools.
    pub fn lay_over(&self, members: &mut [Vec<Member>], now: SystemTime) {
        if self.0.is_empty() {
            return;
        }
        for member in members.iter_mut().flatten() {
            if let Some(Order::Weight(weight)) = self.of(&member.endpoint, WEIGHT, now) {
                member.weight = weight;
            }
            member.duty = match self.of(&member.endpoint, DUTY, now) {
                Some(Order::Drain) => Duty::Draining,
                Some(Order::Disable) => Duty::Disabled,
                _ => Duty::Active,
            };
        }
    }

    /// The entries of which no backend is left among these.
    pub fn stray(&self, members: &[Vec<Member>], now: SystemTime) -> Vec<OverlayEntry> {
        let mut entries = self.export(false, now);
        entries.retain(|entry| {
            let mut all = members.iter().flatten();
            !all.any(|member| entry.is_about(&member.endpoint))
        });
        entries
    }

    /// What holds for an endpoint: an order about it alone before one about its whole backend.
    fn of(&self, endpoint: &Endpoint, aspect: Aspect, now: SystemTime) -> Option<Order> {
        let find = |backend: &str| {
            let held = self.0.get(&Key::new(&endpoint.pool, backend, aspect))?;
            let holds = held.order.is_set() && !held.is_over(millis(now));
            holds.then_some(held.order)
        };
        find(&endpoint.name).or_else(|| find(backend_of(endpoint)))
    }

    /// Forgets the oldest of what was taken back when there is no room.
    fn make_room(&mut self, now: u64) -> Result<(), Full> {
        if self.0.len() < MAX_ENTRIES {
            return Ok(());
        }
        self.0.retain(|_, held| !held.is_over(now));
        let taken_back = self.0.iter().filter(|(_, held)| !held.order.is_set());
        let oldest = taken_back.min_by_key(|(_, held)| held.at);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.0.remove(&key);
        }
        match self.0.len() < MAX_ENTRIES {
            true => Ok(()),
            false => Err(Full),
        }
    }
}

impl Key {
    fn new(pool: &str, backend: &str, aspect: Aspect) -> Self {
        Self {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            aspect,
        }
    }
}

impl Held {
    fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it is about something that was taken back so long ago that nobody need know.
    fn is_forgotten(&self, now: u64) -> bool {
        !self.order.is_set() && self.at.saturating_add(REMEMBERED) <= now
    }

    fn entry(&self, key: &Key) -> OverlayEntry {
        OverlayEntry::of(&key.pool, &key.backend, self)
    }
}

/// The backend's name in the policy: of one with several addresses each endpoint has that name
/// and its address in brackets.
pub fn backend_of(endpoint: &Endpoint) -> &str {
    let name = endpoint.name.as_str();
    name.split_once(" (").map_or(name, |(backend, _)| backend)
}

/// The beginning of a reason, without what would disturb a line of a log.
fn cut(why: &str) -> String {
    let plain = why
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_WHY);
    plain.collect::<String>().trim().to_owned()
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    in_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
