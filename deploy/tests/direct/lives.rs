//! The switch's process ends, dies, comes back: packets go on.

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::Clients;
use crate::stage::{Stage, target};

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
    // The policy of the one before, whose admin socket is gone with it.
    let (_, rest) = policy.split_once("\n[process]").unwrap();
    let again = Switch::start(&stage.a, &format!("[process]{rest}"));
    clients.end_unharmed(&[&again]);
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
