//! The load report: `endpoint-load-metrics: TEXT cpu_utilization=0.31,rps_fractional=120.5`, the
//! text form of an ORCA report (Open Request Cost Aggregation) in a response header.

use std::num::NonZero;
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
    cpus: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        let start = Sample {
            at: Instant::now(),
            cpu: cpu_time(),
            requests: 0,
        };
        let report = Report {
            cpu_utilization: 0.0,
            requests_per_second: 0.0,
        };
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get) as f64;
        Self {
            state: Mutex::new(State {
                last: start,
                report,
            }),
            cpus,
        }
    }

    /// The header's value, given how many requests were answered so far.
    pub(super) fn header(&self, requests: u64) -> Option<HeaderValue> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.at.elapsed() >= WINDOW {
            let now = Sample {
                at: Instant::now(),
                cpu: cpu_time(),
                requests,
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
    requests: u64,
}

#[derive(Debug, PartialEq)]
struct Report {
    /// Of all CPUs that the process may use, 0.0 to 1.0.
    cpu_utilization: f64,
    requests_per_second: f64,
}

impl Report {
    fn between(before: &Sample, after: &Sample, cpus: f64) -> Self {
        let seconds = (after.at - before.at).as_secs_f64().max(f64::EPSILON);
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let requests = after.requests.saturating_sub(before.requests) as f64;
        Self {
            cpu_utilization: cpu / seconds / cpus.max(1.0),
            requests_per_second: requests / seconds,
        }
    }

    fn to_text(&self) -> String {
        let Self {
            cpu_utilization: cpu,
            requests_per_second: rps,
        } = self;
        format!("TEXT cpu_utilization={cpu:.4},rps_fractional={rps:.2}")
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
            requests: 100,
        };
        let after = Sample {
            at: at + Duration::from_secs(2),
            cpu: Duration::from_secs(2),
            requests: 350,
        };
        let report = Report::between(&before, &after, 2.0);
        assert_eq!(
            report,
            Report {
                cpu_utilization: 0.25,
                requests_per_second: 125.0
            }
        );
        assert_eq!(
            report.to_text(),
            "TEXT cpu_utilization=0.2500,rps_fractional=125.00"
        );
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
