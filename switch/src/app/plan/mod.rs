//! `pointsman plan`: what a reload would change, thing by thing.

mod render;

use std::path::Path;

use pointsman_config::policy::Policy;
use pointsman_config::report::Report;

use super::client::{self, Door};
use super::{Exit, output, status};
use crate::args;
use crate::control::inside::InForce;
use crate::control::plan::Plan;
use crate::control::status::Status;

pub(super) fn run(args: &args::Plan) -> Exit {
    let new = match read(&args.new, args.json) {
        Ok(new) => new,
        Err(exit) => return exit,
    };
    let (before, live) = match before(args, &new) {
        Ok(before) => before,
        Err(exit) => return exit,
    };
    let plan = Plan::of(&before, &new, live.as_ref());
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
