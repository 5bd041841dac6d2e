//! The queries of the dashboard and of the alerts.

use std::fs;
use std::path::Path;

use serde_json::Value;

pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/pointsman.json")).unwrap()
}

pub(crate) fn dashboard_queries() -> Vec<String> {
    let board = dashboard();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let annotations = board["annotations"]["list"].as_array().unwrap();
    let expressions = targets.chain(annotations).map(|asks| &asks["expr"]);
    let variables = board["templating"]["list"].as_array().unwrap();
    let definitions = variables
        .iter()
        .filter_map(|variable| variable.get("definition"));
    expressions
        .chain(definitions)
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn rules() -> String {
    read("prometheus/rules.yml")
}

pub(crate) fn rule_queries() -> Vec<String> {
    let rules = rules();
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .map(str::to_owned)
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
