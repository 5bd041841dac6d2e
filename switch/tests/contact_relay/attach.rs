//! Attaching the program: who may, and what stays behind.

use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::time::Instant;

use pointsman::control::contact::relay::{Hook, Relay};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::lab::{Host, INDEX, INTERFACE, Lab};
use crate::support::{say, skip};

#[test]
fn two_capabilities_are_enough() {
    if !crate::applies("two_capabilities_are_enough") {
        return;
    }
    Lab::bare().within(Host::New, || {
        allow(CapabilitySet::BPF | CapabilitySet::NET_ADMIN);
        for hook in hooks("two_capabilities_are_enough") {
            let start = Instant::now();
            let mut relay = attach_by(hook).unwrap();
            say(&format!(
                "attached by {} in {:?}",
                hook.word(),
                start.elapsed()
            ));
            relay.set(IpAddr::from([192, 0, 2, 1]), [2; 6]).unwrap();
        }
    });
}

#[test]
fn who_may_not_attach_is_told_what_it_takes() {
    if !crate::applies("who_may_not_attach_is_told_what_it_takes") {
        return;
    }
    Lab::bare().within(Host::New, || {
        allow(CapabilitySet::NET_ADMIN);
        let error = attach_by(Hook::Tcx).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    if !crate::applies("an_interface_that_is_not_there_is_named") {
        return;
    }
    Lab::bare().within(Host::New, || {
        for hook in hooks("an_interface_that_is_not_there_is_named") {
            let error = Relay::attach_by(hook, "nowhere0", 99, [2; 6]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("cannot attach to nowhere0: "), "{text}");
        }
    });
}

#[test]
fn a_filter_goes_with_its_owner_and_one_that_was_left_with_the_next() {
    if !crate::applies("a_filter_goes_with_its_owner_and_one_that_was_left_with_the_next") {
        return;
    }
    Lab::bare().within(Host::New, || {
        // As a process that is killed leaves it.
        std::mem::forget(attach_by(Hook::Clsact).unwrap());
        assert_eq!(filters(), 1);
        let relay = attach_by(Hook::Clsact).unwrap();
        assert_eq!(filters(), 1);
        drop(relay);
        assert_eq!(filters(), 0);
    });
}

#[test]
fn what_is_set_twice_is_cleared_once() {
    if !crate::applies("what_is_set_twice_is_cleared_once") {
        return;
    }
    Lab::bare().within(Host::New, || {
        let mut relay = Relay::attach(INTERFACE, INDEX, Host::New.mac()).unwrap();
        let address = IpAddr::from([192, 0, 2, 1]);
        relay.set(address, [2; 6]).unwrap();
        relay.set(address, [4; 6]).unwrap();
        relay.clear(address).unwrap();
        relay.clear(address).unwrap();
        assert_eq!(relay.relayed(), 0);
    });
}

fn attach_by(hook: Hook) -> io::Result<Relay> {
    Relay::attach_by(hook, INTERFACE, INDEX, Host::New.mac())
}

/// Those that this kernel has.
fn hooks(test: &str) -> Vec<Hook> {
    match attach_by(Hook::Tcx) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            skip(test, "by TCX: the kernel is older than 6.6");
            vec![Hook::Clsact]
        }
        _ => vec![Hook::Tcx, Hook::Clsact],
    }
}

/// This thread has no other capabilities from now on.
fn allow(set: CapabilitySet) {
    let sets = CapabilitySets {
        effective: set,
        permitted: set,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).unwrap();
}

/// Filters of ours at the ingress of this host's interface.
fn filters() -> usize {
    let arguments = ["filter", "show", "dev", INTERFACE, "ingress"];
    let output = Command::new("tc").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.matches("pointsman_relay direct-action").count()
}
