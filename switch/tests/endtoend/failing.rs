//! Servers die, lie and fall silent, and clients see as little of it as can be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::crowd::Crowd;
use crate::programs::Nginx;
use crate::scripted::{Log, Request, Scripted, ok};
use crate::support::*;

#[test]
fn a_server_that_is_killed_under_load_costs_no_get() {
    let (one, mut two) = (Nginx::start("one"), Nginx::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    switch.wait_for_states(&["up", "up"]);
    let crowd = Crowd::start(16, switch.address("web"), "/");
    std::thread::sleep(Duration::from_millis(500));
    let address = two.address;
    two.kill();
    switch.wait_for_states(&["up", "down"]);
    std::thread::sleep(Duration::from_millis(300));
    let _back = Nginx::start_at("two", address);
    switch.wait_for_states(&["up", "up"]);
    std::thread::sleep(Duration::from_millis(300));
    let tally = crowd.end();
    assert_eq!(tally.failed, [""; 0], "of {} requests", tally.answered);
    assert!(tally.answered > 500, "there was load: {}", tally.answered);
}

#[test]
fn with_every_server_gone_the_answer_is_503_at_once_and_says_why() {
    let gone = [free_address(), free_address()];
    let switch = Switch::start(&policy(&gone, CHECKED));
    switch.wait_for_states(&["down", "down"]);
    let began = Instant::now();
    let answer = Conn::open(switch.address("web")).get("/").unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(answer.status, 503);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.starts_with("pointsman"), "{why}");
    assert!(
        why.contains("error=destination_unavailable") && why.contains("no_backend"),
        "{why}"
    );
}

#[test]
fn the_reason_tells_a_refusal_from_silence_and_from_nonsense() {
    let silent = Scripted::start(|mut conn, _| {
        let _ = conn.rest();
    });
    let nonsense = Scripted::answering(|_| "SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_owned());
    let quick = "[[route]]\ntimeouts = { response = \"300ms\" }";
    let cases = [
        (free_address(), 502, "connect_refused"),
        (silent.address, 504, "timeout"),
        (nonsense.address, 502, "bad_response"),
    ];
    for (server, status, reason) in cases {
        let switch = Switch::start(&policy(&[server], "").replace("[[route]]", quick));
        let answer = Conn::open(switch.address("web")).get("/").unwrap();
        let why = answer
            .field("proxy-status")
            .expect("Proxy-Status")
            .to_owned();
        assert_eq!(answer.status, status, "{why}");
        assert!(why.contains(reason), "{why}");
        let counted = format!("reason=\"{reason}\"}} 1");
        wait_until(&format!("{reason} is counted"), || {
            switch.admin("GET", "/metrics").1.contains(&counted)
        });
    }
}

#[test]
fn every_change_of_health_is_seen_in_the_metrics() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    switch.wait_for_states(&["up", "up"]);
    two.control.set_healthy(false);
    switch.wait_for_states(&["up", "down"]);
    two.control.set_healthy(true);
    switch.wait_for_states(&["up", "up"]);
    let metrics = switch.admin("GET", "/metrics").1;
    let name = two.address.to_string();
    for (from, to) in [("starting", "up"), ("up", "down"), ("down", "up")] {
        let labels = format!("pool=\"app\",backend=\"{name}\",from=\"{from}\",to=\"{to}\"");
        let line = format!("pointsman_backend_transitions_total{{{labels}}} 1");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    let up = format!("pointsman_backend_up{{pool=\"app\",backend=\"{name}\"}} 1");
    assert!(metrics.contains(&up), "{up} is not in\n{metrics}");
}

/// A server that ends connections that were idle for 50 ms.
fn impatient() -> Scripted {
    Scripted::start(|mut conn, log| {
        conn.0
            .get_ref()
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        while let Some(request) = Request::read(&mut conn) {
            log.add(request.start);
            if conn.send(ok("fine")).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_server_that_closes_idle_connections_costs_no_client_an_error() {
    let server = impatient();
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut conn = Conn::open(switch.address("web"));
    // GETs fall before, into and after the moment in which the server closes.
    for pause in (30..70).chain(45..55) {
        std::thread::sleep(Duration::from_millis(pause));
        let answer = conn.get("/").expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{pause} ms: {:?}",
            answer.field("proxy-status")
        );
    }
    // A POST that is under way at that very moment may not be sent twice; a later one must not
    // go out on the connection that has ended.
    for n in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        let answer = conn.post(&format!("/order/{n}"), "1").expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{n}: {:?}",
            answer.field("proxy-status")
        );
    }
    let executed = counts(&[server.log]);
    assert_eq!(executed.len(), 10);
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
}

#[test]
fn a_post_is_never_executed_twice() {
    // Takes the whole request, which it might execute, and dies.
    let dying = || {
        Scripted::start(|mut conn, log| {
            if let Some(request) = Request::read(&mut conn) {
                log.add(request.start);
            }
        })
    };
    let (one, two) = (dying(), dying());
    let switch = Switch::start(&policy(&[one.address, two.address], ""));
    for n in 0..20 {
        let answer = Conn::open(switch.address("web"))
            .post(&format!("/order/{n}"), "1")
            .unwrap();
        assert!(matches!(answer.status, 502 | 503), "{n}: {}", answer.status);
        assert!(answer.field("proxy-status").is_some());
    }
    let executed = counts(&[one.log, two.log]);
    assert!(!executed.is_empty(), "requests came through");
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
}

#[test]
fn a_post_goes_to_another_server_when_one_refuses_the_connection() {
    let server = Scripted::answering(|_| ok("done"));
    let switch = Switch::start(&policy(&[free_address(), server.address], ""));
    for n in 0..10 {
        let answer = Conn::open(switch.address("web"))
            .post(&format!("/order/{n}"), "1")
            .unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "done"),
            "{n}"
        );
    }
    let executed = counts(&[server.log]);
    assert_eq!(executed.len(), 10);
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
}

#[test]
fn a_get_goes_to_another_server_when_one_dies_before_its_answer() {
    let dying = Scripted::start(|mut conn, log| {
        if let Some(request) = Request::read(&mut conn) {
            log.add(request.start);
        }
    });
    let server = Scripted::answering(|_| ok("done"));
    let checks = "health = { interval = \"10s\" }";
    let switch = Switch::start(&policy(&[dying.address, server.address], checks));
    switch.wait_for_states(&["up", "up"]);
    let answers: Vec<_> = (0..6)
        .map(|n| {
            Conn::open(switch.address("web"))
                .get(&format!("/{n}"))
                .unwrap()
        })
        .collect();
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert!(!dying.log.lines().is_empty(), "the dying one was tried");
    let metrics = switch.admin("GET", "/metrics").1;
    assert!(metrics.contains("pointsman_retries_total{pool=\"app\",result=\"success\"}"));
}

fn counts(logs: &[Log]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in logs
        .iter()
        .flat_map(Log::lines)
        .filter(|line| line.contains("/order/"))
    {
        *counts.entry(line).or_insert(0) += 1;
    }
    counts
}
