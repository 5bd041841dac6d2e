//! Addresses that have the group's own link-layer address.

use pointsman_deploy::lab::wait_until;

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, Turn, group_of, lasts, order, target, wait_for};

const KEYS: &str = "virtual_mac = true";

#[test]
fn neighbours_keep_their_entry_when_the_virtual_mac_moves() {
    let name = "neighbours_keep_their_entry_when_the_virtual_mac_moves";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (mut a, b) = stage.pair(KEYS);
    assert_entry(&stage);
    let clients = Clients::start(&stage.client, target());
    a.tell(&["contact", "yield"]);
    wait_for(&b, "active");
    stage.wait_until_served_by("b");
    assert_entry(&stage);
    a.tell(&["contact", "resume"]);
    wait_for(&a, "active");
    stage.wait_until_served_by("a");
    clients.end_unharmed(&[&a, &b]);
    assert_entry(&stage);
    a.kill();
    wait_for(&b, "active");
    stage.wait_until_served_by("b");
    assert_entry(&stage);
    wait_until("b alone holds it", || stage.held(SHARED) == (false, true));
    wait_until("the killed one's device is gone", || {
        !stage.a.ip("link").contains("pm-51-4")
    });
}

#[test]
fn no_client_notices_that_a_holder_with_a_virtual_mac_is_upgraded() {
    let name = "no_client_notices_that_a_holder_with_a_virtual_mac_is_upgraded";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (mut a, b) = stage.pair(KEYS);
    let device = || stage.a.ip("-o link show pm-51-4");
    let before = device();
    let clients = Clients::start(&stage.client, target());

    // One that comes to nothing takes nothing along.
    let policy = stage.policy(&stage.a, 150).keys(KEYS);
    a.rewrite(
        &policy
            .clone()
            .more("[listener.other]\nbind = \"192.0.2.1:81\"\n")
            .text(),
    );
    assert!(!order(&a, &["upgrade"]).status.success());
    lasts("a holds it", || stage.held(SHARED) == (true, false));
    assert_eq!(device(), before);

    a.rewrite(&policy.text());
    let told = a.tell(&["upgrade"]);
    wait_until("another process goes on", || {
        group_of(&a, "ipv4")["why"] == "the process before has handed over"
    });
    wait_for(&a, "active");
    wait_until("the process before ends", || a.has_ended().is_some());
    lasts("a holds it", || stage.held(SHARED) == (true, false));
    assert_eq!(device(), before, "the device has stayed");
    assert_entry(&stage);
    clients.end_unharmed(&[&a, &b]);

    let pid = told
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(',');
    stage.a.run("kill", &["-TERM", pid]);
    wait_for(&b, "active");
    stage.wait_until_served_by("b");
    assert_entry(&stage);
    let setting = || std::fs::read_to_string("/proc/sys/net/ipv4/conf/e0/arp_ignore").unwrap();
    wait_until("the device is gone with the last process", || {
        !stage.a.ip("link").contains("pm-51-4")
    });
    wait_until("the interface's settings are as before", || {
        stage.a.enter(setting) == "0\n"
    });
}

/// The client knows the address by the group's link-layer address.
#[track_caller]
fn assert_entry(stage: &Stage) {
    let entry = stage.client.ip(&format!("neigh show {SHARED}"));
    assert!(entry.contains("00:00:5e:00:01:33"), "{entry}");
}
