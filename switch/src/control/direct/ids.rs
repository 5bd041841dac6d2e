//! Small numbers for backends. The kernel's tables know a backend by its number, so that it keeps it
//! for as long as it is there, over restarts too; one that was given back rests for as long as
//! possible, since flows may still speak of it.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers by identity.
#[derive(Debug)]
pub struct Ids {
    /// The largest number.
    last: u16,
    /// The number that was given out most recently.
    recent: u16,
    by_identity: BTreeMap<u64, u16>,
    taken: BTreeSet<u16>,
}

impl Ids {
    /// Numbers from 1 to `last`.
    pub fn new(last: u16) -> Self {
        Self {
            last,
            recent: 0,
            by_identity: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    /// A backend has this number already. Whether that can be: neither has another one.
    pub fn adopt(&mut self, identity: u64, id: u16) -> bool {
        let fits = (1..=self.last).contains(&id)
            && !self.taken.contains(&id)
            && !self.by_identity.contains_key(&identity);
        if fits {
            self.taken.insert(id);
            self.by_identity.insert(identity, id);
            self.recent = self.recent.max(id);
        }
        fits
    }

    /// The number of a backend; `None`: all are taken.
    pub fn give(&mut self, identity: u64) -> Option<u16> {
        if let Some(id) = self.by_identity.get(&identity) {
            return Some(*id);
        }
        let after = (self.recent..self.last).map(|before| before + 1);
        let id = after
            .chain(1..=self.recent)
            .find(|id| !self.taken.contains(id))?;
        self.recent = id;
        self.taken.insert(id);
        self.by_identity.insert(identity, id);
        Some(id)
    }

    /// The number that a backend has.
    pub fn get(&self, identity: u64) -> Option<u16> {
        self.by_identity.get(&identity).copied()
    }

    /// A backend is gone.
    pub fn take_back(&mut self, identity: u64) {
        if let Some(id) = self.by_identity.remove(&identity) {
            self.taken.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_keeps_its_number_and_one_given_back_rests() {
        let mut ids = Ids::new(3);
        assert_eq!((ids.give(10), ids.give(20)), (Some(1), Some(2)));
        assert_eq!(ids.give(10), Some(1));
        ids.take_back(10);
        assert_eq!(ids.give(30), Some(3), "1 rests while another one is free");
        assert_eq!(ids.give(40), Some(1));
        assert_eq!(ids.give(50), None, "all are taken");
        assert_eq!(ids.get(20), Some(2));
    }

    #[test]
    fn what_a_former_process_gave_is_kept() {
        let mut ids = Ids::new(10);
        assert!(ids.adopt(10, 7));
        assert!(!ids.adopt(20, 7) && !ids.adopt(10, 8) && !ids.adopt(30, 11) && !ids.adopt(30, 0));
        assert_eq!((ids.give(10), ids.give(20)), (Some(7), Some(8)));
    }
}
