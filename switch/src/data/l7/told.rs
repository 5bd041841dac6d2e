//! What an operator is told of a request that was sent to be watched (`pointsman trace`).

use std::time::{Duration, Instant};

use super::Scene;
use super::field::Known;
use super::head::RequestHead;
use super::record::{Record, protocol};
use crate::error::Side;
use crate::trace::{Attempt, Notes, Step, Told, TraceId};

/// A request that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    token: TraceId,
}

impl Watched {
    /// The request, if it bears a token that was handed out. Costs others a look at one number.
    pub fn claim(scene: &Scene<'_>, request: &RequestHead, now: Instant) -> Option<Self> {
        let desk = &scene.worker.traces.desk;
        if !desk.expects() {
            return None;
        }
        let token = request.values(Known::PointsmanTrace).next()?;
        let token = TraceId::parse(token).filter(|token| desk.claim(*token, now))?;
        Some(Self { token })
    }

    /// Tells what became of it.
    pub fn tell(
        &self,
        scene: &Scene<'_>,
        request: &RequestHead,
        record: &Record<'_>,
        notes: &Notes,
    ) {
        let now = Instant::now();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = Told {
            request: format!(
                "{} {} {}",
                text(request.method()),
                text(request.get(request.authority)),
                text(request.target())
            ),
            listener: scene.listener.policy.name.clone(),
            client: record.client.to_canonical().to_string(),
            protocol: protocol(request.version).word().to_owned(),
            route: record.route().map(|route| route.name.clone()),
            pool: record.pool().map(|pool| pool.name.clone()),
            status: record.status,
            reason: record.reason.map(|reason| reason.word().to_owned()),
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            trace_id: record.trace().map(|trace| trace.id.to_string()),
            steps: steps(scene, record, notes, now),
        };
        scene.worker.traces.desk.tell(self.token, told, now);
    }
}

fn steps(scene: &Scene<'_>, record: &Record<'_>, notes: &Notes, now: Instant) -> Vec<Step> {
    let mut steps = Steps(Vec::new());
    let listener = &scene.listener.policy.name;
    let peer = scene.conn.peer.to_canonical();
    let text = format!("by listener {listener}, from {peer}");
    steps.add(scene.conn.since, "accepted", text);
    steps.add(
        notes.began,
        "head",
        "the request's head is complete".to_owned(),
    );
    if let (Some(route), Some(at)) = (record.route(), notes.routed.get()) {
        steps.add(at, "route", route.name.clone());
        if let Some(pool) = record.pool() {
            steps.add(at, "pool", pool.name.clone());
        }
    }
    for (from, to) in notes.waits() {
        let took = to.saturating_duration_since(from);
        let text = format!("{} for a backend with room", millis(took));
        steps.add(from, "wait", text);
    }
    let attempts = notes.attempts();
    for (place, attempt) in attempts.iter().enumerate() {
        steps.attempt(place, attempt);
    }
    let word = record
        .reason
        .map(|reason| format!(", reason {}", reason.word()));
    let text = format!(
        "status {}{}, {} bytes from the client, {} bytes to it",
        record.status,
        word.unwrap_or_default(),
        record.request_bytes,
        record.response_bytes
    );
    steps.add(now, "done", text);
    steps.told(scene.conn.since)
}

struct Steps(Vec<(Instant, Step)>);

impl Steps {
    fn add(&mut self, at: Instant, step: &str, text: String) {
        let step = Step {
            step: step.to_owned(),
            text,
            ..Step::default()
        };
        self.0.push((at, step));
    }

    fn attempt(&mut self, place: usize, attempt: &Attempt) {
        let name = &attempt.endpoint.name;
        let begins = self.0.len();
        let number = place + 1;
        let hedge = match attempt.hedge {
            true => ", while another one is under way (hedge)",
            false => "",
        };
        self.add(attempt.began, "try", format!("number {number}{hedge}"));
        if let Some((at, reused)) = attempt.connected {
            let text = match reused {
                true => "a kept connection".to_owned(),
                false => format!(
                    "after {}",
                    millis(at.saturating_duration_since(attempt.began))
                ),
            };
            self.add(at, "connected", text);
        }
        if let Some((at, status)) = attempt.answered {
            self.add(at, "answer", format!("status {status}, first bytes"));
        }
        match (attempt.failed, attempt.ended) {
            (Some(reason), Some(at)) => {
                let text = match reason.side() {
                    Side::Endpoint => format!("reason {}", reason.word()),
                    _ => format!("reason {}, which is not the backend's", reason.word()),
                };
                self.add(at, "failed", text);
            }
            (None, Some(at)) => {
                let text = match attempt.answered {
                    Some(_) => "the policy has another one tried after this status",
                    None => "another one was quicker",
                };
                self.add(at, "given-up", text.to_owned());
            }
            _ => {}
        }
        for (_, step) in &mut self.0[begins..] {
            step.backend = Some(name.clone());
        }
    }

    /// In the order of time.
    fn told(mut self, since: Instant) -> Vec<Step> {
        self.0.sort_by_key(|(at, _)| *at);
        let step = |(at, step): (Instant, Step)| Step {
            at: at.saturating_duration_since(since).as_secs_f64(),
            ..step
        };
        self.0.into_iter().map(step).collect()
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
