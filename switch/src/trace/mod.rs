//! Distributed traces: what a request is told of the trace that it belongs to (W3C Trace Context), and
//! the spans that are left of it.
//!
//! A worker takes notes of sampled requests alone ([`Notes`]), makes spans of them at the end, and
//! lays those on a bounded queue ([`Spans`]), from which the control plane exports them. The same notes
//! tell an operator what became of a request that was sent to be watched ([`Desk`]).

mod context;
mod desk;
mod ids;
mod notes;
mod spans;

use pointsman_config::policy;

pub use context::{Context, Header, TraceId};
pub use desk::{Desk, FIELD, Heard, Step, Told};
pub use ids::Ids;
pub use notes::{Attempt, Attempting, Notes};
pub use spans::{BATCH, Figures, Kind, Span, Spans, Value};

/// Whether this program can export spans.
pub const EXPORTS: bool = cfg!(feature = "otlp");

/// What all workers share: one for the process.
#[derive(Debug, Default)]
pub struct Traces {
    /// Where finished spans go.
    pub spans: Spans,
    /// Requests that are watched.
    pub desk: Desk,
}

/// How requests are traced, as workers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracing {
    /// Only trusted peers have their traces continued.
    pub trusted_only: bool,
    /// Whether there is somebody who wants spans.
    pub exports: bool,
    /// Traces below it are sampled, of [`RANDOM`].
    threshold: u64,
}

/// The part of a trace's id that is random in any case (W3C Trace Context Level 2, 3.2.2.3).
const RANDOM: u64 = (1 << 56) - 1;

impl Tracing {
    /// As the policy has it.
    pub fn of(trace: &policy::Trace) -> Self {
        Self {
            trusted_only: trace.trusted_only,
            exports: EXPORTS && trace.endpoint.is_some(),
            threshold: (trace.sample.clamp(0.0, 1.0) * (RANDOM as f64 + 1.0)) as u64,
        }
    }

    /// Whether a trace that begins here is sampled.
    pub fn samples(&self, id: TraceId) -> bool {
        (id.0 as u64 & RANDOM) < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_traces_are_sampled_as_the_policy_says() {
        let ids = Ids::new();
        for (sample, about) in [(0.0, 0), (0.01, 1_000), (0.5, 50_000), (1.0, 100_000)] {
            let tracing = Tracing::of(&policy::Trace {
                endpoint: None,
                sample,
                trusted_only: false,
                service: String::new(),
            });
            let sampled = (0..100_000)
                .filter(|_| tracing.samples(ids.trace()))
                .count();
            let off = sampled.abs_diff(about);
            // Ten standard deviations of a binomial distribution.
            let bound = (100_000.0 * sample * (1.0 - sample)).sqrt() * 10.0;
            assert!(off as f64 <= bound, "{sample}: {sampled}");
        }
    }
}
