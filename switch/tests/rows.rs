//! The house stands: every module uses only rows above it, the two planes do not know each other,
//! and `unsafe` stays in `sys/` (ARCHITECTURE.md, "The house").

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The rows, the lowest first. A module may use those of earlier rows, and none of its own row.
const ROWS: &[&[&str]] = &[
    &["error", "pulse", "sys"],
    &["endpoint", "shared"],
    &["trace"],
    &["event", "metrics"],
    &["access_log"],
    &["balance"],
    &["pool"],
    &["route"],
    &["snapshot"],
    &["data", "control"],
    &["app", "args", "demo"],
];

/// The composition root: its modules may use each other.
const ROOT: usize = ROWS.len() - 1;

#[test]
fn no_module_uses_a_row_above_its_own() {
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|source| climbs(&source.module, &source.text, &source.name))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_module_of_the_crate_stands_in_a_row() {
    let root = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let modules: Vec<&str> = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")))
        .map(|rest| rest.trim_end_matches(';'))
        .collect();
    assert!(modules.len() > 10, "the scan has found {modules:?} alone");
    for module in modules {
        assert!(
            row(module).is_some(),
            "{module} stands in no row of this test"
        );
    }
}

#[test]
fn unsafe_code_stays_in_sys() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.module[0] != "sys")
        .flat_map(|source| unsafe_lines(&source.text, &source.name))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_planted_climb_is_found_however_it_is_written() {
    let planted = [
        ("route", "use crate::data::Plane;\n"),
        ("route", "fn f() { crate::control::start(); }\n"),
        (
            "route",
            "use crate::{\n    error::Reason,\n    snapshot::{Snapshot, build},\n};\n",
        ),
        ("route", "use super::super::data::Plane;\n"),
        ("data", "use crate::control::Control;\n"),
        ("control", "pub use crate::data::worker;\n"),
        ("metrics", "use crate::access_log::Line;\n"),
        (
            "route",
            "mod tests {\n    use super::super::super::data::Plane;\n}\n",
        ),
        ("error", "use crate::sys;\n"),
    ];
    for (module, text) in planted {
        let path = [module.to_owned(), "inner".to_owned()];
        assert_eq!(climbs(&path, text, "x.rs").len(), 1, "{module}: {text}");
    }
}

#[test]
fn a_use_of_a_lower_row_or_of_the_own_module_is_none() {
    let fine = [
        (
            "data",
            "use crate::{endpoint::Endpoint, sys::local_task};\n",
        ),
        (
            "data",
            "use crate::data::buffer::Buffer;\nuse super::parse;\n",
        ),
        (
            "data",
            "// Not crate::control: see there.\n/// [`crate::control`]\n",
        ),
        ("app", "use crate::args::Run;\nuse crate::demo;\n"),
    ];
    for (module, text) in fine {
        let path = [module.to_owned(), "inner".to_owned()];
        assert_eq!(climbs(&path, text, "x.rs"), [""; 0], "{module}: {text}");
    }
}

#[test]
fn planted_unsafe_code_is_found() {
    assert_eq!(
        unsafe_lines("fn f() {\n    unsafe { g() }\n}\n", "x.rs"),
        ["x.rs:2: unsafe"]
    );
    assert_eq!(
        unsafe_lines("#![allow(unsafe_code)]\n", "x.rs"),
        ["x.rs:1: unsafe_code"]
    );
    assert_eq!(
        unsafe_lines("// unsafe\nlet unsafe_methods = 1;\n", "x.rs"),
        [""; 0]
    );
}

struct Source {
    /// From the root of the crate.
    module: Vec<String>,
    name: String,
    text: String,
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file but `lib.rs` and `main.rs`, which name all rows.
fn sources() -> Vec<Source> {
    let (mut folders, mut found) = (vec![source_folder()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(source(&path));
            }
        }
    }
    found.retain(|source| !matches!(source.name.as_str(), "lib.rs" | "main.rs"));
    assert!(
        found.len() > 100,
        "the scan has found {} files alone",
        found.len()
    );
    found
}

fn source(path: &Path) -> Source {
    let inner = path.strip_prefix(source_folder()).unwrap();
    let mut module: Vec<String> = inner
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    Source {
        module,
        name: inner.to_str().unwrap().to_owned(),
        text: fs::read_to_string(path).unwrap(),
    }
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The uses of this text that a module of its place may not have.
fn climbs(module: &[String], text: &str, name: &str) -> Vec<String> {
    let own = module[0].as_str();
    let Some(own_row) = row(own) else {
        return vec![format!("{name}: {own} stands in no row")];
    };
    let text = without_comments(text);
    let from_root = "super::".repeat(module.len());
    let mut broken = Vec::new();
    for (start, prefix) in ["crate::", from_root.as_str()]
        .into_iter()
        .flat_map(|prefix| text.match_indices(prefix))
    {
        let line = text[..start].matches('\n').count() + 1;
        for used in first_names(text[start + prefix.len()..].trim_start_matches("super::")) {
            let Some(used_row) = row(used) else { continue };
            let peers = own_row == ROOT && used_row == ROOT;
            if used != own && used_row >= own_row && !peers {
                broken.push(format!("{name}:{line}: {own} uses {used}"));
            }
        }
    }
    broken
}

/// The names that a path goes on with: one, or those of a `{group}`.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![leading_name(rest)];
    };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(leading_name(group[start..at].trim_start()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn leading_name(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// Lines that use the words of unsafe code.
fn unsafe_lines(text: &str, name: &str) -> Vec<String> {
    let text = without_comments(text);
    let found = text.lines().enumerate().filter_map(|(at, line)| {
        let words = line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let word = words
            .into_iter()
            .find(|word| ["unsafe", "unsafe_code"].contains(word))?;
        Some(format!("{name}:{}: {word}", at + 1))
    });
    found.collect()
}

/// The text with its line comments blanked; the lines keep their numbers.
fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.find("//").map_or(line, |at| &line[..at]));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
