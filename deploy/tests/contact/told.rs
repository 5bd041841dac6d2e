//! What switches tell of their contact addresses.

use pointsman_deploy::lab::{Switch, wait_until};
use serde_json::Value;

use crate::stage::{Stage, Turn, events, order, peers, standbys, wait_for};

#[test]
fn status_and_metrics_tell_how_both_switches_stand() {
    let name = "status_and_metrics_tell_how_both_switches_stand";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (a, b) = same_policies(&stage);
    for (switch, role, priority, standbys) in [(&a, "active", 150, 1), (&b, "standby", 100, 0)] {
        let expected = [
            format!("role{{address=\"10.77.0.100\",role=\"{role}\"}} 1"),
            format!("priority{{address=\"10.77.0.100\"}} {priority}"),
            format!("standbys{{address=\"10.77.0.100\"}} {standbys}"),
        ];
        wait_until("the metrics say so", || {
            let page = metrics(switch);
            expected
                .iter()
                .all(|line| page.contains(&format!("pointsman_contact_{line}\n")))
        });
        let page = metrics(switch);
        assert_eq!(page.matches("pointsman_contact_role{").count(), 3, "{page}");
        assert!(
            page.contains("group=\"51/ipv4\",interface=\"e0\"} 1"),
            "{page}"
        );
    }
    let peer = |switch: &Switch, peer: &str| {
        let line =
            |name: &str, value| format!("pointsman_contact_{name}{{peer=\"{peer}\"}} {value}\n");
        let page = metrics(switch);
        let lines = [
            line("peer_up", 1),
            line("peer_policy_differs", 0),
            line("peer_losses_total", 0),
        ];
        assert!(
            lines.iter().all(|line| page.contains(line)),
            "{lines:?}\n{page}"
        );
    };
    peer(&a, "10.77.0.12");
    peer(&b, "10.77.0.11");

    wait_until("the standby knows the holder", || {
        shown(&b)["contacts"][0]["holder"] == "10.77.0.11"
    });
    let status = shown(&b);
    assert_eq!(status["contacts"][0]["role"], "standby");
    assert_eq!(status["peers"][0]["state"], "up");
    assert_eq!(shown(&a)["contacts"][0]["holder"], "this switch");
    let text = a.tell(&["contact", "status"]);
    assert!(
        text.contains("51/ipv4") && text.contains("active"),
        "{text}"
    );
}

#[test]
fn policies_that_differ_are_told_and_so_is_that_they_are_the_same_again() {
    let name = "policies_that_differ_are_told_and_so_is_that_they_are_the_same_again";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let (a, b) = same_policies(&stage);
    let says = |switch: &Switch, word: &str| {
        wait_until(&format!("the peer's policy: {word}"), || {
            shown(switch)["peers"][0]["policy"] == word
        });
    };
    says(&a, "same");
    says(&b, "same");
    assert!(events(&a, "policy-differs").is_empty());

    let policy = stage.policy(&stage.b, 100).named("both");
    let other = "[pool.spare]\nbackends = [\"10.77.0.30:3001\"]\n[[route]]\n\
                 match = { path = \"/spare\" }\npool = \"spare\"\n";
    b.rewrite(&policy.clone().more(other).text());
    b.tell(&["reload"]);
    for switch in [&a, &b] {
        says(switch, "differs");
        wait_until("an event tells of it", || {
            events(switch, "policy-differs").len() == 1
        });
        let line = "pointsman_contact_peer_policy_differs{";
        wait_until("the metrics say so", || {
            let page = metrics(switch);
            page.lines()
                .any(|one| one.starts_with(line) && one.ends_with(" 1"))
        });
    }
    wait_for(&a, "active");
    b.rewrite(&policy.text());
    b.tell(&["reload"]);
    for switch in [&a, &b] {
        says(switch, "same");
        wait_until("an event tells of it", || {
            events(switch, "policy-same").len() == 1
        });
    }
}

#[test]
fn a_switch_without_a_contact_says_that_it_has_none() {
    let name = "a_switch_without_a_contact_says_that_it_has_none";
    let Some(stage) = Stage::new(name, &[], Turn::Together) else {
        return;
    };
    let policy = stage.policy(&stage.a, 100);
    let a = Switch::start(&stage.a, &policy.text_without_contact());
    let none = order(&a, &["contact", "status"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(!metrics(&a).contains("pointsman_contact_role"));
}

/// Their priorities are all that they differ in.
fn same_policies(stage: &Stage) -> (Switch, Switch) {
    let start = |host, priority| {
        let policy = stage.policy(host, priority).named("both");
        Switch::start(host, &policy.text())
    };
    let (a, b) = (start(&stage.a, 150), start(&stage.b, 100));
    wait_for(&a, "active");
    wait_for(&b, "standby");
    wait_until("both are in touch", || {
        standbys(&a) == 1 && peers(&b, "up") == 1
    });
    (a, b)
}

fn metrics(switch: &Switch) -> String {
    switch.admin("GET", "/metrics").1
}

fn shown(switch: &Switch) -> Value {
    let text = switch.tell(&["contact", "status", "--json"]);
    serde_json::from_str(&text).unwrap()
}
