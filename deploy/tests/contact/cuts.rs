//! Cables that are cut.

use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::wait_until;

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, Turn, events, group_of, lasts, target, wait_for};

/// How often the network is parted and comes together again.
const ROUNDS: usize = 5;

#[test]
fn the_standby_takes_over_when_the_holders_cable_is_cut_silently() {
    let name = "the_standby_takes_over_when_the_holders_cable_is_cut_silently";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (a, b) = stage.pair("");
    stage.a.silent(true);
    wait_for(&b, "active");
    stage.wait_until_served_by("b");
    assert_eq!(group_of(&a, "ipv4")["role"], "active", "it cannot know");
    stage.a.silent(false);
    // The preferred one goes on.
    wait_for(&b, "standby");
    wait_until("a alone holds it", || stage.held(SHARED) == (true, false));
    stage.wait_until_served_by("a");
}

#[test]
fn a_switch_without_a_carrier_gives_its_address_up() {
    let name = "a_switch_without_a_carrier_gives_its_address_up";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (a, b) = stage.pair("");
    stage.a.carrier(false);
    wait_for(&b, "active");
    wait_for(&a, "out");
    assert_eq!(group_of(&a, "ipv4")["why"], "its interface has no link");
    wait_until("b alone holds it", || stage.held(SHARED) == (false, true));
    stage.wait_until_served_by("b");
    stage.a.carrier(true);
    wait_for(&a, "active");
    wait_for(&b, "standby");
    lasts("a alone holds it", || stage.held(SHARED) == (true, false));
    stage.wait_until_served_by("a");
}

#[test]
fn after_a_partition_one_switch_holds_the_address_and_clients_are_served() {
    let name = "after_a_partition_one_switch_holds_the_address_and_clients_are_served";
    let Some(stage) = Stage::new(name, &[], Turn::Alone) else {
        return;
    };
    let (a, b) = stage.pair("");
    // The client goes with the one that is to lose.
    stage
        .lab
        .set_apart(&[&stage.b, &stage.client, &stage.third]);
    let clients = Clients::start(&stage.client, target());
    for round in 1..=ROUNDS {
        stage.lab.partition(&[]);
        wait_for(&b, "active");
        assert_eq!(group_of(&a, "ipv4")["role"], "active");
        stage.wait_until_served_by("b");
        assert_eq!(stage.held(SHARED), (true, true));
        stage.lab.heal();
        // Ten intervals: by far less than a neighbour's entry lasts.
        thread::sleep(Duration::from_secs(1));
        assert_eq!(
            stage.held(SHARED),
            (true, false),
            "round {round}: {}",
            b.log()
        );
        clients.wait_until_calm();
        stage.wait_until_served_by("a");
        let told = events(&b, "conflict");
        assert!(told.len() >= round, "{told:?}\n{}", b.log());
    }
    let told = events(&b, "standby");
    assert!(
        told.iter()
            .any(|text| text.contains("another holder is preferred")),
        "{told:?}"
    );
    assert!(group_of(&b, "ipv4")["conflicts"].as_u64() >= Some(ROUNDS as u64));
}
