//! Backups.

use std::net::SocketAddr;

use crate::support::{Backend, Switch};

fn policy(first: &[SocketAddr], backup: SocketAddr, spill: &str) -> String {
    let first: Vec<_> = first.iter().map(|addr| format!("\"{addr}\"")).collect();
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
         [pool.app]\nbackends = [{}, {{ addr = \"{backup}\", backup = true }}]\n\
         spill = \"{spill}\"\n",
        first.join(", ")
    )
}

/// Who answers how many of 100 requests; all must be answered.
fn counts(switch: &Switch) -> [usize; 3] {
    let mut counts = [0; 3];
    for _ in 0..100 {
        let (status, body) = switch.get("/");
        assert_eq!(status, 200);
        let place = ["one", "two", "backup"]
            .iter()
            .position(|name| body.trim() == *name);
        counts[place.expect("a known server")] += 1;
    }
    counts
}

#[test]
fn a_backup_takes_over_when_the_others_are_gone_and_no_request_fails() {
    let mut servers = ["one", "two", "backup"].map(|name| Some(Backend::start(name)));
    let [one, two, backup] = servers
        .each_ref()
        .map(|server| server.as_ref().unwrap().address);
    let switch = Switch::start(&policy(&[one, two], backup, "0%"));
    assert_eq!(counts(&switch), [50, 50, 0]);
    servers[0] = None;
    assert_eq!(counts(&switch), [0, 100, 0]);
    servers[1] = None;
    assert_eq!(counts(&switch), [0, 0, 100]);
    let _one = Backend::start_at("one", one);
    switch.wait_for_states(&["up", "down", "up"]);
    assert_eq!(counts(&switch), [100, 0, 0]);
}

#[test]
fn a_backup_helps_out_when_much_of_the_others_is_gone() {
    let mut servers = ["one", "two", "backup"].map(|name| Some(Backend::start(name)));
    let [one, two, backup] = servers
        .each_ref()
        .map(|server| server.as_ref().unwrap().address);
    let switch = Switch::start(&policy(&[one, two], backup, "80%"));
    assert_eq!(counts(&switch)[2], 0);
    servers[0] = None;
    counts(&switch);
    switch.wait_for_states(&["down", "up", "up"]);
    let [_, two, backup] = counts(&switch);
    // Half of the weight is up: 50/80 of the requests stay.
    assert!(
        two.abs_diff(62) <= 3 && backup.abs_diff(38) <= 3,
        "{two}, {backup}"
    );
}
