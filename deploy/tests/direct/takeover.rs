//! Another switch takes over: the servers keep their connections.

use pointsman_deploy::lab::wait_until;

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, order, states, target, target6, wait_for};

/// New connections, one per millisecond, that nobody hears until a silent switch is found dead: fifteen
/// where nothing else runs.
const UNHEARD: usize = 60;

#[test]
fn a_holder_whose_process_is_killed_costs_no_connection() {
    let Some(stage) = Stage::new("a_holder_whose_process_is_killed_costs_no_connection") else {
        return;
    };
    let (mut a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    a.kill();
    wait_for(&b, "active");
    clients.end_unharmed(&[&a, &b]);
}

#[test]
fn a_holder_that_is_killed_with_its_guardian_costs_no_connection() {
    let test = "a_holder_that_is_killed_with_its_guardian_costs_no_connection";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let (mut a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    a.kill_all();
    wait_for(&b, "active");
    clients.end_unharmed(&[&a, &b]);
}

#[test]
fn open_connections_outlive_a_switch_that_falls_silent() {
    let Some(stage) = Stage::new("open_connections_outlive_a_switch_that_falls_silent") else {
        return;
    };
    let (a, b) = stage.pair();
    let clients = Clients::start_with(&stage.client, target(), 2 * UNHEARD);
    stage.a.silent(true);
    wait_for(&b, "active");
    let noticed = clients.end(&[&a, &b]);
    let whole = noticed.broken.is_empty() && noticed.failed <= UNHEARD;
    assert!(whole, "{:?} broke\n{}", noticed.broken, noticed.details);
}

#[test]
fn an_address_with_its_own_link_layer_address_changes_hands_and_nobody_notices() {
    let test = "an_address_with_its_own_link_layer_address_changes_hands_and_nobody_notices";
    for datapath in ["tc", "xdp-generic"] {
        let Some(stage) = Stage::new(test) else {
            return;
        };
        let pool = format!("datapath = \"{datapath}\"");
        let (a, b) = stage.pair_with(&pool, "virtual_mac = true\n");
        stage.wait_until_spread(target6());
        let clients = Clients::start(&stage.client, target());
        let clients6 = Clients::start(&stage.client, target6());
        a.tell(&["contact", "yield"]);
        wait_for(&b, "active");
        clients.wait_until_calm();
        a.tell(&["contact", "resume"]);
        wait_for(&a, "active");
        clients.end_unharmed(&[&a, &b]);
        clients6.end_unharmed(&[&a, &b]);
        let entry = stage.client.ip(&format!("neigh show {SHARED}"));
        assert!(entry.contains("00:00:5e:00:01:33"), "{entry}");
    }
}

#[test]
fn a_handover_in_the_middle_of_a_drain_is_noticed_by_nobody() {
    let Some(stage) = Stage::new("a_handover_in_the_middle_of_a_drain_is_noticed_by_nobody") else {
        return;
    };
    let (a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    let told = order(&a, &["backend", "drain", "web/10.77.0.32:80"]);
    assert!(told.status.success(), "{told:?}");
    wait_until("both know", || {
        states(&a)[1] == "draining" && states(&b)[1] == "draining"
    });
    clients.wait_until_calm();
    a.tell(&["contact", "yield"]);
    wait_for(&b, "active");
    clients.end_unharmed(&[&a, &b]);
}
