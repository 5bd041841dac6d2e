//! What an endpoint has last reported of its load.

use std::sync::atomic::{AtomicU64, Ordering};

use super::orca::Report;
use super::stamped::Stamped;

/// Milliseconds after which a report says nothing any more. Reports come with every answer and every
/// health check.
const FRESH: u64 = 10_000;

/// The last report; nothing once it is ten seconds old. Writers: the workers and the health checks.
#[derive(Debug, Default)]
pub struct Load {
    utilization: AtomicU64,
    capacity: AtomicU64,
}

impl Load {
    /// Takes note of a report, the value of the field `endpoint-load-metrics`; one that cannot be
    /// read changes nothing.
    pub fn hear(&self, value: &[u8], now: u64) {
        let Some(report) = Report::parse(value) else {
            return;
        };
        let stamped = |value: f64| {
            let value = value as f32;
            Stamped { value, at: now }.pack()
        };
        let used = stamped(report.utilization());
        self.utilization.store(used, Ordering::Relaxed);
        let capacity = stamped(report.capacity().unwrap_or(0.0));
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// The used part of what it has: 1.0 is all.
    pub fn utilization(&self, now: u64) -> Option<f32> {
        let word = self.utilization.load(Ordering::Relaxed);
        let last = Stamped::unpack(word);
        (word != 0 && last.age(now) <= FRESH).then_some(last.value)
    }

    /// Requests per second that it could serve, to within 3 %, so that small changes make no new
    /// weight.
    pub fn capacity(&self, now: u64) -> Option<f32> {
        let last = Stamped::unpack(self.capacity.load(Ordering::Relaxed));
        let coarse = f32::from_bits(last.value.to_bits() & 0xfffc_0000);
        (coarse > 0.0 && last.age(now) <= FRESH).then_some(coarse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_for_ten_seconds() {
        let load = Load::default();
        assert_eq!((load.utilization(0), load.capacity(0)), (None, None));
        load.hear(b"TEXT cpu_utilization=0.5,rps_fractional=64", 1000);
        assert_eq!(load.utilization(11_000), Some(0.5));
        assert_eq!(load.capacity(11_000), Some(128.0));
        assert_eq!(load.utilization(11_001), None);
        assert_eq!(load.capacity(11_001), None);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let load = Load::default();
        load.hear(b"TEXT cpu_utilization=0.5,rps_fractional=64", 1000);
        load.hear(b"BIN CgkJMzMzMzMz0z8=", 2000);
        assert_eq!(load.capacity(2000), Some(128.0));
        load.hear(b"TEXT cpu_utilization=0.7", 3000);
        let used = load.utilization(3000).expect("it was told");
        assert!((used - 0.7).abs() < 1e-4, "{used}");
        assert_eq!(load.capacity(3000), None, "this one tells no requests");
    }
}
