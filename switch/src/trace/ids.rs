//! Ids of traces and spans.

use std::cell::Cell;

use super::TraceId;

/// What one worker makes ids with: random, none of them zero, no secrets.
#[derive(Debug)]
pub struct Ids {
    state: Cell<u64>,
    /// Keeps apart the ids of workers whose states come by the same number.
    salt: u64,
}

impl Ids {
    /// Begins somewhere that nobody can foresee.
    pub fn new() -> Self {
        let mut seed = [0; 16];
        // Without randomness of the system the time tells workers apart, too.
        if aws_lc_rs::rand::fill(&mut seed).is_err() {
            let now = std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .unwrap_or_default();
            seed = now.as_nanos().to_ne_bytes();
        }
        let seed = u128::from_ne_bytes(seed);
        Self {
            state: Cell::new(seed as u64),
            salt: (seed >> 64) as u64,
        }
    }

    /// The id of a trace.
    pub fn trace(&self) -> TraceId {
        let (high, low) = (self.next(), self.next() ^ self.salt);
        TraceId((u128::from(high) << 64 | u128::from(low)).max(1))
    }

    /// The id of a span.
    pub fn span(&self) -> u64 {
        (self.next() ^ self.salt).max(1)
    }

    /// splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}
