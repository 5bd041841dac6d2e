//! Spans to a collector: OTLP over HTTP, as protobuf (OpenTelemetry Protocol 1.x). What cannot be
//! delivered waits in the bounded queue of [`crate::trace::Spans`]; workers never wait for it.

mod backoff;
mod message;
mod post;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use pointsman_config::policy::{Policy, Trace};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::backoff::Backoff;
use self::post::Failure;
use super::reload::Reloads;
use crate::metrics::Hub;
use crate::trace::{BATCH, Traces};

/// Spans wait no longer for others.
const EVERY: Duration = Duration::from_secs(1);
/// Where nothing is exported, nothing is looked for: a policy that changes that is told of.
const NEVER: Duration = Duration::from_secs(86_400);
/// For one export.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the last spans when the process ends.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// What exports are made of.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) traces: Arc<Traces>,
    pub(super) hub: Arc<Hub>,
    pub(super) reloads: Reloads,
    /// The policy that the process began with.
    pub(super) first: Arc<Policy>,
}

/// The task that exports.
#[derive(Debug)]
pub(super) struct Export {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins.
    pub(super) fn spawn(sources: Sources) -> Self {
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter {
            sources,
            backoff: Backoff::default(),
            batch: None,
            is_failing: false,
        };
        Self {
            stop,
            task: tokio::spawn(exporter.run(stopped)),
        }
    }

    /// Exports what waits, for a moment at most.
    pub(super) async fn end(self) {
        drop(self.stop);
        let _ = tokio::time::timeout(LAST_SPANS, self.task).await;
    }
}

struct Exporter {
    sources: Sources,
    backoff: Backoff,
    /// What is tried again.
    batch: Option<Batch>,
    is_failing: bool,
}

/// Spans as they are sent.
#[derive(Clone)]
struct Batch {
    bytes: Bytes,
    spans: u64,
}

impl Exporter {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut policies = self.sources.reloads.watch();
        let mut pause = EVERY;
        loop {
            let ends = tokio::select! {
                _ = &mut stopped => true,
                () = tokio::time::sleep(pause) => false,
                Ok(()) = policies.changed() => false,
                () = self.sources.traces.spans.filled(), if pause == EVERY => false,
            };
            pause = self.export_all().await;
            if ends {
                return;
            }
        }
    }

    /// Exports until nothing waits, or one fails; the time until the next.
    async fn export_all(&mut self) -> Duration {
        let policy = self.sources.reloads.in_force();
        let policy = policy.unwrap_or_else(|| self.sources.first.clone());
        let trace = policy
            .trace
            .as_ref()
            .filter(|trace| trace.endpoint.is_some());
        let Some(trace) = trace else {
            // What came before the policy changed has nowhere to go.
            let left = self.sources.traces.spans.take(usize::MAX).len() as u64;
            let left = left + self.batch.take().map_or(0, |batch| batch.spans);
            self.count(|figures| &figures.lost, left);
            return NEVER;
        };
        self.sources.hub.watch_traces(self.sources.traces.clone());
        while let Some(batch) = self.next(trace) {
            if let Some(pause) = self.export(trace, batch).await {
                return pause;
            }
        }
        EVERY
    }

    fn next(&mut self, trace: &Trace) -> Option<Batch> {
        self.batch.take().or_else(|| {
            let spans = self.sources.traces.spans.take(BATCH);
            (!spans.is_empty()).then(|| Batch {
                spans: spans.len() as u64,
                bytes: message::encode(&trace.service, spans).into(),
            })
        })
    }

    /// Exports a batch; after a failure, the time until the next.
    async fn export(&mut self, trace: &Trace, batch: Batch) -> Option<Duration> {
        let url = trace.endpoint.as_ref()?;
        let posted = tokio::time::timeout(PATIENCE, post::post(url, batch.bytes.clone())).await;
        let posted = posted.unwrap_or_else(|_| {
            let why = format!("no answer within {PATIENCE:?}");
            Err(Failure::passing(why))
        });
        let failure = match posted {
            Ok(answer) => {
                let refused = message::refused(&answer).min(batch.spans);
                self.count(|figures| &figures.exports, 1);
                self.count(|figures| &figures.exported, batch.spans - refused);
                self.count(|figures| &figures.lost, refused);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("traces are exported to {} again", url.authority);
                }
                self.backoff = Backoff::default();
                return None;
            }
            Err(failure) => failure,
        };
        self.count(|figures| &figures.failures, 1);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(
                "traces cannot be exported to {}: {}; this is tried again, and told no more until \
                 it succeeds",
                url.authority,
                failure.why
            );
        }
        match failure.passes {
            true => self.batch = Some(batch),
            false => self.count(|figures| &figures.lost, batch.spans),
        }
        Some(self.backoff.next(failure.after))
    }

    fn count(&self, which: impl Fn(&crate::trace::Figures) -> &AtomicU64, by: u64) {
        which(&self.sources.traces.spans.figures).fetch_add(by, Relaxed);
    }
}
