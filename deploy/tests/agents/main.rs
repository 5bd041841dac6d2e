//! Agents register servers with a switch: the programs themselves, on loopback addresses, without
//! privileges.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scene;

use std::time::Duration;

use scene::{Load, Scene};

#[test]
fn servers_come_and_go_by_themselves_and_no_request_fails() {
    let mut scene = Scene::begin("grace = \"1s\"");
    scene.start_server("one");
    scene.start_agent("one", &[]);
    scene.wait_for(&[("one", "ready")]);
    scene.wait_until("one answers", |scene| scene.answers().contains("one"));

    let load = Load::begin(scene.listen());
    scene.start_server("two");
    scene.start_agent("two", &[]);
    scene.wait_for(&[("one", "ready"), ("two", "ready")]);
    scene.wait_until("two answers", |scene| scene.answers().contains("two"));

    // The server goes on, and so does the pool for the grace; then it is out.
    scene.kill("agent one");
    scene.wait_for(&[("two", "ready")]);
    assert!(scene.metric("pointsman_agent_losses_total{pool=\"app\"}") >= 1.0);
    scene.start_agent("one", &[]);
    scene.wait_for(&[("one", "ready"), ("two", "ready")]);

    assert!(scene.end("agent two").success());
    scene.wait_for(&[("one", "ready")]);
    scene.kill("server two");
    std::thread::sleep(Duration::from_millis(300));
    let (sent, failed) = load.end();
    assert!(sent > 100, "{sent} requests say little");
    assert_eq!(failed, 0, "of {sent} requests");
}

#[test]
fn a_server_that_is_not_ready_gets_nothing_and_is_shown_with_its_reason() {
    let mut scene = Scene::begin("");
    scene.start_server("one");
    scene.start_server("two");
    scene.start_agent("one", &[]);
    let nowhere = format!("http://127.0.0.1:{}/healthz", scene::free_port());
    scene.start_agent("two", &["--ready", &nowhere]);
    scene.wait_for(&[("one", "ready"), ("two", "not-ready")]);
    scene.wait_until("one answers", |scene| scene.answers().contains("one"));
    assert_eq!(scene.answers(), "one");
    let status = scene.status();
    assert!(status.contains(&nowhere), "{status}");
}

#[test]
fn agents_come_back_to_a_switch_that_restarts_or_is_upgraded() {
    let mut scene = Scene::begin("");
    for name in ["one", "two"] {
        scene.start_server(name);
        scene.start_agent(name, &[]);
    }
    let both = [("one", "ready"), ("two", "ready")];
    scene.wait_for(&both);
    scene.wait_until("both answer", |scene| scene.answers() == "onetwo");

    let load = Load::begin(scene.listen());
    scene.upgrade();
    scene.wait_for(&both);
    let (sent, failed) = load.end();
    assert_eq!(failed, 0, "of {sent} requests over an upgrade");

    scene.kill_switch();
    scene.start_switch();
    scene.wait_for(&both);
    scene.wait_until("both answer", |scene| scene.answers() == "onetwo");
}

#[test]
fn an_agent_says_why_it_is_refused_and_waits_for_better_times() {
    let mut scene = Scene::begin("");
    scene.start_server("one");
    scene.start_agent("one", &["--address", "192.0.2.1"]);
    scene.wait_until("it is refused", |scene| {
        scene
            .said("agent one")
            .contains("refused (foreign-address)")
    });
    let series = "pointsman_agents_refused_total{reason=\"foreign-address\"}";
    assert!(scene.metric(series) >= 1.0);
    assert!(scene.agents().is_empty());

    scene.rewrite("addresses = \"192.0.2.0/24\"");
    scene.wait_for(&[("one", "ready")]);
}
