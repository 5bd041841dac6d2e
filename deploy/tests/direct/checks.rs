//! Checks go the way of clients' packets.

use pointsman_deploy::lab::wait_until;

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, states, target, up};

#[test]
fn a_server_that_has_lost_the_address_of_the_service_is_found_down_and_others_are_not() {
    let test = "a_server_that_has_lost_the_address_of_the_service_is_found_down_and_others_are_not";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let switch = stage.alone("");
    wait_until("all are up", || up(&switch) == 3);
    // It still answers at its own address.
    stage.backends[1].ip(&format!("addr del {SHARED}/32 dev lo"));
    wait_until("it is found down", || states(&switch)[1] == "down");
    assert_eq!(up(&switch), 2, "{:?}", states(&switch));
    let clients = Clients::start(&stage.client, target());
    clients.wait_until_calm();
    clients.end_unharmed(&[&switch]);
    stage.backends[1].ip(&format!("addr add {SHARED}/32 dev lo"));
    wait_until("it is up again", || up(&switch) == 3);
}

#[test]
fn what_checks_change_goes_with_the_process_and_what_a_killed_one_left_with_the_next() {
    let test = "what_checks_change_goes_with_the_process_and_what_a_killed_one_left_with_the_next";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let rules = || {
        stage
            .a
            .ip("rule")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let accepts = || {
        let file = "/proc/sys/net/ipv4/conf/e0/accept_local";
        stage.a.enter(|| std::fs::read_to_string(file)).unwrap()
    };
    assert_eq!(accepts(), "0\n");
    let before = rules();
    let mut switch = stage.alone("");
    let marks = || {
        rules()
            .iter()
            .filter(|rule| rule.contains("0x504d"))
            .count()
    };
    wait_until("its rules stand", || marks() == 4);
    switch.kill();
    assert_eq!((marks(), &*accepts()), (4, "1\n"));
    let text = std::fs::read_to_string(switch.file()).unwrap();
    let (_, policy) = text.split_once("\n[process]").unwrap();
    let mut next = pointsman_deploy::lab::Switch::start(&stage.a, &format!("[process]{policy}"));
    wait_until("the rules stand again", || marks() == 4);
    next.stop();
    assert_eq!((rules(), &*accepts()), (before, "0\n"));
}
