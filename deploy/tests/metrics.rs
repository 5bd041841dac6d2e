//! Dashboard and alerts ask for metrics and labels that the switch has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;
mod promql;

use std::collections::BTreeSet;

use board::{dashboard, dashboard_queries, rule_queries, rules};
use pointsman::metrics::{Kind, Metric, table};
use promql::{Selector, grouping_labels, selectors};

/// Labels that Prometheus adds, and that of a histogram's bucket.
const GIVEN: [&str; 3] = ["instance", "job", "le"];

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let queries = dashboard_queries();
    assert!(queries.len() > 30, "{}", queries.len());
    queries.iter().for_each(|query| check(query));
}

#[test]
fn the_alerts_ask_for_metrics_that_exist() {
    let queries = rule_queries();
    assert!(queries.len() > 15, "{}", queries.len());
    queries.iter().for_each(|query| check(query));
}

#[test]
fn every_metric_of_the_switch_is_shown_or_watched() {
    let queries = [dashboard_queries(), rule_queries()].concat();
    let used: BTreeSet<_> = queries
        .iter()
        .flat_map(|query| selectors(query))
        .filter_map(|selector| find(&selector.metric).map(|metric| metric.name))
        .collect();
    for Metric { name, .. } in table()
        .iter()
        .filter(|metric| metric.name != "process_threads")
    {
        assert!(
            used.contains(name),
            "neither the dashboard nor an alert uses {name}"
        );
    }
}

#[test]
fn panels_do_not_overlap_and_have_ids_of_their_own() {
    let board = dashboard();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for cell in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(
                taken.insert(cell),
                "{} lies over another panel",
                panel["title"]
            );
        }
    }
}

#[test]
fn every_alert_has_a_severity_and_says_what_it_means() {
    let rules = rules();
    let count = |text: &str| {
        rules
            .lines()
            .filter(|line| line.trim().starts_with(text))
            .count()
    };
    let alerts = count("- alert: Pointsman");
    assert_eq!(alerts, count("- alert:"));
    for part in [
        "expr: ",
        "labels: { severity: ",
        "summary: \"",
        "description: \"",
    ] {
        assert_eq!(count(part), alerts, "{part}");
    }
    let severities = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("labels: "));
    for severity in severities {
        let known = ["critical", "warning", "info"];
        assert!(
            known
                .iter()
                .any(|word| severity == format!("{{ severity: {word} }}"))
        );
    }
}

/// Panics when a query asks for what the switch does not have.
fn check(query: &str) {
    let selectors = selectors(query);
    assert!(!selectors.is_empty(), "no metric in {query}");
    let mut known: BTreeSet<&str> = GIVEN.into();
    for Selector { metric, labels } in &selectors {
        let found = find(metric).unwrap_or_else(|| panic!("no metric {metric}: {query}"));
        known.extend(found.labels);
        for label in labels {
            let has = found.labels.contains(&label.as_str()) || GIVEN.contains(&label.as_str());
            assert!(has, "{metric} has no label {label}: {query}");
        }
    }
    for label in grouping_labels(query) {
        assert!(known.contains(label.as_str()), "no label {label}: {query}");
    }
}

/// The metric of a series; a histogram's series have endings of their own.
fn find(series: &str) -> Option<&'static Metric> {
    let endings = ["_bucket", "_sum", "_count"];
    let base = endings
        .iter()
        .find_map(|ending| series.strip_suffix(ending));
    table().iter().find(|metric| match metric.kind {
        Kind::Histogram => Some(metric.name) == base,
        Kind::Counter | Kind::Gauge => metric.name == series,
    })
}
