//! The example policies are right, and their README knows each of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use pointsman_config::policy::Policy;
use tempfile::TempDir;

#[test]
fn every_example_policy_is_accepted_and_uses_all_of_its_pools() {
    let furnished = with_what_they_name();
    for path in examples() {
        let copy = furnished.path().join(path.file_name().unwrap());
        fs::copy(&path, &copy).unwrap();
        let policy = Policy::from_path(&copy)
            .unwrap_or_else(|report| panic!("{}: {report:?}", path.display()));
        assert!(!policy.pools.is_empty(), "{}", path.display());
        for pool in &policy.pools {
            assert!(pool.used, "{}: pool {}", path.display(), pool.name);
        }
    }
}

#[test]
fn the_first_policy_says_three_things() {
    let text = fs::read_to_string(folder().join("first.toml")).unwrap();
    let lines = || text.lines().filter(|line| !line.is_empty());
    let said = lines().filter(|line| !line.starts_with('['));
    assert_eq!(said.count(), 3, "what one has to say is three things");
    assert!(lines().count() <= 6);
}

#[test]
fn the_readme_names_every_example() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for path in examples() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// A folder with the files that `tls.toml` and `contact.toml` name. Of a certificate a policy asks no
/// more than that it is there; a secret has a least length.
fn with_what_they_name() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("shop.pem", ""),
        ("shop.key", ""),
        ("contact.secret", "the secret of an example"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let examples: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    assert!(examples.len() >= 5, "{examples:?}");
    examples
}
