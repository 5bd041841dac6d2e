//! Which endpoints have served which target: as many targets as there is room for, the last used
//! ones. All workers share it.
//!
//! Sets of eight entries, as in a processor's cache: a target's hash says in which set it lies, and
//! a new one takes the place of the entry there that was used longest ago. A look costs one lock,
//! which nobody holds for longer than it takes to look at one set.

use std::sync::{Mutex, PoisonError};

use crate::endpoint::EndpointId;

/// Endpoints that one target can have: an entry fills a cache line.
pub(super) const SERVERS: usize = 11;

/// Entries of a set.
const WAYS: usize = 8;

/// Locks, so that workers seldom want the same one.
const SHARDS: usize = 64;

/// The endpoints of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Servers {
    ids: [EndpointId; SERVERS],
    count: u8,
}

impl Servers {
    /// Those in the set, the first one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = EndpointId> {
        self.ids.iter().copied().take(usize::from(self.count))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Adds one; `false` when there is no room.
    pub(super) fn insert(&mut self, id: EndpointId) -> bool {
        let Some(free) = self.ids.get_mut(usize::from(self.count)) else {
            return false;
        };
        *free = id;
        self.count += 1;
        true
    }

    /// Takes out all for which this does not hold.
    pub(super) fn retain(&mut self, keep: impl Fn(EndpointId) -> bool) {
        let mut kept = Self::default();
        self.iter().filter(|id| keep(*id)).for_each(|id| {
            kept.insert(id);
        });
        *self = kept;
    }
}

/// What is known of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Target {
    /// Who serves it.
    pub(super) servers: Servers,
    /// When that changed last, in milliseconds.
    pub(super) changed: u64,
}

#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Entry {
    hash: u64,
    /// Counts the looks at the set; 0: free.
    used: u32,
    /// In eighths of a second: 17 years of them.
    changed: u32,
    servers: Servers,
}

/// The memory of a pool with `balance = "locality"`.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Shard]>,
    targets: usize,
}

#[derive(Debug)]
#[repr(align(64))]
struct Shard(Mutex<Box<[Set]>>);

#[derive(Debug, Clone, Default)]
struct Set {
    entries: [Entry; WAYS],
    looks: u32,
}

impl Table {
    /// With room for so many targets, or somewhat more.
    pub fn new(targets: usize) -> Self {
        let sets = targets.div_ceil(WAYS * SHARDS).max(1);
        let shard = |_| Shard(Mutex::new(vec![Set::default(); sets].into()));
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            targets,
        }
    }

    /// The number that it was made with.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// What is known of a target.
    pub(super) fn get(&self, hash: u64) -> Option<Target> {
        self.with(hash, |set| {
            let look = set.look();
            let entry = set.find(hash)?;
            entry.used = look;
            Some(Target {
                servers: entry.servers,
                changed: u64::from(entry.changed) * EIGHTH,
            })
        })
    }

    /// Remembers a target, in place of what was known of it, or of the one in its set that was used
    /// longest ago.
    pub(super) fn put(&self, hash: u64, target: &Target) {
        self.with(hash, |set| {
            let look = set.look();
            let place = match set.find(hash) {
                Some(entry) => Some(entry),
                None => set.entries.iter_mut().min_by_key(|entry| entry.used),
            };
            if let Some(entry) = place {
                *entry = Entry {
                    hash,
                    used: look,
                    changed: (target.changed / EIGHTH) as u32,
                    servers: target.servers,
                };
            }
        });
    }

    fn with<T>(&self, hash: u64, act: impl FnOnce(&mut Set) -> T) -> T {
        let shard = &self.shards[(hash >> 58) as usize % self.shards.len()];
        let mut sets = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (hash % sets.len() as u64) as usize;
        act(&mut sets[place])
    }
}

/// Milliseconds of the unit in which an entry knows the time.
const EIGHTH: u64 = 125;

impl Set {
    /// Counts a look. When the count is at its end, all entries are equally old.
    fn look(&mut self) -> u32 {
        if self.looks == u32::MAX {
            self.looks = 1;
            for entry in self.entries.iter_mut().filter(|entry| entry.used > 0) {
                entry.used = 1;
            }
        }
        self.looks += 1;
        self.looks
    }

    fn find(&mut self, hash: u64) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.hash == hash && entry.used > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::mix;

    fn target(ids: &[EndpointId]) -> Target {
        let mut servers = Servers::default();
        ids.iter().for_each(|id| {
            servers.insert(*id);
        });
        Target {
            servers,
            changed: 0,
        }
    }

    #[test]
    fn an_entry_fills_one_cache_line() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    #[test]
    fn what_was_put_is_there_until_there_is_no_room() {
        let table = Table::new(1024);
        assert_eq!(table.get(mix(1)), None);
        for key in 0..400u64 {
            table.put(mix(key), &target(&[key as u32, 7]));
        }
        let kept = (0..400u64)
            .filter(|&key| table.get(mix(key)) == Some(target(&[key as u32, 7])))
            .count();
        assert!(kept > 380, "{kept} of 400 are left");
        for key in 0..100_000u64 {
            table.put(mix(key), &target(&[1]));
        }
        let kept = (0..100_000u64)
            .filter(|&key| table.get(mix(key)).is_some())
            .count();
        assert_eq!(kept, 1024);
    }

    #[test]
    fn what_is_used_stays_while_others_come_and_go() {
        let table = Table::new(512);
        table.put(mix(1), &target(&[1]));
        for key in 100..100_000u64 {
            table.put(mix(key), &target(&[2]));
            assert!(table.get(mix(1)).is_some(), "gone after {key}");
        }
    }

    #[test]
    fn a_set_of_servers_takes_no_more_than_it_has_room_for() {
        let mut servers = Servers::default();
        for id in 0..SERVERS as u32 {
            assert!(servers.insert(id));
        }
        assert!(!servers.insert(99));
        servers.retain(|id| id % 2 == 0);
        assert_eq!(servers.iter().collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10]);
        assert!(servers.insert(99));
    }

    #[test]
    fn a_count_that_comes_to_its_end_loses_nothing() {
        let mut set = Set {
            looks: u32::MAX - 1,
            ..Set::default()
        };
        set.entries[0] = Entry {
            hash: 5,
            used: u32::MAX - 1,
            ..Entry::default()
        };
        assert_eq!(set.look(), u32::MAX);
        assert_eq!(set.look(), 2);
        assert_eq!(set.find(5).map(|entry| entry.used), Some(1));
    }
}
