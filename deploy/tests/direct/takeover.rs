//! Another switch takes over: the servers keep their connections.

use pointsman_deploy::lab::wait_until;

use crate::clients::Clients;
use crate::stage::{Stage, order, states, target, wait_for};

#[test]
fn connections_outlive_the_switch_that_they_came_over() {
    let Some(stage) = Stage::new("connections_outlive_the_switch_that_they_came_over") else {
        return;
    };
    let (mut a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    a.kill_all();
    stage.a.silent(true);
    wait_for(&b, "active");
    let noticed = clients.end(&[&a, &b]);
    assert!(
        noticed.broken.is_empty(),
        "{:?}\n{}",
        noticed.broken,
        noticed.details
    );
    assert!(noticed.failed <= 100, "{}", noticed.details);
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
