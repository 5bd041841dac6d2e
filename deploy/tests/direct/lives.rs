//! The switch's process ends, dies, comes back: packets go on.

use pointsman_deploy::lab::{Host, Switch, wait_until};

use crate::clients::Clients;
use crate::stage::{Stage, target, wait_for};

#[test]
fn a_switch_that_is_killed_and_started_anew_is_noticed_by_nobody() {
    let Some(stage) = Stage::new("a_switch_that_is_killed_and_started_anew_is_noticed_by_nobody")
    else {
        return;
    };
    let mut switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    let policy = std::fs::read_to_string(switch.file()).unwrap();
    switch.kill_all();
    clients.wait_until_calm();
    let again = start_again(&stage.a, &policy);
    clients.end_unharmed(&[&again]);
}

#[test]
fn a_switch_that_is_told_to_end_and_started_anew_is_noticed_by_nobody() {
    let Some(stage) =
        Stage::new("a_switch_that_is_told_to_end_and_started_anew_is_noticed_by_nobody")
    else {
        return;
    };
    let mut switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    let policy = std::fs::read_to_string(switch.file()).unwrap();
    switch.stop();
    assert_eq!(switch.has_ended(), Some(0), "{}", switch.log());
    clients.wait_until_calm();
    let again = start_again(&stage.a, &policy);
    clients.end_unharmed(&[&again]);
}

#[test]
fn a_holder_that_is_told_to_end_and_comes_back_is_noticed_by_nobody() {
    let Some(stage) =
        Stage::new("a_holder_that_is_told_to_end_and_comes_back_is_noticed_by_nobody")
    else {
        return;
    };
    let (mut a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    a.stop();
    wait_for(&b, "active");
    clients.wait_until_calm();
    let again = Switch::start(&stage.a, &stage.shared_policy(&stage.a, 150));
    wait_for(&again, "active");
    clients.end_unharmed(&[&a, &b, &again]);
}

/// With the policy of the one before, whose admin socket is gone with it.
fn start_again(host: &Host, policy: &str) -> Switch {
    let (_, rest) = policy.split_once("\n[process]").unwrap();
    Switch::start(host, &format!("[process]{rest}"))
}

#[test]
fn an_upgrade_is_noticed_by_nobody() {
    let Some(stage) = Stage::new("an_upgrade_is_noticed_by_nobody") else {
        return;
    };
    let mut switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    switch.tell(&["upgrade"]);
    wait_until("the process before ends", || switch.has_ended().is_some());
    clients.end_unharmed(&[&switch]);
}
