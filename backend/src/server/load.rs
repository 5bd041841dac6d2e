//! The load report: `endpoint-load-metrics: TEXT cpu_utilization=0.31,rps_fractional=120.5,eps=0`,
//! the text form of an ORCA report (Open Request Cost Aggregation) in a response header. Where there
//! is a disk, `application_utilization` tells the part of the time in which it was at work.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use rustix::time::{ClockId, clock_gettime};

/// How long a measurement holds before the next one is taken.
const WINDOW: Duration = Duration::from_secs(1);

/// Measures the load of the process from one window to the next.
#[derive(Debug)]
pub(super) struct Meter {
    state: Mutex<State>,
    errors: AtomicU64,
    cpus: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        let start = Sample {
            at: Instant::now(),
            cpu: cpu_time(),
            disk: None,
            requests: 0,
            errors: 0,
        };
        let report = Report::default();
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get) as f64;
        Self {
            state: Mutex::new(State {
                last: start,
                report,
            }),
            errors: AtomicU64::new(0),
            cpus,
        }
    }

    /// Counts a failed request.
    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The header's value, given how many requests were answered so far, and for how long the disk
    /// was at work, if there is one.
    pub(super) fn header(&self, requests: u64, disk: Option<Duration>) -> Option<HeaderValue> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.at.elapsed() >= WINDOW {
            let now = Sample {
                at: Instant::now(),
                cpu: cpu_time(),
                disk,
                requests,
                errors: self.errors.load(Ordering::Relaxed),
            };
            state.report = Report::between(&state.last, &now, self.cpus);
            state.last = now;
        }
        HeaderValue::from_str(&state.report.to_text()).ok()
    }
}

#[derive(Debug)]
struct State {
    last: Sample,
    report: Report,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    cpu: Duration,
    disk: Option<Duration>,
    requests: u64,
    errors: u64,
}

#[derive(Debug, PartialEq, Default)]
struct Report {
    /// Of all CPUs that the process may use, 0.0 to 1.0.
    cpu_utilization: f64,
    /// Of the disk's time.
    disk_utilization: Option<f64>,
    requests_per_second: f64,
    errors_per_second: f64,
}

impl Report {
    fn between(before: &Sample, after: &Sample, cpus: f64) -> Self {
        let seconds = (after.at - before.at).as_secs_f64().max(f64::EPSILON);
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let per_second = |after: u64, before: u64| after.saturating_sub(before) as f64 / seconds;
        let disk = after.disk.map(|now| now - before.disk.unwrap_or_default());
        Self {
            cpu_utilization: cpu / seconds / cpus.max(1.0),
            disk_utilization: disk.map(|disk| disk.as_secs_f64() / seconds),
            requests_per_second: per_second(after.requests, before.requests),
            errors_per_second: per_second(after.errors, before.errors),
        }
    }

    fn to_text(&self) -> String {
        let Self {
            cpu_utilization: cpu,
            disk_utilization,
            requests_per_second: rps,
            errors_per_second: eps,
        } = self;
        let disk = disk_utilization
            .map(|disk| format!(",application_utilization={disk:.4}"))
            .unwrap_or_default();
        format!("TEXT cpu_utilization={cpu:.4}{disk},rps_fractional={rps:.2},eps={eps:.2}")
    }
}

/// User and system time of the process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_difference_of_two_samples_per_second_and_cpu() {
        let at = Instant::now();
        let before = Sample {
            at,
            cpu: Duration::from_secs(1),
            disk: None,
            requests: 100,
            errors: 0,
        };
        let after = Sample {
            at: at + Duration::from_secs(2),
            cpu: Duration::from_secs(2),
            disk: None,
            requests: 350,
            errors: 5,
        };
        let report = Report::between(&before, &after, 2.0);
        assert_eq!(
            report,
            Report {
                cpu_utilization: 0.25,
                disk_utilization: None,
                requests_per_second: 125.0,
                errors_per_second: 2.5,
            }
        );
        assert_eq!(
            report.to_text(),
            "TEXT cpu_utilization=0.2500,rps_fractional=125.00,eps=2.50"
        );
        let disk = Some(Duration::from_secs(1));
        let report = Report::between(&before, &Sample { disk, ..after }, 2.0);
        let text = report.to_text();
        assert!(text.contains(",application_utilization=0.5000,"), "{text}");
    }

    #[test]
    fn the_cpu_time_grows_while_the_process_works() {
        let (start, before) = (Instant::now(), cpu_time());
        while cpu_time() <= before {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "no CPU time was counted"
            );
        }
    }
}
