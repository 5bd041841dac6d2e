//! Files that are wrong: every mistake is told at its place, and nothing else happens.

use std::path::PathBuf;

use crate::support::*;

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn check(path: &std::path::Path) -> (i32, String) {
    let (code, out, err) = run(&["check", "--format", "json", path.to_str().unwrap()]);
    (code, if out.is_empty() { err } else { out })
}

const FIVE: &str = r#"[listener.web]
bind = ":80800"

[[route]]
pool = "ap"
timeout = 15

[pool.app]
balanc = "round-robin"
backends = ["127.0.0.1:3000", "127.0.0.1"]
"#;

#[test]
fn five_mistakes_are_five_messages_each_at_its_place() {
    let (_folder, path) = file(FIVE.as_bytes());
    let (code, out) = check(&path);
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let errors = report
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["severity"] == "error");
    let places: Vec<(u64, u64)> = errors
        .map(|one| {
            (
                one["line"].as_u64().unwrap(),
                one["column"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [(2, 8), (5, 8), (6, 11), (9, 1), (10, 31)], "{out}");
    for word in ["`app`", "\\\"15s\\\"", "`balance`"] {
        assert!(out.contains(word), "the help names {word}:\n{out}");
    }
}

#[test]
fn the_text_report_shows_the_line_and_points_at_the_mistake() {
    let (_folder, path) = file(FIVE.as_bytes());
    let (code, out, err) = run(&["check", path.to_str().unwrap()]);
    let all = out + &err;
    assert_eq!(code, 1);
    for part in ["p.toml:5:8", "pool = \"ap\"", "^^^^", "did you mean"] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
}

#[test]
fn a_file_that_is_no_policy_gets_one_clear_message() {
    let large = vec![b'#'; 100 << 20];
    let binary: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
    let zeros = vec![0; 4096];
    for (what, bytes) in [("large", large), ("binary", binary), ("zeros", zeros)] {
        let (_folder, path) = file(&bytes);
        let began = std::time::Instant::now();
        let (code, out) = check(&path);
        assert_eq!(code, 1, "{what}");
        let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(report.as_array().map(Vec::len), Some(1), "{what}: {out}");
        assert!(out.len() < 4096, "{what}: the message is short");
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "{what}"
        );
    }
}

#[test]
fn a_file_that_is_missing_a_folder_or_a_device_is_an_error_and_not_an_empty_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [
        folder.path().join("nowhere.toml"),
        folder.path().to_owned(),
        "/dev/zero".into(),
    ] {
        let (code, out) = check(&path);
        assert_eq!(code, 1, "{}", path.display());
        assert!(!out.trim().is_empty(), "{}", path.display());
    }
}

#[test]
fn a_policy_nested_without_end_is_refused_in_no_time() {
    let (_folder, path) = file(format!("a = {}", "[".repeat(200_000)).as_bytes());
    let (code, out) = check(&path);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.len() < 64 * 1024,
        "the report is short: {} bytes",
        out.len()
    );
}
