use std::collections::HashMap;

use crate::cache::Cache;

/// Microseconds.
pub(crate) type Time = u64;

/// Bytes of a node's cache.
const CACHE: u64 = 32 << 20;

/// To open a connection, and to close it.
const CONNECTION: Time = 145;

/// To send 512 bytes.
const SEND: Time = 40;

/// One node, with the paper's costs: a 300 MHz Pentium II and one disk. Its processor and its disk
/// work on one request each at a time, in the order in which they come, and both at once.
pub(crate) struct Node {
    cache: Cache,
    processor: Time,
    disk: Time,
    /// Requests that wait for a file that is being read.
    reading: HashMap<usize, Vec<u64>>,
    pub(crate) hits: u64,
    pub(crate) lookups: u64,
}

/// What happens next to a request.
pub(crate) enum Next {
    /// It is answered at this time.
    Answered(Time),
    /// Its file is read until this time.
    Read(Time),
    /// Another request has its file read already.
    Waits,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::new(CACHE),
            processor: 0,
            disk: 0,
            reading: HashMap::new(),
            hits: 0,
            lookups: 0,
        }
    }

    /// When the connection of a request that comes now stands.
    pub(crate) fn accept(&mut self, now: Time) -> Time {
        self.compute(now, CONNECTION)
    }

    /// The connection stands.
    pub(crate) fn look_up(&mut self, now: Time, request: u64, file: usize, size: u64) -> Next {
        self.lookups += 1;
        if self.cache.touch(file) {
            self.hits += 1;
            return Next::Answered(self.send(now, size));
        }
        if let Some(waiting) = self.reading.get_mut(&file) {
            waiting.push(request);
            return Next::Waits;
        }
        self.reading.insert(file, vec![request]);
        self.disk = self.disk.max(now) + reading(size);
        Next::Read(self.disk)
    }

    /// The file was read; when each request for it is answered.
    pub(crate) fn read(&mut self, now: Time, file: usize, size: u64) -> Vec<(u64, Time)> {
        self.cache.insert(file, size);
        let waiting = self.reading.remove(&file).unwrap_or_default();
        waiting
            .into_iter()
            .map(|request| (request, self.send(now, size)))
            .collect()
    }

    fn send(&mut self, now: Time, size: u64) -> Time {
        self.compute(now, size.div_ceil(512) * SEND + CONNECTION)
    }

    fn compute(&mut self, now: Time, takes: Time) -> Time {
        self.processor = self.processor.max(now) + takes;
        self.processor
    }
}

/// 28 ms to the first byte, 410 us for each 4 KB, and 14 ms for each further 44 KB.
fn reading(size: u64) -> Time {
    let further = size.saturating_sub(44 << 10).div_ceil(44 << 10);
    28_000 + size.div_ceil(4 << 10) * 410 + further * 14_000
}
