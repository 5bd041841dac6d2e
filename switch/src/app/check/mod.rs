//! `pointsman check`

mod certificates;

use pointsman_config::policy::Policy;

use super::{Exit, NO_FILE, output, policy_file};
use crate::args::{Check, Format};
use crate::control::direct::needs;

pub(super) fn run(check: Check) -> Exit {
    let Some(file) = policy_file(check.file) else {
        output::error(NO_FILE);
        return Exit::Usage;
    };
    let (report, policy) = match Policy::from_path(&file) {
        Ok(policy) => (policy.warnings.clone(), Some(policy)),
        Err(report) => (report, None),
    };
    let written = match check.format {
        Format::Json => output::print(&report.render_json()),
        Format::Github | Format::Text if report.is_empty() => Exit::Ok,
        Format::Github => output::print(&report.render_github()),
        Format::Text => output::print(&report.render_text(output::color_out())),
    };
    let Some(policy) = policy else {
        return Exit::Invalid;
    };
    for warning in certificates::warnings(&policy) {
        output::message(&format!("warning: {warning}"));
    }
    tell_of_direct_return(&policy);
    output::message(&format!(
        "{}: right (policy {})",
        file.display(),
        policy.digest
    ));
    written
}

/// Where a policy is checked, direct return need not be possible: it is right all the same.
fn tell_of_direct_return(policy: &Policy) {
    if !policy.is_direct() {
        return;
    }
    let lacks = needs::lacks(&policy.process.direct.pins);
    if lacks.is_empty() {
        return;
    }
    let then = match policy.clone().proxied() {
        Ok((_, pools)) => format!("would proxy `{}`", pools.join("`, `")),
        Err(_) => "would not start".to_owned(),
    };
    for lack in lacks {
        output::message(&format!(
            "warning: on this machine and with the rights of this user, the switch {then}: {lack}"
        ));
    }
}
