//! Every policy in the pages is right.

use std::fs;
use std::path::Path;

use pointsman_config::policy::Policy;
use pointsman_config::report::Report;

use crate::pages::{Page, book};

/// What a part of a policy may lack.
const LACKING: [&str; 6] = [
    "missing-key",
    "no-listener",
    "no-address",
    "unknown-pool",
    "unserved-listener",
    "unused-pool",
];

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
            if block.language != "toml" || !is_policy(&block.text) {
                continue;
            }
            let place = folder.path().join("pointsman.toml");
            let mut report = match Policy::from_toml(&block.text, &place) {
                Ok(policy) => policy.warnings,
                Err(report) => report,
            };
            match block.text.contains("[listener.") {
                true => whole += 1,
                false => leave_out_what_a_part_lacks(&mut report),
            }
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

/// Lists of backends and settings of agents are TOML as well.
fn is_policy(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('['))
}

fn leave_out_what_a_part_lacks(report: &mut Report) {
    report
        .problems
        .retain(|problem| !LACKING.contains(&problem.code));
}

#[test]
fn a_part_of_a_policy_may_lack_something_and_not_be_wrong() {
    let problems = |text: &str| {
        let mut report = Policy::from_toml(text, Path::new("p.toml")).unwrap_err();
        leave_out_what_a_part_lacks(&mut report);
        report.problems.len()
    };
    assert_eq!(problems("[pool.web]\nforward = \"direct\"\n"), 0);
    assert_eq!(problems("[pool.web]\nforwards = \"direct\"\n"), 1);
    assert_eq!(problems("[pool.web]\nslow_start = 30\n"), 1);
}
