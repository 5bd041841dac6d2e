//! Servers that come and go.

use std::time::{Duration, Instant};

use pointsman_deploy::lab::wait_until;

use crate::clients::{Clients, fetch};
use crate::stage::{Stage, order, sent, states, target, target6, up};

#[test]
fn servers_answer_clients_themselves_over_both_families() {
    let Some(stage) = Stage::new("servers_answer_clients_themselves_over_both_families") else {
        return;
    };
    let _switch = stage.alone("");
    stage.wait_until_spread(target6());
    for target in [target(), target6()] {
        let before = sent(&stage.a);
        let bytes = fetch(&stage.client, target, "/10", &[]);
        assert_eq!(bytes, 10 << 20);
        let carried = sent(&stage.a) - before;
        assert!(carried < bytes / 50, "the switch has sent {carried} bytes");
    }
}

#[test]
fn a_drain_is_noticed_by_nobody_and_ends() {
    let Some(stage) = Stage::new("a_drain_is_noticed_by_nobody_and_ends") else {
        return;
    };
    let switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    let told = order(&switch, &["backend", "drain", "web/10.77.0.32:80"]);
    assert!(told.status.success(), "{told:?}");
    wait_until("it is out", || states(&switch)[1] == "draining");
    let begin = Instant::now();
    clients.wait_until_calm();
    let names = clients.answered_since(begin + Duration::from_millis(20));
    assert!(
        !names.contains(&"s2".to_owned()),
        "a new connection came to s2"
    );
    let told = order(&switch, &["backend", "enable", "web/10.77.0.32:80"]);
    assert!(told.status.success(), "{told:?}");
    stage.wait_until_spread(target());
    clients.end_unharmed(&[&switch]);
}

#[test]
fn who_waits_for_a_drain_waits_for_the_connections_that_are_left() {
    let Some(stage) = Stage::new("who_waits_for_a_drain_waits_for_the_connections_that_are_left")
    else {
        return;
    };
    let switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    let drain = ["backend", "drain", "web/10.77.0.32:80", "--wait"];
    let told = order(&switch, &[&drain[..], &["--timeout", "1s"]].concat());
    assert_eq!(told.status.code(), Some(5), "{told:?}");
    let text = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    assert!(text.contains("under way"), "{text}");
    let left = || switch.status()["direct"]["backends"][1]["left"].as_u64();
    wait_until("those that are left are told", || left() > Some(5));
    clients.end_unharmed(&[&switch]);
    // Clients have closed their connections.
    let told = order(&switch, &[&drain[..], &["--timeout", "12s"]].concat());
    assert!(told.status.success(), "{told:?}");
    assert_eq!(left(), Some(0));
}

#[test]
fn the_death_of_a_server_costs_its_own_connections_alone() {
    let Some(mut stage) = Stage::new("the_death_of_a_server_costs_its_own_connections_alone")
    else {
        return;
    };
    let switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    stage.kill_server(3);
    wait_until("it is found dead", || up(&switch) == 2);
    clients.wait_until_calm();
    stage.restart_server(3);
    wait_until("it is back", || up(&switch) == 3);
    let noticed = clients.end(&[&switch]);
    let others = noticed.broken.iter().filter(|name| *name != "s3").count();
    assert_eq!(others, 0, "{:?}\n{}", noticed.broken, noticed.details);
}
