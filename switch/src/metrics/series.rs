//! Series by key: found by one worker without a lock, listed for the scraper.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::block::Merge;
use super::label::{Method, Protocol};

/// The worker's side: its own map to the blocks that it alone writes.
#[derive(Debug)]
pub(super) struct Series<K, T> {
    local: RefCell<HashMap<K, Option<Arc<T>>, RandomState>>,
    shelf: Arc<Shelf<K, T>>,
}

impl<K: Copy + Eq + Hash, T: Default> Series<K, T> {
    pub(super) fn new() -> Self {
        Self {
            local: RefCell::default(),
            shelf: Arc::default(),
        }
    }

    /// What the scraper reads.
    pub(super) fn shelf(&self) -> Arc<Shelf<K, T>> {
        self.shelf.clone()
    }

    /// Writes to the block of `key`, which is made when it does not exist.
    pub(super) fn write(&self, key: K, write: impl FnOnce(&T)) {
        let mut local = self.local.borrow_mut();
        if let Some(block) = local
            .entry(key)
            .or_insert_with(|| Some(self.shelf.put(key)))
        {
            write(block);
        }
    }

    /// As [`write`](Self::write), but `stale` blocks are made anew, and forgotten when others are
    /// made, so that the map does not grow with every backend that ever was.
    pub(super) fn write_fresh(&self, key: K, stale: impl Fn(&T) -> bool, write: impl FnOnce(&T)) {
        let mut local = self.local.borrow_mut();
        if let Some(Some(block)) = local.get(&key)
            && !stale(block)
        {
            return write(block);
        }
        local.retain(|_, block| block.as_ref().is_some_and(|block| !stale(block)));
        let block = self.shelf.put(key);
        write(&block);
        local.insert(key, Some(block));
    }

    /// As [`write`](Self::write), but a new key must be admitted first. Says whether it is.
    pub(super) fn write_admitted(
        &self,
        key: K,
        admission: &Admission<K>,
        write: impl FnOnce(&T),
    ) -> bool {
        let mut local = self.local.borrow_mut();
        if let Some(known) = local.get(&key) {
            return known.as_deref().map(write).is_some();
        }
        // Refusals are remembered, or each of them would cost the admission's lock; beyond
        // this many keys the family is full anyway.
        if local.len() > admission.most.saturating_mul(2) {
            return false;
        }
        let block = admission.admit(key).then(|| self.shelf.put(key));
        let admitted = block.as_deref().map(write).is_some();
        local.insert(key, block);
        admitted
    }
}

/// The blocks of one worker, listed for the scraper.
#[derive(Debug)]
pub(super) struct Shelf<K, T>(Mutex<Vec<(K, Arc<T>)>>);

impl<K: Copy + Eq + Hash, T: Default> Shelf<K, T> {
    fn put(&self, key: K) -> Arc<T> {
        let block = Arc::<T>::default();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((key, block.clone()));
        block
    }

    /// Drops the blocks that `keep` refuses.
    pub(super) fn retain(&self, keep: impl Fn(K, &T) -> bool) {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|(key, block)| keep(*key, block));
    }
}

impl<K: Copy + Ord, T: Merge> Shelf<K, T> {
    /// Adds the blocks to `sums`.
    pub(super) fn add_to(&self, sums: &mut BTreeMap<K, T>) {
        for (key, block) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sums.entry(*key).or_default().merge(block);
        }
    }
}

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Keeps the number of a family's series within a cap, over all workers.
#[derive(Debug)]
pub(super) struct Admission<K> {
    most: usize,
    state: Mutex<Admitted<K>>,
}

#[derive(Debug)]
struct Admitted<K> {
    keys: HashSet<K, RandomState>,
    refused: HashSet<K, RandomState>,
}

impl<K: Copy + Eq + Hash> Admission<K> {
    pub(super) fn new(most: usize) -> Self {
        let state = Admitted {
            keys: HashSet::default(),
            refused: HashSet::default(),
        };
        Self {
            most,
            state: Mutex::new(state),
        }
    }

    fn admit(&self, key: K) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.keys.contains(&key) {
            return true;
        }
        if state.keys.len() < self.most {
            return state.keys.insert(key);
        }
        if state.refused.len() < self.most {
            state.refused.insert(key);
        }
        false
    }

    /// Different keys that were refused; no more of them are counted than are admitted.
    pub(super) fn refused(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refused
            .len() as u64
    }
}

/// What tells the series of `pointsman_requests_total` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RequestKey {
    pub(super) listener: u32,
    pub(super) route: u32,
    pub(super) code: u16,
    pub(super) method: Method,
    pub(super) protocol: Protocol,
}
