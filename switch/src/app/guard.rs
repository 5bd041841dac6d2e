//! `pointsman guard`: the process that a switch with contact addresses starts beside itself
//! (`control/contact/host/guardian/`).

use std::io::IsTerminal as _;

use super::{Exit, output};
use crate::control::contact::host::guardian::{Outcome, watch};
use crate::sys::{process, realtime};

/// For `ps`; the kernel keeps 15 letters.
const NAME: &std::ffi::CStr = c"pointsman-guard";

pub(super) fn run() -> Exit {
    if std::io::stdin().is_terminal() || std::io::stdout().is_terminal() {
        output::error("`pointsman guard` is for the switch itself: it starts one when it needs it");
        return Exit::Usage;
    }
    // Whatever ends the switch must not end this process along with it.
    process::ignore_signals();
    let _ = rustix::process::setsid();
    process::close_inherited();
    realtime::raise();
    let _ = rustix::thread::set_name(NAME);
    match watch(std::io::stdin(), std::io::stdout()) {
        Ok(Outcome::Dismissed) => Exit::Ok,
        Ok(Outcome::Released {
            addresses,
            failures,
        }) => tell(addresses, &failures),
        Err(error) => {
            output::error(&format!("the guardian of the contact addresses: {error}"));
            Exit::Failed
        }
    }
}

fn tell(addresses: usize, failures: &[String]) -> Exit {
    if addresses > 0 || !failures.is_empty() {
        output::message(&format!(
            "the switch has died: its guardian took {addresses} contact addresses off this host"
        ));
    }
    for failure in failures {
        output::error(failure);
    }
    if failures.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    }
}
