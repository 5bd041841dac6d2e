//! A switch without the rights that direct return needs.

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::{Clients, fetch};
use crate::stage::{Stage, sent, target, target6, up};

/// Root with all capabilities but those that direct return needs.
const WITHOUT: [&str; 3] = [
    "setpriv",
    "--bounding-set=-bpf,-sys_admin,-perfmon",
    "--inh-caps=-all",
];

#[test]
fn without_the_right_a_pool_that_may_be_is_proxied_and_another_is_refused() {
    let test = "without_the_right_a_pool_that_may_be_is_proxied_and_another_is_refused";
    let Some(stage) = Stage::with(test, &["setpriv"]) else {
        return;
    };
    stage.take_addresses();
    let (code, log) = Switch::refuse(&stage.a, &WITHOUT, &Stage::policy(""));
    assert_eq!(code, 1, "{log}");
    for part in [
        "direct return needs the capabilities CAP_BPF and CAP_PERFMON",
        "AmbientCapabilities=CAP_BPF CAP_PERFMON in the systemd unit",
        "pool `web`",
        "fallback = \"proxy\"",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!stage.pins_of_a().exists());

    let policy = Stage::policy("fallback = \"proxy\"");
    let mut switch = Switch::start_by(&stage.a, &WITHOUT, &policy);
    let log = switch.log();
    assert!(log.contains("pool web is proxied"), "{log}");
    assert!(log.contains("CAP_BPF"), "{log}");
    let events = switch.tell(&["events", "--json"]);
    assert!(events.contains("direct-fallback"), "{events}");
    wait_until("all are up", || up(&switch) == 3);
    for target in [target(), target6()] {
        stage.wait_until_spread(target);
        let before = sent(&stage.a);
        assert_eq!(fetch(&stage.client, target, "/1", &[]), 1 << 20);
        assert!(sent(&stage.a) - before > 1 << 20, "answers pass the switch");
    }
    assert!(switch.status()["direct"].is_null());

    // A reload cannot give what the process lacks, and says so; the policy before goes on.
    let clients = Clients::start(&stage.client, target());
    switch.rewrite(&Stage::policy(""));
    let told = crate::stage::order(&switch, &["reload", "--wait"]);
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(!told.status.success() && said.contains("CAP_BPF"), "{said}");
    clients.end_unharmed(&[&switch]);
    switch.stop();
    // With the right, the same policy is served directly.
    let switch = Switch::start(&stage.a, &policy);
    stage.wait_until_spread(target());
    assert!(!switch.status()["direct"].is_null());
}
