//! Where in the kernel packets are taken up.

use pointsman_deploy::lab::{Switch, wait_until};

use crate::clients::{Clients, KEPT};
use crate::stage::{Stage, order, states, target, target6};

#[test]
fn every_datapath_serves_both_families_and_keeps_connections_in_a_drain() {
    let test = "every_datapath_serves_both_families_and_keeps_connections_in_a_drain";
    for (datapath, hook) in [
        ("tc", "tcx"),
        ("xdp-generic", "xdp-generic"),
        ("xdp", "xdp"),
    ] {
        let Some(stage) = Stage::with(test, &["ethtool"]) else {
            return;
        };
        stage.a.let_xdp_send();
        stage.client.send_as_a_card();
        let switch = stage.alone(&format!("datapath = \"{datapath}\""));
        wait_until("it is told", || hook_of(&switch) == hook);
        stage.wait_until_spread(target6());
        let clients = Clients::start(&stage.client, target());
        let told = order(&switch, &["backend", "drain", "web/10.77.0.32:80"]);
        assert!(told.status.success(), "{told:?}");
        wait_until("it is out", || states(&switch)[1] == "draining");
        clients.wait_until_calm();
        clients.end_unharmed(&[&switch]);
        let served = switch.status()["direct"]["backends"][1]["packets"].as_u64();
        assert!(served > Some(KEPT as u64), "{datapath}: {served:?}");
    }
}

#[test]
fn another_datapath_takes_the_place_of_one_and_nobody_notices() {
    let test = "another_datapath_takes_the_place_of_one_and_nobody_notices";
    let Some(stage) = Stage::with(test, &["ethtool"]) else {
        return;
    };
    stage.a.let_xdp_send();
    stage.client.send_as_a_card();
    let switch = stage.alone("datapath = \"tc\"");
    let policy = std::fs::read_to_string(switch.file()).unwrap();
    let clients = Clients::start(&stage.client, target());
    for datapath in ["xdp-generic", "xdp", "xdp-generic", "tc"] {
        let other = format!("datapath = \"{datapath}\"");
        std::fs::write(switch.file(), policy.replace("datapath = \"tc\"", &other)).unwrap();
        switch.tell(&["reload", "--wait"]);
        wait_until("it is attached", || {
            hook_of(&switch).trim_end_matches('x') == datapath.trim_end_matches('x')
        });
        clients.wait_until_calm();
    }
    clients.end_unharmed(&[&switch]);
}

fn hook_of(switch: &Switch) -> String {
    let interfaces = switch.status()["direct"]["interfaces"].clone();
    interfaces[0]["datapath"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
