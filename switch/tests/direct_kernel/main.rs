//! The kernel's part of direct return: what its programs make of packets made by hand, how a process
//! takes over from another, and that services work through it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

use rustix::thread::CapabilitySet;

mod attach;
mod begins;
mod decap;
mod lab;
mod layout;
mod packet;
mod refused;
mod scene;
mod service;
mod shared;
#[path = "../common/mod.rs"]
mod support;
mod ways;

/// Whether programs may be loaded and network namespaces be made here; if not, it is told.
fn applies(test: &str) -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::BPF;
    let sets = rustix::thread::capabilities(None).unwrap();
    let lacks = if !sets.effective.contains(needed) {
        "needs root: it loads programs into the kernel and makes network namespaces"
    } else if std::process::Command::new("ip").arg("-V").output().is_err() {
        "needs the program ip (iproute2)"
    } else {
        return true;
    };
    support::skip(test, lacks);
    false
}
