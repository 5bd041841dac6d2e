//! The ways in and the forms of a report.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use pointsman_config::policy::{Action, BackendAddr, BindAddr, Policy};
use pointsman_config::report::{Report, Severity};

fn refused(text: &str) -> Report {
    Policy::from_toml(text, Path::new("policy.toml")).expect_err("a refused policy")
}

fn simple(listen: &str, backends: &[&str]) -> Result<Policy, Report> {
    let backends: Vec<_> = backends
        .iter()
        .map(|backend| (*backend).to_owned())
        .collect();
    Policy::simple(listen, &backends)
}

const TWO_ERRORS: &str = "[listener.web]\nbind = \":80\"\n[[route]]\nähm = 1\npool = \"ap\"\n\
                          [pool.app]\nbackends = [\"a:1\"]\n";

#[test]
fn json_holds_every_problem_with_its_place() {
    let json: serde_json::Value = serde_json::from_str(&refused(TWO_ERRORS).render_json()).unwrap();
    assert_eq!(
        json.as_array().map(Vec::len),
        Some(1),
        "a bare key is ASCII: {json:#}"
    );
    let report = refused(&TWO_ERRORS.replace("ähm", "\"ähm\""));
    let json: serde_json::Value = serde_json::from_str(&report.render_json()).unwrap();
    let unknown = serde_json::json!({
        "file": "policy.toml", "line": 4, "column": 1, "severity": "error", "code": "unknown-key",
        "message": "unknown key `ähm` in [[route]]",
        "help": json[0]["help"],
    });
    assert_eq!(json[0], unknown);
    assert_eq!(json[1]["code"], "unknown-pool");
    assert_eq!(
        (&json[1]["line"], &json[1]["column"]),
        (&5.into(), &8.into())
    );
    assert_eq!(json[1]["help"], "did you mean `app`?");
}

#[test]
fn annotations_stand_on_one_line_each() {
    let report = refused(&TWO_ERRORS.replace("ähm", "\"ähm\""));
    let text = report.render_github();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("::error file=policy.toml,line=5,col=8,title=unknown-pool::"));
    assert!(lines[1].ends_with("there is no pool `ap`%0Ahelp: did you mean `app`?"));
}

#[test]
fn the_text_ends_in_a_summary_and_has_colour_only_when_asked() {
    let report = refused(&TWO_ERRORS.replace("ähm", "\"ähm\""));
    assert!(report.render_text(false).ends_with("\n2 errors\n"));
    assert!(!report.render_text(false).contains('\u{1b}'));
    assert!(report.render_text(true).contains('\u{1b}'));
    assert_eq!(report.count(Severity::Error), 2);
}

#[test]
fn a_missing_file_a_folder_and_a_binary_file_are_one_problem_each() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"[listener.web]\nbind = \"\xff\"\n\0").unwrap();
    let large = folder.path().join("large.toml");
    std::fs::write(&large, "#".repeat(5 << 20)).unwrap();
    for path in [
        folder.path().join("none.toml"),
        folder.path().to_owned(),
        binary,
        large,
    ] {
        let report = Policy::from_path(&path).unwrap_err();
        assert_eq!(report.problems.len(), 1, "{report}");
        assert_eq!(report.problems[0].code, "unreadable-file");
        assert_eq!(
            (report.problems[0].line, &report.problems[0].file),
            (0, &path)
        );
    }
}

#[test]
fn a_policy_needs_no_file() {
    let policy = simple(":8080", &["127.0.0.1:3000", "app:80", "unix:/run/app.sock"]).unwrap();
    assert_eq!(policy.listeners[0].bind, [BindAddr::Any(8080)]);
    assert_eq!(policy.routes[0].action, Action::Pool("app".to_owned()));
    assert_eq!(
        policy.pools[0].backends[1].addr,
        BackendAddr::Name("app".to_owned(), 80)
    );
    assert!(policy.sources.is_empty() && policy.pools[0].used);
}

#[test]
fn problems_without_a_file_are_told_at_the_argument() {
    let report = simple("8080", &["10.0.0.1", "${HOME}:80"]).unwrap_err();
    let places: Vec<_> = report
        .problems
        .iter()
        .map(|problem| problem.file.display().to_string())
        .collect();
    assert_eq!(places, ["--listen", "--backend", "--backend"]);
    assert!(
        simple(":80", &[])
            .unwrap_err()
            .render_text(false)
            .contains("at least one backend")
    );
}

#[test]
fn the_digest_changes_with_the_text_and_with_what_is_included() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let main =
        "include = [\"more.toml\"]\n[listener.web]\nbind = \":80\"\n[[route]]\npool = \"p\"\n";
    write("main.toml", main);
    write("more.toml", "[pool.p]\nbackends = [\"a:1\"]\n");
    let read = || Policy::from_path(&folder.path().join("main.toml")).unwrap();
    let first = read();
    assert_eq!(
        first.sources,
        ["main.toml", "more.toml"].map(|name| folder.path().join(name))
    );
    assert_eq!(read().digest, first.digest);
    write("more.toml", "[pool.p]\nbackends = [\"a:2\"]\n");
    assert_ne!(read().digest, first.digest);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_not_shift_places() {
    let text = "\u{feff}colour = 1\r\n[listener.web]\r\nbind = 5\r\n[[route]]\r\nrespond = {}\r\n";
    let places: Vec<_> = refused(text)
        .problems
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(1, 1), (3, 8)]);
}
