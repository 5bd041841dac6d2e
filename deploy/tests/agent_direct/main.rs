//! Agents make their hosts fit for direct return: real programs in a lab of namespaces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scene;

use std::time::Duration;

use pointsman_deploy::lab::{INTERFACE, Record};
use scene::{Facts, SHARED, SHARED6, Scene};

/// What became of new connections, and when.
fn failures(record: &Record) -> String {
    let first = record.attempts.first().map(|one| one.started);
    let failed = record.attempts.iter().filter(|one| !one.is_ok());
    let told = failed.map(|one| {
        let after = first.map(|first| one.started - first);
        format!("{:?} after {:?}\n", one.outcome, after.unwrap_or_default())
    });
    told.collect()
}

#[test]
fn a_host_is_made_fit_and_everything_is_taken_back_at_the_end_also_of_a_killed_agent() {
    let name = "a_host_is_made_fit_and_everything_is_taken_back_at_the_end_also_of_a_killed_agent";
    let Some(mut scene) = Scene::new(name, "route_optimization = \"mptcp\"") else {
        return;
    };
    let before = scene.facts("s1");
    assert!(!before.holds(SHARED) && !before.holds(SHARED6));

    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    let during = scene.facts("s1");
    assert!(during.holds(SHARED) && during.holds(SHARED6), "{during:?}");
    assert_eq!(during.arp, ["1", "2"]);
    if during.has_mptcp() {
        assert_eq!(during.join, "0");
        assert!(during.endpoint("10.77.0.31", "signal"), "{during:?}");
        assert!(during.endpoint(SHARED, "backup"), "{during:?}");
    }

    // Traffic goes on without the agent; the next one goes on with what is there.
    scene.kill_agent("s1");
    assert_eq!(scene.facts("s1"), during);
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    assert_eq!(scene.facts("s1"), during);
    scene.stop_agent("s1");
    assert_eq!(scene.facts("s1"), before);

    // One that does not come back: by hand.
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    scene.kill_agent("s1");
    scene.take_back("s1");
    assert_eq!(scene.facts("s1"), before);
}

