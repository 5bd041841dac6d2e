//! A policy that wants no direct return any more.

use std::fs;

use crate::clients::Clients;
use crate::stage::{Stage, target};

#[test]
fn a_policy_without_direct_pools_leaves_nothing_in_the_kernel_and_one_with_them_begins_anew() {
    let test =
        "a_policy_without_direct_pools_leaves_nothing_in_the_kernel_and_one_with_them_begins_anew";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let switch = stage.alone("");
    assert!(stage.pins_of_a().exists());
    let direct = fs::read_to_string(switch.file()).unwrap();
    let text = direct.replace("forward = \"direct\"\n", "");
    fs::write(switch.file(), text).unwrap();
    switch.tell(&["reload", "--wait"]);
    assert!(!stage.pins_of_a().exists(), "something is pinned");
    let clients = Clients::start(&stage.client, target());
    clients.wait_until_calm();
    clients.end_unharmed(&[&switch]);
    fs::write(switch.file(), direct).unwrap();
    switch.tell(&["reload", "--wait"]);
    stage.wait_until_spread(target());
    assert!(stage.pins_of_a().exists());
}
