//! `pointsman direct`

use std::path::{Path, PathBuf};

use pointsman_config::policy::Policy;

use super::{Exit, output, policy_file};
use crate::args::{Clear, DirectAction};
use crate::control::direct::clear::{self, Cleared};

/// Where a policy that says nothing has them.
const USUAL: &str = "/sys/fs/bpf/pointsman";

pub(super) fn run(action: DirectAction) -> Exit {
    let DirectAction::Clear(args) = action;
    let pins = match pins(args) {
        Ok(pins) => pins,
        Err(exit) => return exit,
    };
    match clear::clear(&pins) {
        Ok(cleared) => tell(cleared, &pins),
        Err(error) => {
            output::error(&error.to_string());
            Exit::Failed
        }
    }
}

fn pins(args: Clear) -> Result<PathBuf, Exit> {
    if let Some(pins) = args.pins {
        return Ok(pins);
    }
    let Some(file) = policy_file(args.file) else {
        return Ok(USUAL.into());
    };
    match Policy::from_path(&file) {
        Ok(policy) => Ok(policy.process.direct.pins),
        Err(report) => {
            output::message(&report.render_text(output::color_err()));
            output::message("help: --pins names the folder without a policy");
            Err(Exit::Invalid)
        }
    }
}

fn tell(cleared: Cleared, pins: &Path) -> Exit {
    let place = pins.display();
    match cleared {
        Cleared::All => output::message(&format!("{place}: nothing is left in the kernel")),
        Cleared::Nothing => output::message(&format!("{place} is not there: nothing to do")),
        Cleared::Used => {
            output::error(&format!(
                "{place} is used by a switch that runs: end it first, or take its direct pools out \
                 of the policy and reload it"
            ));
            return Exit::Refused;
        }
        Cleared::Elsewhere => {
            output::error(&format!(
                "{place} is of another network namespace: run this there, such as by `nsenter \
                 --net=/run/netns/NAME`"
            ));
            return Exit::Refused;
        }
    }
    Exit::Ok
}
