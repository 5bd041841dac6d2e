//! `GET /plan`: what a reload would change.

use std::sync::Arc;

use hyper::StatusCode;
use pointsman_config::policy::Policy;
use pointsman_config::report::Report;
use serde::Serialize;

use super::content::Answer;
use super::site::{JSON, json, respond, text};
use crate::control::inside::InForce;
use crate::control::plan::Plan;
use crate::control::reconcile::Desk;
use crate::control::source::Source;

/// The answer.
#[derive(Debug, Serialize)]
struct Compared {
    /// The file that was read.
    file: String,
    #[serde(flatten)]
    plan: Plan,
}

pub(super) async fn answer(source: &Source, in_force: &Arc<Policy>, desk: &Desk) -> Answer {
    let Some(path) = source.file().map(ToOwned::to_owned) else {
        let why = "the policy came from the command line: there is no file to compare it with\n";
        return text(StatusCode::NOT_FOUND, why.to_owned());
    };
    let file = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || Policy::from_path(&path)).await;
    let new = match read {
        Ok(Ok(new)) => new,
        Ok(Err(report)) => return wrong(&report),
        Err(_) => return text(StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned()),
    };
    let status = desk.status().await;
    let plan = Plan::of(&InForce::of(in_force), &new, status.as_ref());
    json(serde_json::to_string_pretty(&Compared { file, plan }))
}

/// As `pointsman check --format json` writes it; lines of the file are not shown, since they may
/// hold secrets.
fn wrong(report: &Report) -> Answer {
    respond(StatusCode::UNPROCESSABLE_ENTITY, JSON, report.render_json())
}
