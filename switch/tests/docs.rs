//! The pages that are made from tables in the code are what the code would make now. To make them
//! anew: `POINTSMAN_WRITE_DOCS=1 cargo test -p pointsman --test docs`.

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

#[test]
fn every_file_that_the_pages_name_is_there() {
    let mut missing = Vec::new();
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/contact.md",
        "docs/dashboard.md",
        "docs/direct.md",
        "docs/discovery.md",
        "docs/operate.md",
        "docs/tls.md",
        "docs/selection.md",
        "docs/health.md",
    ];
    for page in pages {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let paths: Vec<&str> = named_paths(&text).collect();
        for path in paths {
            let beside = root().join(page).with_file_name(path);
            if !beside.exists() && !places().iter().any(|place| place.join(path).exists()) {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Where a path in a page may begin.
fn places() -> [PathBuf; 4] {
    ["", "switch/src", "config/src", "backend/src"].map(|place| root().join(place))
}

/// What stands in backticks or link brackets and looks like a file or folder of the project.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let in_code = text.split('`').skip(1).step_by(2);
    let in_links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    in_code.chain(in_links).filter(|word| {
        let plain = word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
        let is_file = [".rs", ".md", ".toml", ".json"]
            .iter()
            .any(|end| word.ends_with(end));
        let is_folder = word.ends_with('/');
        plain
            && !word.starts_with(['/', '.', '-'])
            && (is_folder || is_file)
            && *word != "pointsman.toml"
    })
}

#[test]
fn a_path_is_told_from_other_words() {
    let text = "See `data/l7/mod.rs`, `sys/`, [this](docs/x.md), `cargo test`, `/metrics`, `a/b`.";
    let found: Vec<&str> = named_paths(text).collect();
    assert_eq!(found, ["data/l7/mod.rs", "sys/", "docs/x.md"]);
}

/// The policies in a page.
fn policies(page: &str) -> Vec<&str> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_policy_in_the_pages_is_right() {
    // Policies name files beside themselves.
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("contact.secret"),
        "a secret of the pages\n",
    )
    .unwrap();
    fs::write(folder.path().join("jobs.backends.toml"), "backends = []").unwrap();
    for name in [
        "README.md",
        "docs/contact.md",
        "docs/discovery.md",
        "docs/health.md",
    ] {
        let page = fs::read_to_string(root().join(name)).unwrap();
        let blocks = policies(&page);
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            let report = match Policy::from_toml(block, &folder.path().join("pointsman.toml")) {
                Ok(policy) => policy.warnings,
                Err(report) => report,
            };
            let text = report.render_text(false);
            assert!(report.problems.is_empty(), "{name}: {text}");
        }
    }
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
