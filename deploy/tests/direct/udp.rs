//! A service of UDP: name servers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use pointsman_deploy::lab::{Switch, wait_until};

use crate::datagrams::{Flows, NameServer, ask_anew, dig};
use crate::stage::{SHARED, SHARED6, Stage, order, states, up};

const FLOWS: usize = 60;

#[test]
fn datagrams_are_shared_out_and_a_drain_or_death_moves_no_other_flow() {
    let test = "datagrams_are_shared_out_and_a_drain_or_death_moves_no_other_flow";
    let Some(stage) = Stage::without_servers(test, &["dnsmasq", "dig"]) else {
        return;
    };
    let mut servers: Vec<NameServer> = stage.backends.iter().map(NameServer::start).collect();
    stage.take_addresses();
    let switch = Switch::start(&stage.a, &policy(&stage));
    for address in [SHARED, SHARED6] {
        let target = SocketAddr::new(address.parse().unwrap(), 53);
        let mut seen = BTreeSet::new();
        wait_until("all servers answer", || {
            seen.insert(dig(&stage.client, target));
            seen.len() == 3
        });
    }

    let target = SocketAddr::new(SHARED.parse().unwrap(), 53);
    let flows = Flows::start(&stage.client, target, FLOWS);
    flows.go_on();
    let shares = flows.shares();
    assert!(
        shares.len() == 3 && shares.values().all(|one| *one > 5),
        "{shares:?}"
    );

    let told = order(&switch, &["backend", "drain", "names/10.77.0.32:53"]);
    assert!(told.status.success(), "{told:?}");
    wait_until("it is out", || states(&switch)[1] == "draining");
    flows.go_on();
    assert_eq!(flows.shares(), shares, "a drain moves nothing");
    for _ in 0..50 {
        assert_ne!(ask_anew(&stage.client, target).unwrap(), "s2");
    }
    let told = order(&switch, &["backend", "enable", "names/10.77.0.32:53"]);
    assert!(told.status.success(), "{told:?}");
    flows.go_on();
    assert_eq!(flows.shares(), shares, "the end of a drain moves nothing");
    assert!(
        flows.seen().iter().all(|flow| flow.missed.is_empty()),
        "{:?}",
        flows.seen()
    );

    servers[2].kill();
    wait_until("it is found dead", || up(&switch) == 2);
    flows.go_on();
    let left = flows.shares();
    assert_eq!(left.keys().collect::<Vec<_>>(), ["s1", "s2"], "{left:?}");
    assert!(
        left["s1"] > shares["s1"] && left["s2"] > shares["s2"],
        "{left:?}"
    );
    servers[2] = NameServer::start(&stage.backends[2]);
    wait_until("it is back", || up(&switch) == 3);
    flows.go_on();
    assert_eq!(flows.shares(), left, "a flow stays where it is");
    for flow in flows.seen() {
        let was_of_s3 = flow.answered[0] == "s3";
        let stayed = flow.answered.len() == 1 && flow.missed.is_empty();
        let moved_once = flow.answered.len() == 2 && flow.missed.iter().all(|name| name == "s3");
        assert!(if was_of_s3 { moved_once } else { stayed }, "{flow:?}");
    }
}

fn policy(stage: &Stage) -> String {
    let servers = stage.backends.iter();
    let servers: Vec<String> = servers.map(|one| format!("{}:53", one.ipv4())).collect();
    format!(
        "[process]\ndirect = {{ pins = {:?} }}\n\
         [listener.names]\nbind = [\"{SHARED}:53\", \"[{SHARED6}]:53\"]\nprotocol = \"udp\"\n\
         pool = \"names\"\n[pool.names]\nforward = \"direct\"\nbackends = {servers:?}\n\
         health = {{ interval = \"250ms\", timeout = \"200ms\", fall = 2, rise = 1 }}\n",
        stage.pins_of_a(),
    )
}
