use std::collections::{BTreeSet, HashMap};

/// Greedy-Dual-Size, as in the paper: what goes first is large and was not used for long (Cao, Irani:
/// "Cost-aware WWW proxy caching algorithms", 1997, with a cost of 1).
pub(crate) struct Cache {
    room: u64,
    used: u64,
    /// What the last file to go was worth: new ones are worth that much more.
    inflation: f64,
    /// Worth and size of each file.
    files: HashMap<usize, (f64, u64)>,
    by_worth: BTreeSet<(u64, usize)>,
}

impl Cache {
    pub(crate) fn new(room: u64) -> Self {
        Self {
            room,
            used: 0,
            inflation: 0.0,
            files: HashMap::new(),
            by_worth: BTreeSet::new(),
        }
    }

    /// Whether the file is there; it is worth more afterwards.
    pub(crate) fn touch(&mut self, file: usize) -> bool {
        let Some(&(_, size)) = self.files.get(&file) else {
            return false;
        };
        self.remove(file);
        self.add(file, size);
        true
    }

    pub(crate) fn insert(&mut self, file: usize, size: u64) {
        if size > self.room || self.touch(file) {
            return;
        }
        while self.used + size > self.room
            && let Some(&(worth, least)) = self.by_worth.first()
        {
            self.inflation = f64::from_bits(worth);
            self.remove(least);
        }
        self.add(file, size);
    }

    fn add(&mut self, file: usize, size: u64) {
        let worth = self.inflation + 1.0 / size as f64;
        self.files.insert(file, (worth, size));
        // Numbers above zero are ordered as their bits are.
        self.by_worth.insert((worth.to_bits(), file));
        self.used += size;
    }

    fn remove(&mut self, file: usize) {
        if let Some((worth, size)) = self.files.remove(&file) {
            self.by_worth.remove(&(worth.to_bits(), file));
            self.used -= size;
        }
    }
}
