//! The pages that are made from tables in the code are what the code would make now. To make them
//! anew: `POINTSMAN_WRITE_DOCS=1 cargo test -p pointsman --test docs`. Links, policies and commands of the pages
//! are held true by `deploy/tests/book/`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

use std::fs;
use std::path::{Path, PathBuf};

use pointsman_config::policy::Policy;

/// The root of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a page with what it is made from, or writes it.
fn holds(page: &str, made: &str) {
    let path = root().join("docs").join(page);
    if std::env::var_os("POINTSMAN_WRITE_DOCS").is_some() {
        return fs::write(path, made).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == made,
        "docs/{page} is out of date: POINTSMAN_WRITE_DOCS=1 cargo test -p pointsman --test docs"
    );
}

#[test]
fn the_policy_reference_is_up_to_date() {
    holds("reference.md", &pointsman_config::reference::markdown());
}

#[test]
fn the_metrics_reference_is_up_to_date() {
    holds("metrics.md", &pointsman::metrics::reference_markdown());
}

#[test]
fn the_schema_is_up_to_date() {
    holds("pointsman.schema.json", &pointsman_config::schema::json());
}

/// The policies in a page.
fn policies(page: &str) -> Vec<&str> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_readme_names_every_package_that_the_tests_install() {
    let script = fs::read_to_string(root().join("test")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rest = script.split("NEEDS='\n").nth(1).unwrap();
    let table = rest.split("\n'").next().unwrap();
    let packages: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert!(packages.len() > 5, "{packages:?}");
    for package in packages {
        assert!(readme.contains(package), "{package}");
    }
}

#[test]
fn the_report_in_the_readme_is_what_check_prints() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let wrong = policies(&readme)[0].replace("pool = \"app\"", "pool = \"ap\"\ntimeout = 15");
    let report = Policy::from_toml(&wrong, Path::new("pointsman.toml")).unwrap_err();
    let printed = report.render_text(false);
    assert!(readme.contains(printed.trim_end()), "{printed}");
}
