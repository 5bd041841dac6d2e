//! The tables that header blocks refer to (RFC 7541 section 2.3).

use std::collections::VecDeque;

use super::OVERHEAD;

/// The static table; its first entry has index 1 (RFC 7541 Appendix A).
pub const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// A decoder's dynamic table. Its entries lie one behind the other in one piece of memory, which is
/// there only once something was entered.
#[derive(Debug)]
pub struct Dynamic {
    bytes: Vec<u8>,
    /// The oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    name: usize,
    value: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.name + self.value + OVERHEAD
    }
}

impl Dynamic {
    /// An empty table that may grow to `limit` as RFC 7541 4.1 counts.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            limit,
        }
    }

    /// The entry that was entered `age` entries before the last one.
    pub fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let at = self.entries.len().checked_sub(age + 1)?;
        let entry = self.entries.get(at)?;
        let bytes = self.bytes.get(entry.start..)?;
        let (name, rest) = bytes.split_at_checked(entry.name)?;
        Some((name, rest.get(..entry.value)?))
    }

    /// Changes how large the table may be; what does not fit any more goes.
    pub fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(0);
    }

    /// Enters a field line. One that is larger than the table only empties it (RFC 7541 4.4).
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(size);
        if size > self.limit {
            return;
        }
        self.entries.push_back(Entry {
            start: self.bytes.len(),
            name: name.len(),
            value: value.len(),
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.limit {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.size -= oldest.size();
        }
        let dead = self.entries.front().map_or(self.bytes.len(), |e| e.start);
        // Moved only when at least as much is gone as stays: each byte is moved once at most.
        if dead * 2 >= self.bytes.len() && dead > 0 {
            self.bytes.drain(..dead);
            self.entries.iter_mut().for_each(|e| e.start -= dead);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut table = Dynamic::new(100);
        table.insert(b"name", b"value");
        table.insert(b"long", &[b'x'; 100]);
        assert_eq!(table.get(0), None);
        assert_eq!(table.size, 0);
    }

    proptest! {
        #[test]
        fn the_table_holds_the_newest_entries_that_fit(
            sizes in proptest::collection::vec((0usize..60, 0usize..300), 0..200),
            limit in 0usize..1000,
        ) {
            let mut table = Dynamic::new(limit);
            let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for (n, (name, value)) in sizes.into_iter().enumerate() {
                let fill = n as u8;
                all.push((vec![fill; name], vec![!fill; value]));
                let (name, value) = &all[n];
                table.insert(name, value);
                let mut size = 0;
                let fitting = all.iter().rev().take_while(|(name, value)| {
                    size += name.len() + value.len() + OVERHEAD;
                    size <= limit
                });
                let kept = fitting.collect::<Vec<_>>();
                for (age, (name, value)) in kept.iter().enumerate() {
                    prop_assert_eq!(table.get(age), Some((&name[..], &value[..])));
                }
                prop_assert_eq!(table.get(kept.len()), None);
                prop_assert!(table.bytes.len() <= 2 * limit);
            }
        }
    }
}
