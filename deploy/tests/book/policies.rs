//! Every policy in the pages is right.

use std::fs;
use std::path::Path;

use pointsman_config::policy::Policy;
use pointsman_config::report::Report;

use crate::pages::{Page, book};

/// What a part of a policy may lack.
const LACKING: [&str; 7] = [
    "missing-key",
    "no-listener",
    "no-address",
    "unknown-pool",
    "unreadable-file",
    "unserved-listener",
    "unused-pool",
];

/// Where a part without a table may stand.
const TABLES: [&str; 4] = ["[listener.web]", "[[route]]", "[pool.web]", "[contact]"];

/// Files that policies of the pages name beside themselves.
const FILES: [(&str, &str); 7] = [
    ("contact.secret", "a secret of the pages\n"),
    ("sticky.key", "a key of the pages, long enough\n"),
    ("jobs.backends.toml", "backends = []"),
    ("shop.pem", ""),
    ("shop.key", ""),
    ("api.pem", ""),
    ("api.key", ""),
];

#[test]
fn every_policy_in_the_pages_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut whole = 0;
    let readme = Page::read("README.md");
    for page in book().iter().chain([&readme]) {
        for block in page.blocks() {
            if block.language != "toml" {
                continue;
            }
            let place = folder.path().join("pointsman.toml");
            let report = match is_whole(&block.text) {
                true => problems(&block.text, &place),
                false => problems_of_part(&block.text, &place),
            };
            whole += usize::from(is_whole(&block.text));
            let told = report.render_text(false);
            assert!(
                report.problems.is_empty(),
                "{}:{}: {told}",
                page.name,
                block.line
            );
        }
    }
    assert!(whole > 20, "{whole}");
}

/// Whether it says where clients connect and what becomes of them.
fn is_whole(text: &str) -> bool {
    text.contains("[listener.")
        && ["[[route]]", "\npool = "]
            .iter()
            .any(|key| text.contains(key))
}

/// Errors and warnings.
fn problems(text: &str, place: &Path) -> Report {
    match Policy::from_toml(text, place) {
        Ok(policy) => policy.warnings,
        Err(report) => report,
    }
}

/// What is wrong with a part of a policy, where it may stand; not what it lacks.
fn problems_of_part(text: &str, place: &Path) -> Report {
    let part = |text: &str| {
        let mut report = problems(text, place);
        report
            .problems
            .retain(|problem| !LACKING.contains(&problem.code));
        report
    };
    if text.lines().any(|line| line.starts_with('[')) {
        return part(text);
    }
    let within = TABLES.map(|table| part(&format!("{table}\n{text}")));
    let best = within
        .into_iter()
        .min_by_key(|report| report.problems.len());
    best.unwrap()
}

#[test]
fn a_part_of_a_policy_may_lack_something_and_not_be_wrong() {
    let wrong = |text: &str| problems_of_part(text, Path::new("p.toml")).problems.len();
    assert_eq!(wrong("[pool.web]\nforward = \"direct\"\n"), 0);
    assert_eq!(wrong("[pool.web]\nforwards = \"direct\"\n"), 1);
    assert_eq!(wrong("[pool.web]\nslow_start = 30\n"), 1);
    assert_eq!(wrong("slow_start = \"30s\"\n"), 0);
    assert_eq!(wrong("slow_start = 30\n"), 1);
}
