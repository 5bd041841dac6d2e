//! `pointsman reload`

use super::{Exit, client, output};
use crate::args::Reload;

pub(super) fn run(reload: Reload) -> Exit {
    let path = if reload.wait {
        "/reload"
    } else {
        "/reload?wait=no"
    };
    let answer = match client::ask(&reload.target, "POST", path) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    match answer.status {
        200 | 202 => output::print(&answer.body),
        422 => {
            output::message(&answer.body);
            output::error("nothing was changed, the policy before stays in force");
            Exit::Invalid
        }
        401 | 403 | 429 => {
            output::error(&answer.body);
            Exit::Refused
        }
        _ => {
            output::error(&format!("{}: {}", answer.status, answer.body));
            Exit::Failed
        }
    }
}
