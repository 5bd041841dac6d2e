//! The time of what endpoints remember: milliseconds since the process first asked.

use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds; never goes back.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
