//! How often a route may be asked (`route.limit`), and what is told to whoever asked too often:
//! `Retry-After` (RFC 9110 10.2.3) and the fields of draft-ietf-httpapi-ratelimit-headers-10.

use std::time::Duration;

use pointsman_config::policy::{LimitBy, Rate};

use super::Scene;
use super::record::Record;
use super::respond::Local;
use super::view::View;
use crate::error::Reason;
use crate::route::RequestView as _;
use crate::shared::quotas::{Key, Pace, Scope, Who};
use crate::snapshot::Route;

/// A rate that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    rate: Rate,
    /// Until one more passes.
    wait: Duration,
}

/// Counts the request against the limit of its route.
///
/// # Errors
/// When it is beyond; then the record says by how much.
pub fn check(
    scene: &Scene<'_>,
    view: &View<'_>,
    route: &Route,
    record: &mut Record<'_>,
) -> Result<(), Reason> {
    let Some(limit) = &route.limit else {
        return Ok(());
    };
    let client = || Who::client(record.client);
    let who = match &limit.by {
        LimitBy::ClientIp => client(),
        LimitBy::Header(name) => view.header(name).next().map_or_else(client, Who::named),
        LimitBy::Route => Who::All,
    };
    let key = Key {
        scope: Scope::Route(route.id),
        who,
    };
    let pace = Pace::new(limit.rate, limit.burst);
    let quotas = &scene.worker.connections.quotas;
    quotas.take(key, pace, record.began()).map_err(|wait| {
        record.exceeded = Some(Exceeded {
            rate: limit.rate,
            wait,
        });
        Reason::RateLimit
    })
}

impl Exceeded {
    /// Tells the client when to come again.
    pub fn tell(&self, answer: &mut Local) {
        let seconds = self.wait.as_millis().div_ceil(1000).max(1);
        answer.fields.retain(|(name, _)| *name != "Retry-After");
        answer.fields.push(("Retry-After", seconds.to_string()));
        let policy = format!(
            "\"default\";q={};w={}",
            self.rate.count,
            self.rate.per.as_secs()
        );
        answer.fields.push(("RateLimit-Policy", policy));
        let state = format!("\"default\";r=0;t={seconds}");
        answer.fields.push(("RateLimit", state));
    }
}
