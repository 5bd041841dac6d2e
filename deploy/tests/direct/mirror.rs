//! A takeover long after a drain has begun: the ring leads to the drained server no more, and the new
//! holder knows its connections from the old one alone.

use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::{Clients, Noticed};
use crate::stage::{Stage, order, states, target, wait_for};

/// Longer than the ring before a change counts for connections that are not known.
const LONG: Duration = Duration::from_secs(6);

/// Connections of the second server that this switch knows.
fn left(switch: &Switch) -> u64 {
    let backends = switch.status()["direct"]["backends"].clone();
    let backends = backends.as_array().cloned().unwrap_or_default();
    let drained = backends.iter().find(|one| one["address"] == "10.77.0.32");
    drained.map_or(0, |one| one["left"].as_u64().unwrap_or(0))
}

/// The second server is being drained for some time, and has connections left.
#[track_caller]
fn drain(clients: &Clients, a: &Switch, b: &Switch) {
    let told = order(a, &["backend", "drain", "web/10.77.0.32:80"]);
    assert!(told.status.success(), "{told:?}");
    wait_until("both know", || {
        states(a)[1] == "draining" && states(b)[1] == "draining"
    });
    thread::sleep(LONG);
    clients.wait_until_calm();
    let count = left(a);
    assert!(count >= 5, "{count} connections are left");
    wait_until("the standby knows them, too", || left(b) == count);
}

#[track_caller]
fn check(noticed: &Noticed) {
    assert!(
        noticed.broken.is_empty(),
        "{:?}\n{}",
        noticed.broken,
        noticed.details
    );
}

#[test]
fn connections_of_a_drained_server_outlive_the_death_of_the_holder() {
    let test = "connections_of_a_drained_server_outlive_the_death_of_the_holder";
    let Some(stage) = Stage::new(test) else {
        return;
    };
    let (mut a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    drain(&clients, &a, &b);
    a.kill_all();
    stage.a.silent(true);
    wait_for(&b, "active");
    let noticed = clients.end(&[&a, &b]);
    check(&noticed);
    assert!(noticed.failed <= 100, "{}", noticed.details);
}

#[test]
fn connections_of_a_drained_server_outlive_a_handover() {
    let Some(stage) = Stage::new("connections_of_a_drained_server_outlive_a_handover") else {
        return;
    };
    let (a, b) = stage.pair();
    let clients = Clients::start(&stage.client, target());
    drain(&clients, &a, &b);
    a.tell(&["contact", "yield"]);
    wait_for(&b, "active");
    thread::sleep(LONG);
    clients.end_unharmed(&[&a, &b]);
}
