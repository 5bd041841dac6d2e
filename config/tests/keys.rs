//! The table of keys against the decoder: what the table promises can be written.

use std::path::Path;

use pointsman_config::keys::{Key, Kind, ROOT, Section};
use pointsman_config::policy::Policy;

/// Problems that a value has by itself; others come from what a bare example lacks around it.
const VALUE_CODES: [&str; 7] = [
    "bad-value",
    "not-inherited",
    "not-supported",
    "out-of-range",
    "syntax",
    "unknown-key",
    "unknown-value",
];

#[test]
fn every_example_and_every_default_can_be_written() {
    let mut count = 0;
    visit(&ROOT, &|body| body, &mut count);
    assert!(count > 120, "{count} values were tried");
}

/// Tries each key of a section; `wrap` makes a whole policy of the section's body.
fn visit(section: &'static Section, wrap: &dyn Fn(String) -> String, count: &mut usize) {
    for key in section.keys {
        for value in [Some(key.example), key.default].into_iter().flatten() {
            try_value(section, key, value, wrap);
            *count += 1;
        }
        visit_below(section, key, wrap, count);
    }
}

fn visit_below(
    section: &'static Section,
    key: &'static Key,
    wrap: &dyn Fn(String) -> String,
    count: &mut usize,
) {
    let around = |value: String| wrap(body(section, key, &value));
    for below in key.kind.sections() {
        match &key.kind {
            Kind::Named(_) => visit(
                below,
                &|body| around(format!("{{ x = {{ {body} }} }}")),
                count,
            ),
            Kind::List(_) | Kind::Many(_) => {
                visit(below, &|body| around(format!("[{{ {body} }}]")), count);
            }
            Kind::Defaults(_) => {
                for key in below.keys.iter().filter(|key| key.inherited) {
                    let value = format!("{{ {} = {} }}", key.name, key.example);
                    check(&around(value), key.name);
                    *count += 1;
                }
            }
            _ => visit(below, &|body| around(format!("{{ {body} }}")), count),
        }
    }
}

/// A section's body: this key, and those without which the section makes no sense.
fn body(section: &Section, key: &Key, value: &str) -> String {
    let separator = if section.name.is_empty() { "\n" } else { ", " };
    let required = section
        .keys
        .iter()
        .filter(|other| other.required && other.name != key.name);
    let mut entries: Vec<_> = required
        .map(|other| format!("{} = {}", other.name, other.example))
        .collect();
    let acts = ["pool", "split", "redirect", "respond"].contains(&key.name);
    if section.name == "route" && !acts {
        entries.push("pool = \"x\"".to_owned());
    }
    entries.push(format!("{} = {value}", key.name));
    entries.join(separator)
}

fn try_value(section: &Section, key: &Key, value: &str, wrap: &dyn Fn(String) -> String) {
    check(&wrap(body(section, key, value)), key.name);
}

fn check(policy: &str, key: &str) {
    let Err(report) = Policy::from_toml(policy, Path::new("example.toml")) else {
        return;
    };
    let wrong = report
        .problems
        .iter()
        .find(|problem| VALUE_CODES.contains(&problem.code) || problem.code == "wrong-type");
    assert!(wrong.is_none(), "`{key}` in {policy}:\n{report}");
}
