//! Servers that come up while others serve.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::client::Conn;
use crate::crowd::Crowd;
use crate::support::*;

/// Clients at once, so that there is a load to compare.
const CLIENTS: usize = 44;

/// How many of so many requests reach the second server.
fn share_of_second(switch: &Switch, two: &Backend, requests: u32) -> f64 {
    let served = two.control.requests();
    let before = served.load(Ordering::Relaxed);
    let mut conn = Conn::open(switch.address("web"));
    for n in 0..requests {
        assert_eq!(conn.get(&format!("/{n}")).unwrap().status, 200);
    }
    (served.load(Ordering::Relaxed) - before) as f64 / f64::from(requests)
}

/// The same of requests that take their time, many at once.
fn share_under_load(switch: &Switch, two: &Backend) -> f64 {
    let served = two.control.requests();
    let before = served.load(Ordering::Relaxed);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/delay/20ms");
    std::thread::sleep(Duration::from_millis(500));
    let tally = crowd.end();
    assert_eq!(tally.failed, [""; 0]);
    (served.load(Ordering::Relaxed) - before) as f64 / tally.answered as f64
}

#[test]
fn a_server_that_comes_back_begins_with_a_tenth_under_every_balance() {
    for balance in ["round-robin", "random", "least-request", "hash"] {
        let (one, two) = (Backend::start("one"), Backend::start("two"));
        let hash = if balance == "hash" {
            "hash = \"path\"\n"
        } else {
            ""
        };
        let pool = format!("{CHECKED}\nbalance = \"{balance}\"\n{hash}slow_start = \"1h\"");
        let switch = Switch::start(&policy(&[one.address, two.address], &pool));
        switch.wait_for_states(&["up", "up"]);
        two.control.set_healthy(false);
        switch.wait_for_states(&["up", "down"]);
        two.control.set_healthy(true);
        switch.wait_for_states(&["up", "slow-start"]);
        let status = switch.status();
        let share = &status["pools"][0]["backends"][1]["share"];
        assert_eq!(share.as_f64(), Some(0.1));
        // A tenth of one beside a whole one: one of eleven. Drawn at random, 330 requests have 30
        // with a standard deviation of 5. With nobody else there, least-request has nothing to go
        // by but the weights, and takes the larger one.
        let got = match balance {
            "least-request" => share_under_load(&switch, &two),
            _ => share_of_second(&switch, &two, 330),
        };
        say(&format!(
            "figures: slow start, {balance}: {:.1} % of the requests",
            got * 100.0
        ));
        assert!((0.01..0.2).contains(&got), "{balance}: {got}");
        let metrics = switch.admin("GET", "/metrics").1;
        let line = format!(
            "pointsman_backend_effective_weight{{pool=\"app\",backend=\"{}\"}} 0.1",
            two.address
        );
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn the_share_grows_to_all_of_it_and_a_reload_does_not_begin_it_anew() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = policy(&[one.address], &format!("{CHECKED}\nslow_start = \"2s\""));
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up"]);
    let both = policy(
        &[one.address, two.address],
        &format!("{CHECKED}\nslow_start = \"2s\""),
    );
    switch.rewrite(&both);
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    let share = || switch.status()["pools"][0]["backends"][1]["share"].as_f64();
    wait_until("the added one begins slowly", || share().is_some());
    let mut shares = vec![share().unwrap_or(1.0)];
    switch.rewrite(&both.replace("[[route]]", "[[route]]\ntimeout = \"9s\""));
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    wait_until("it has all of its weight", || {
        shares.push(share().unwrap_or(1.0));
        shares.last() == Some(&1.0)
    });
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!(switch.states(), ["up", "up"]);
    let even = share_of_second(&switch, &two, 100);
    assert!((0.4..0.6).contains(&even), "{even}");
}

#[test]
fn nobody_begins_slowly_at_the_start_of_the_process() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let pool = format!("{CHECKED}\nslow_start = \"1h\"");
    let switch = Switch::start(&policy(&[one.address, two.address], &pool));
    switch.wait_for_states(&["up", "up"]);
}
