//! Direct return is taken out of the kernel by hand.

use std::process::Output;

use pointsman_deploy::lab::{Host, program};

use crate::clients::{Clients, ask};
use crate::stage::{Stage, target};

fn clear(host: &Host, pins: &std::path::Path) -> Output {
    let program = program("pointsman");
    let mut command = host.command(program.to_str().unwrap());
    command.args(["direct", "clear", "--pins"]).arg(pins);
    command.output().unwrap()
}

#[track_caller]
fn assert_refused(told: &Output, why: &str) {
    let err = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(4), "{err}");
    assert!(err.contains(why), "{err}");
}

#[test]
fn what_a_killed_switch_has_left_is_cleared_and_what_a_running_one_uses_is_not() {
    let test = "what_a_killed_switch_has_left_is_cleared_and_what_a_running_one_uses_is_not";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let pins = stage.pins_of_a();
    let mut switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    assert_refused(&clear(&stage.a, &pins), "is used by a switch that runs");
    clients.end_unharmed(&[&switch]);

    let rules = stage.a.ip("rule");
    assert!(rules.contains("0x504d"), "{rules}");
    switch.kill_all();
    assert!(ask(&stage.client, target()).is_some(), "the kernel goes on");
    assert_refused(&clear(&stage.client, &pins), "another network namespace");
    assert!(ask(&stage.client, target()).is_some());

    for word in ["nothing is left", "nothing to do"] {
        let told = clear(&stage.a, &pins);
        let err = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success() && err.contains(word), "{err}");
        assert!(!pins.exists(), "something is pinned");
    }
    assert_eq!(ask(&stage.client, target()), None, "it is served");
    let rules = stage.a.ip("rule");
    assert!(!rules.contains("0x504d"), "{rules}");
    assert!(rules.starts_with("0:\tfrom all lookup local"), "{rules}");
}
