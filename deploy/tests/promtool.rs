//! Prometheus takes the alerts, and those about contact addresses speak when they should.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what does not apply here is told")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn prometheus_takes_the_alerts() {
    if !there_is_promtool("prometheus_takes_the_alerts") {
        return;
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/rules.yml");
    let checked = promtool(&["check", "rules", rules.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn alerts_about_contact_addresses_speak_when_they_should() {
    if !there_is_promtool("alerts_about_contact_addresses_speak_when_they_should") {
        return;
    }
    let rules = read("prometheus/rules.yml");
    let tested = test(&rules);
    assert!(tested.status.success(), "{}", said(&tested));

    let deaf = rules.replace(r#"announce="vrrp"}) > 1"#, r#"announce="vrrp"}) > 2"#);
    assert_ne!(deaf, rules);
    let tested = test(&deaf);
    assert!(
        said(&tested).contains("PointsmanTwoHolders"),
        "an alert that stays silent is found: {}",
        said(&tested)
    );
}

fn test(rules: &str) -> Output {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("rules.yml"), rules).unwrap();
    let tests = place.path().join("alerts.yml");
    fs::write(&tests, read("tests/alerts.yml")).unwrap();
    promtool(&["test", "rules", tests.to_str().unwrap()])
}

fn there_is_promtool(test: &str) -> bool {
    let there = Command::new("promtool").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: {test}: no promtool (apt install prometheus)");
    }
    there
}

fn promtool(args: &[&str]) -> Output {
    Command::new("promtool").args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
