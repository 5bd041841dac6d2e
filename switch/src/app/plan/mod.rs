//! `pointsman plan`: what a reload would change, thing by thing.

mod effects;
mod render;

use std::path::Path;

use pointsman_config::outline::Change;
use pointsman_config::policy::Policy;
use pointsman_config::report::Report;
use serde::Serialize;

use super::client::{self, Door};
use super::{Exit, output, status};
use crate::args;
use crate::control::inside::InForce;
use crate::control::status::Status;

/// What would change.
#[derive(Debug, Serialize)]
struct Plan {
    /// The digest of the policy in force, or of the one that is compared with.
    from: String,
    /// The digest of the new one.
    to: String,
    /// What is other than before, with what comes of it.
    changes: Vec<Planned>,
    /// What is there before and after, and the same: how many of each kind.
    unchanged: Vec<(String, usize)>,
}

/// A change and what comes of it.
#[derive(Debug, Serialize)]
struct Planned {
    #[serde(flatten)]
    change: Change,
    /// In words.
    effects: Vec<String>,
}

pub(super) fn run(args: &args::Plan) -> Exit {
    let new = match read(&args.new, args.json) {
        Ok(new) => new,
        Err(exit) => return exit,
    };
    let (before, live) = match before(args, &new) {
        Ok(before) => before,
        Err(exit) => return exit,
    };
    let changes = before.outline.changes(&new.outline);
    let unchanged = unchanged(&new, &changes);
    let planned = changes.into_iter().map(|change| Planned {
        effects: effects::of(&change, live.as_ref()),
        change,
    });
    let plan = Plan {
        from: before.digest,
        to: new.digest.clone(),
        changes: planned.collect(),
        unchanged,
    };
    if !new.warnings.is_empty() {
        output::message(&new.warnings.render_text(output::color_err()));
    }
    if !args.json {
        return output::print(&render::plan(&plan, output::color_out()));
    }
    match serde_json::to_string_pretty(&plan) {
        Ok(json) => output::print(&json),
        Err(error) => {
            output::error(&format!("the plan cannot be written as JSON: {error}"));
            Exit::Failed
        }
    }
}

fn read(file: &Path, json: bool) -> Result<Policy, Exit> {
    Policy::from_path(file).map_err(|report: Report| {
        output::print(&match json {
            true => report.render_json(),
            false => report.render_text(output::color_out()),
        });
        Exit::Invalid
    })
}

/// What is in force, with the state of a running switch; or what a file says.
fn before(args: &args::Plan, new: &Policy) -> Result<(InForce, Option<Status>), Exit> {
    if let Some(file) = &args.against {
        return Ok((InForce::of(&read(file, args.json)?), None));
    }
    let which = &args.target.which;
    let door = match which.file.is_some() || which.admin.is_some() {
        true => Door::of(&args.target)?,
        false => Door::of_policy(new, client::own_token(&args.target)?),
    };
    let answer = client::ask_at(&door, "GET", "/policy")?;
    if answer.status != 200 {
        return Err(client::refused(&answer));
    }
    let in_force = serde_json::from_str(&answer.body).map_err(|error| {
        output::error(&format!("this switch is of another version: {error}"));
        Exit::Failed
    })?;
    let answer = client::ask_at(&door, "GET", "/status")?;
    Ok((in_force, Some(status::read(&answer.body)?)))
}

/// Of each kind those that are in the new policy and not among the changes.
fn unchanged(new: &Policy, changes: &[Change]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for thing in &new.outline.things {
        let is_it = |change: &Change| change.kind == thing.kind && change.name == thing.name;
        if changes.iter().any(is_it) {
            continue;
        }
        match counts.iter_mut().find(|(kind, _)| *kind == thing.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((thing.kind.clone(), 1)),
        }
    }
    counts
}
