//! Packets that no decent client sends: refused, counted, and nobody else's matter.

use std::net::SocketAddrV4;

use pointsman_deploy::lab::{Forged, Switch, flood, wait_until};

use crate::clients::Clients;
use crate::stage::{SHARED, Stage, target};

/// Segments of a flood, each from another source.
const FLOOD: u32 = 1_000_000;

#[test]
fn a_flood_breaks_no_connection() {
    let Some(stage) = Stage::new("a_flood_breaks_no_connection") else {
        return;
    };
    let switch = stage.alone("");
    let clients = Clients::start(&stage.client, target());
    let at = SocketAddrV4::new(SHARED.parse().unwrap(), 80);
    for forged in [Forged::Syn, Forged::Ack] {
        let before = counted(&switch, "pointsman_direct_packets_total", "");
        let sent = flood(&stage.client, at, forged, FLOOD);
        assert!(sent > FLOOD / 2, "{sent} {forged:?} were sent");
        clients.wait_until_calm();
        let passed = counted(&switch, "pointsman_direct_packets_total", "") - before;
        assert!(passed > f64::from(FLOOD) / 10.0, "{passed} {forged:?} came");
    }
    // More than can be learnt at once is not learnt, which is told.
    assert!(counted(&switch, "pointsman_direct_unlearnt_total", "") > 0.0);
    let noticed = clients.end(&[&switch]);
    assert!(
        noticed.broken.is_empty(),
        "{:?}\n{}",
        noticed.broken,
        noticed.details
    );
}

#[test]
fn packets_that_contradict_themselves_are_dropped_and_counted() {
    let Some(stage) = Stage::new("packets_that_contradict_themselves_are_dropped_and_counted")
    else {
        return;
    };
    let switch = stage.alone("");
    let at = SocketAddrV4::new(SHARED.parse().unwrap(), 80);
    let cases = [
        (Forged::Truncated, "malformed"),
        (Forged::Oversize, "malformed"),
        (Forged::Reflected, "spoofed"),
    ];
    for (forged, reason) in cases {
        let reason = format!("reason=\"{reason}\"");
        let dropped = || counted(&switch, "pointsman_direct_dropped_total", &reason);
        let before = dropped();
        let sent = flood(&stage.client, at, forged, 1000);
        wait_until(&format!("{forged:?} is counted"), || {
            dropped() - before >= f64::from(sent)
        });
    }
    stage.wait_until_spread(target());
}

/// The sum of a metric over all series that have this label.
pub fn counted(switch: &Switch, name: &str, label: &str) -> f64 {
    let (_, page) = switch.admin("GET", "/metrics");
    let lines = page
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label));
    let values = lines.filter_map(|line| line.split_whitespace().next_back()?.parse::<f64>().ok());
    values.sum()
}
