//! A slow disk with a cache before it: what a server of files is like. One file is read at a time,
//! as by one arm; who wants the same one waits for the same reading.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The disk and its cache.
#[derive(Debug)]
pub(super) struct Disk {
    cache: Mutex<Cache>,
    arm: tokio::sync::Mutex<()>,
    /// How long a file takes.
    read: Duration,
    /// Nanoseconds for which the arm has been at work.
    busy: AtomicU64,
}

impl Disk {
    /// With room for so many paths in the cache.
    pub(super) fn new(cached: usize, read: Duration) -> Self {
        Self {
            cache: Mutex::new(Cache::new(cached)),
            arm: tokio::sync::Mutex::new(()),
            read,
            busy: AtomicU64::new(0),
        }
    }

    /// Waits until the path's file is in memory; whether it was there already.
    pub(super) async fn fetch(&self, path: &str) -> bool {
        if self.with_cache(|cache| cache.touch(path)) {
            return true;
        }
        let _arm = self.arm.lock().await;
        // It may have been read for another request meanwhile.
        if self.with_cache(|cache| cache.touch(path)) {
            return false;
        }
        tokio::time::sleep(self.read).await;
        let took = u64::try_from(self.read.as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(took, Ordering::Relaxed);
        self.with_cache(|cache| cache.insert(path));
        false
    }

    /// For how long it has been at work since the start.
    pub(super) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    fn with_cache<T>(&self, act: impl FnOnce(&mut Cache) -> T) -> T {
        act(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The last used paths.
#[derive(Debug)]
struct Cache {
    size: usize,
    uses: u64,
    by_path: HashMap<Arc<str>, u64>,
    by_use: BTreeMap<u64, Arc<str>>,
}

impl Cache {
    fn new(size: usize) -> Self {
        Self {
            size,
            uses: 0,
            by_path: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    /// Whether the path is there; it then is the last used one.
    fn touch(&mut self, path: &str) -> bool {
        let Some(used) = self.by_path.get_mut(path) else {
            return false;
        };
        self.uses += 1;
        if let Some(path) = self.by_use.remove(used) {
            self.by_use.insert(self.uses, path);
        }
        *used = self.uses;
        true
    }

    fn insert(&mut self, path: &str) {
        if self.size == 0 || self.touch(path) {
            return;
        }
        if self.by_path.len() == self.size
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_path.remove(&oldest);
        }
        self.uses += 1;
        let path: Arc<str> = path.into();
        self.by_use.insert(self.uses, Arc::clone(&path));
        self.by_path.insert(path, self.uses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_was_used_longest_ago_makes_room() {
        let mut cache = Cache::new(2);
        cache.insert("/a");
        cache.insert("/b");
        assert!(cache.touch("/a"));
        cache.insert("/c");
        assert!(cache.touch("/a") && cache.touch("/c") && !cache.touch("/b"));
        assert_eq!((cache.by_path.len(), cache.by_use.len()), (2, 2));
    }

    #[tokio::test]
    async fn a_file_is_read_once_for_all_who_want_it_at_the_same_time() {
        let disk = Disk::new(10, Duration::from_millis(5));
        let (one, other) = tokio::join!(disk.fetch("/a"), disk.fetch("/a"));
        assert!(!one && !other);
        assert!(disk.fetch("/a").await);
        assert_eq!(disk.busy(), Duration::from_millis(5));
    }

    #[tokio::test]
    async fn without_a_cache_everything_is_read() {
        let disk = Disk::new(0, Duration::from_millis(1));
        assert!(!disk.fetch("/a").await && !disk.fetch("/a").await);
        assert_eq!(disk.busy(), Duration::from_millis(2));
    }
}
