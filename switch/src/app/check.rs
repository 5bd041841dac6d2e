//! `pointsman check`

use pointsman_config::policy::Policy;

use super::plane::Slot;
use super::{Exit, NO_FILE, output, policy_file};
use crate::args::{Check, Format};
use crate::control::Listeners as _;
use crate::shared::tickets::TicketKeys;

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
    tell_of_certificates(&policy);
    output::message(&format!(
        "{}: right (policy {})",
        file.display(),
        policy.digest
    ));
    written
}

/// Where a policy is checked, its certificates need not be: it is right without them.
fn tell_of_certificates(policy: &Policy) {
    let tickets = TicketKeys::new();
    for tls in policy
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
    {
        if let Err(error) = Slot::tls(tls, &tickets) {
            output::message(&format!("warning: this machine could not run it: {error}"));
        }
    }
}
