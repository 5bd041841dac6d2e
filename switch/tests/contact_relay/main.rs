//! A planned handover of a contact address between two hosts of one network: what the old holder
//! serves goes on, what is new comes to the new one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

use rustix::thread::CapabilitySet;

mod attach;
mod handover;
mod lab;
mod load;
mod packet;
mod program;
mod release;
#[path = "../common/mod.rs"]
mod support;

/// Whether what these tests do to the network is allowed and possible here; if not, it is told.
fn applies(test: &str) -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::BPF;
    let sets = rustix::thread::capabilities(None).unwrap();
    let lacks = if !sets.effective.contains(needed) {
        "needs root: it makes network namespaces"
    } else if std::process::Command::new("ip").arg("-V").output().is_err() {
        "needs the program ip (iproute2)"
    } else {
        return true;
    };
    support::skip(test, lacks);
    false
}