#[test]
fn servers_with_agents_answer_clients_themselves_and_none_fails_as_they_come_and_go() {
    let name = "servers_with_agents_answer_clients_themselves_and_none_fails_as_they_come_and_go";
    let Some(mut scene) = Scene::new(name, "") else {
        return;
    };
    scene.start_agent("s1", &[]);
    scene.wait_until_answers(&["s1"]);
    scene.start_agent("s2", &[]);
    scene.wait_until_answers(&["s1", "s2"]);

    let sent = scene.sent_by_switch();
    assert_eq!(scene.download("/size/4194304"), 4 << 20);
    let passed = scene.sent_by_switch() - sent;
    assert!(passed < 400_000, "{passed} bytes went through the switch");

    let prober = scene.probe();
    scene.kill_agent("s2");
    scene.start_agent("s2", &[]);
    scene.wait_for(&[("s1", "ready"), ("s2", "ready")]);
    std::thread::sleep(Duration::from_secs(1));
    let failed = failures(&prober.stop());
    assert_eq!(failed, "", "a restart of an agent is noticed");

    // The address stays until nobody sends anything there any more.
    let prober = scene.probe();
    scene.stop_agent("s2");
    scene.wait_for(&[("s1", "ready")]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(failures(&prober.stop()), "", "a farewell is noticed");
    scene.wait_until_answers(&["s1"]);
}

#[test]
fn a_server_that_would_answer_for_the_address_is_taken_out_and_says_why() {
    let name = "a_server_that_would_answer_for_the_address_is_taken_out_and_says_why";
    let Some(mut scene) = Scene::new(name, "") else {
        return;
    };
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    let host = scene.host("s1");
    host.ip(&format!("addr add {SHARED}/32 dev {INTERFACE}"));
    scene.wait_for(&[("s1", "not-ready")]);
    let why = scene.why("s1");
    assert!(
        why.contains(&format!("{SHARED} stands on {INTERFACE}")),
        "{why}"
    );
    host.ip(&format!("addr del {SHARED}/32 dev {INTERFACE}"));
    scene.wait_for(&[("s1", "ready")]);

    // What the agent can mend it mends.
    host.sysctl("net/ipv4/conf/all/arp_ignore", "0");
    host.ip(&format!("addr del {SHARED}/32 dev lo"));
    scene.wait_until("it is mended", |scene| {
        let facts: Facts = scene.facts("s1");
        facts.holds(SHARED) && facts.arp[0] == "1"
    });
    // An interface of its own mind it cannot.
    host.sysctl(&format!("net/ipv4/conf/{INTERFACE}/arp_ignore"), "4");
    scene.wait_for(&[("s1", "not-ready")]);
    assert!(scene.why("s1").contains("arp_ignore is 4"));
}

#[test]
fn without_the_capability_the_agent_says_which_and_how_to_grant_it() {
    let name = "without_the_capability_the_agent_says_which_and_how_to_grant_it";
    let Some(scene) = Scene::new(name, "") else {
        return;
    };
    for check in [true, false] {
        let (ended, told) = scene.agent_without_rights("s1", check);
        assert_eq!(ended, Some(5), "{told}");
        assert!(
            told.contains("needs CAP_NET_ADMIN, which this process lacks"),
            "{told}"
        );
        assert!(told.contains("AmbientCapabilities=CAP_NET_ADMIN"), "{told}");
    }
    assert!(!scene.facts("s1").holds(SHARED));
}

#[test]
fn a_server_of_another_subnet_is_reached_through_a_tunnel_and_takes_long_uploads() {
    let name = "a_server_of_another_subnet_is_reached_through_a_tunnel_and_takes_long_uploads";
    let Some(mut scene) = Scene::new(name, "") else {
        return;
    };
    scene.move_behind_router("s1");
    let others = scene.host("s1");
    others.ip("route add 198.51.100.0/24 via 10.78.0.1");
    others.ip(&format!("nexthop add id 7 via 10.78.0.1 dev {INTERFACE}"));
    others.ip("route add 203.0.113.0/24 nhid 7");
    others.ip("route add 192.0.2.0/24 nexthop via 10.78.0.1 nexthop via 10.78.0.2");
    let before = scene.facts("s1");
    scene.start_agent_without_bpf("s1");
    scene.wait_for(&[("s1", "not-ready")]);
    let lacks = "packets come in a tunnel, and direct return needs CAP_BPF and CAP_PERFMON";
    scene.wait_until("it says why", |scene| scene.why("s1").contains(lacks));
    scene.stop_agent("s1");
    // The switch says that there is a tunnel.
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    let during = scene.facts("s1");
    assert_eq!(
        during.routes.matches("advmss 1440").count(),
        4,
        "{during:?}"
    );
    scene.wait_until_answers(&["s1"]);
    assert_eq!(scene.upload(3 << 20), 200);

    // Packets in the tunnel are not lost while there is no agent.
    let pins = scene.tunnel_of("s1");
    assert!(pins.exists());
    let prober = scene.probe();
    scene.kill_agent("s1");
    std::thread::sleep(Duration::from_secs(1));
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    std::thread::sleep(Duration::from_secs(1));
    let failed = failures(&prober.stop());
    assert_eq!(failed, "", "a restart of an agent is noticed");
    assert_eq!(scene.facts("s1"), during);

    scene.stop_agent("s1");
    assert_eq!(scene.facts("s1"), before);
    assert!(!pins.exists());

    // One that does not come back: by hand.
    scene.start_agent("s1", &[]);
    scene.wait_for(&[("s1", "ready")]);
    assert!(pins.exists());
    scene.kill_agent("s1");
    scene.take_back("s1");
    assert_eq!(scene.facts("s1"), before);
    assert!(!pins.exists());
}

#[test]
fn a_restart_of_the_switch_breaks_no_connection_though_an_agent_comes_back_late() {
    let name = "a_restart_of_the_switch_breaks_no_connection_though_an_agent_comes_back_late";
    let Some(mut scene) = Scene::new(name, "") else {
        return;
    };
    for server in ["s1", "s2"] {
        scene.start_agent(server, &[]);
    }
    scene.wait_until_answers(&["s1", "s2"]);
    let kept = scene.keep_connections(40);
    let prober = scene.probe();
    scene.pause_agent("s2", true);
    scene.restart_switch();
    // Longer than the switch waits for agents.
    std::thread::sleep(Duration::from_secs(3));
    scene.wait_for(&[("s1", "ready")]);
    scene.pause_agent("s2", false);
    scene.wait_until_answers(&["s1", "s2"]);
    let broken = kept.broken_of();
    kept.stop();
    assert_eq!(broken, Vec::<String>::new());
    assert_eq!(failures(&prober.stop()), "", "a restart is noticed");
}

#[test]
fn a_client_of_multipath_tcp_gets_its_bytes_past_the_switch_and_outlives_it() {
    let name = "a_client_of_multipath_tcp_gets_its_bytes_past_the_switch_and_outlives_it";
    let Some(mut scene) = Scene::with_mptcp(name) else {
        return;
    };
    scene.start_agent("s1", &[]);
    scene.wait_until_answers(&["s1"]);
    // Health checks and answers to ARP are in it as well.
    let sent = scene.sent_by_switch();
    assert_eq!(scene.download_by_mptcp("/size/20000000"), 20_000_000);
    let passed = scene.sent_by_switch() - sent;
    assert!(passed < 20_000, "{passed} bytes went through the switch");
    let told = scene.downloads_past_a_dead_switch("/size/20000000");
    assert_eq!(told, "20000000 1\n20000000 0\n");
}
