//! mdBook makes the book without complaint, and nothing in it leads nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pages::{book, root};
use crate::skip;

#[test]
fn mdbook_makes_the_book_and_nothing_in_it_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let made = Command::new("mdbook")
        .arg("build")
        .arg(root().join("docs"))
        .arg("--dest-dir")
        .arg(place.path())
        .output();
    let Ok(made) = made else {
        return skip(
            "mdbook_makes_the_book_and_nothing_in_it_leads_nowhere",
            "no mdbook (cargo install mdbook)",
        );
    };
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    for word in ["WARN", "ERROR"] {
        assert!(!said.contains(word), "{said}");
    }
    let mut looked_at = 0;
    for page in book() {
        let name = page.name.strip_prefix("docs/").unwrap();
        let made = place.path().join(name.replace("README.md", "index.html"));
        let made = made.with_extension("html");
        assert!(made.exists(), "{}", made.display());
        let html = fs::read_to_string(&made).unwrap();
        for target in targets(&html) {
            let there = beside(&made, target);
            assert!(there.exists(), "{}: {target}", page.name);
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

/// Where the page's links and pictures lead, without anchors and other places.
fn targets(html: &str) -> Vec<&str> {
    let main = html.split_once("<main>").map_or(html, |(_, main)| main);
    let main = main.split("</main>").next().unwrap_or_default();
    let of = |key: &str| -> Vec<&str> {
        let found = main.split(key).skip(1);
        found
            .filter_map(|rest| rest.split(['"', '#']).next())
            .collect()
    };
    let mut all = [of(" href=\""), of(" src=\"")].concat();
    all.retain(|target| !target.is_empty() && !target.contains(':'));
    all
}

fn beside(page: &Path, target: &str) -> PathBuf {
    page.parent().unwrap().join(target)
}
