//! A real Prometheus scrapes a real switch: it takes every query of the dashboard and of the alerts,
//! finds what they ask for, and speaks when a backend dies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what does not apply here is told")]

#[path = "../board/mod.rs"]
mod board;
mod scene;

use std::thread;
use std::time::{Duration, Instant};

use board::{dashboard_queries, rule_queries};
use scene::Scene;

/// Series of the dashboard that a switch with traffic always has.
const ALWAYS: [&str; 6] = [
    "pointsman_requests_total{",
    "pointsman_request_duration_seconds_bucket{",
    "pointsman_backend_requests_total{",
    "pointsman_backend_state{",
    "pointsman_connections{",
    "process_resident_memory_bytes{",
];

#[test]
fn prometheus_takes_every_query_finds_what_it_asks_for_and_speaks_when_a_backend_dies() {
    let Some(mut scene) = Scene::begin() else {
        eprintln!(
            "skipped: prometheus_takes_every_query_finds_what_it_asks_for_and_speaks_when_a_backend_dies: \
             no prometheus (apt install prometheus)"
        );
        return;
    };
    until("the switch is scraped with traffic", || {
        scene.send_requests(20);
        let rate = scene.query("sum(rate(pointsman_requests_total[10s])) > 0");
        !rate.is_empty()
    });

    for query in dashboard_queries() {
        let found = scene.query(&plain(&query));
        let wanted = ALWAYS.iter().any(|series| query.contains(series));
        let absent = query.contains('>') || query.contains("!=") || query.contains("code=~");
        assert!(!found.is_empty() || !wanted || absent, "nothing: {query}");
    }
    for query in rule_queries() {
        scene.query(&plain(&query));
    }
    until("every rule has been evaluated without an error", || {
        scene.rules_are_well()
    });
    assert_eq!(scene.alerts("PointsmanBackendDown"), 0);
    until("buckets lead to traces", || {
        let traces = scene.traces("pointsman_request_duration_seconds_bucket");
        !traces.is_empty() && traces.iter().all(|id| id.len() == 32)
    });

    scene.kill_a_backend();
    until("the death of a backend is told", || {
        scene.send_requests(5);
        scene.alerts("PointsmanBackendDown") == 1
    });
}

/// Without what Grafana fills in.
fn plain(query: &str) -> String {
    let query = query
        .replace("$__rate_interval", "10s")
        .replace("$__range", "1m")
        .replace("$__interval", "10s");
    let query = ["$instance", "$route", "$pool"]
        .iter()
        .fold(query, |query, variable| query.replace(variable, ".*"));
    match query.strip_prefix("label_values(") {
        // A function of Grafana's alone.
        Some(inside) => inside.split(',').next().unwrap().to_owned(),
        None => query,
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(300));
    }
}
