//! How busy the processors of this host are.

use std::fs;

/// The share that was used since the last look.
#[derive(Debug, Default)]
pub(super) struct Processors {
    /// Ticks that were idle, and all of them.
    last: Option<(u64, u64)>,
}

impl Processors {
    /// A report as in `endpoint-load-metrics`, in steps of a hundredth; `None` the first time, and
    /// where the system does not tell.
    pub(super) fn report(&mut self) -> Option<String> {
        self.used(&fs::read_to_string("/proc/stat").ok()?)
            .map(|used| format!("TEXT cpu_utilization={used:.2}"))
    }

    fn used(&mut self, stat: &str) -> Option<f64> {
        let now = ticks(stat)?;
        let last = self.last.replace(now)?;
        let (idle, all) = (now.0.checked_sub(last.0)?, now.1.checked_sub(last.1)?);
        (all > 0).then(|| 1.0 - (idle as f64 / all as f64).min(1.0))
    }
}

/// The first line of /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal, and
/// times of guests, which are counted in user already.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers = line.split_whitespace().take(8);
    let numbers: Vec<u64> = numbers
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    let idle = numbers.get(3)?.saturating_add(*numbers.get(4)?);
    Some((
        idle,
        numbers.iter().fold(0, |sum, one| sum.saturating_add(*one)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_since_the_last_look_counts() {
        let mut processors = Processors::default();
        assert_eq!(processors.used("cpu  100 0 100 700 100 0 0 0 0 0\n"), None);
        let used = processors.used("cpu  130 0 120 740 110 0 0 0 0 0\n");
        assert!((used.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(processors.used("cpu  130 0 120 740 110 0 0 0 0 0\n"), None);
        assert_eq!(processors.used("nothing"), None);
    }
}
