//! `pointsman check`

use pointsman_config::policy::Policy;

use super::{Exit, NO_FILE, output, policy_file};
use crate::args::{Check, Format};

pub(super) fn run(check: Check) -> Exit {
    let Some(file) = policy_file(check.file) else {
        output::error(NO_FILE);
        return Exit::Usage;
    };
    let (report, digest) = match Policy::from_path(&file) {
        Ok(policy) => (policy.warnings, Some(policy.digest)),
        Err(report) => (report, None),
    };
    let written = match check.format {
        Format::Json => output::print(&report.render_json()),
        Format::Github if report.problems.is_empty() => Exit::Ok,
        Format::Github => output::print(&report.render_github()),
        Format::Text if report.problems.is_empty() => Exit::Ok,
        Format::Text => output::print(&report.render_text(output::color_out())),
    };
    match digest {
        Some(digest) => {
            output::message(&format!("{}: right (policy {digest})", file.display()));
            written
        }
        None => Exit::Invalid,
    }
}
