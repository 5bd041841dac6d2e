//! slowhttptest and a browser in front. Where they are not installed, these tests say so.

use crate::programs::program;
use crate::support::{Backend, Switch, policy, skip};

/// Whether the program is there.
fn has(name: &str) -> bool {
    program(name).arg("--version").output().is_ok()
}

/// 100 slow connections, which have 15 seconds, against limits of one or two: slowhttptest ends
/// before its time when it has lost them all.
#[track_caller]
fn assert_cut_off(mode: &[&str]) {
    let server = Backend::start("one");
    let policy = policy(&[server.address], "").replace(
        "bind =",
        "timeouts = { head = \"1s\", body_rate = \"1KiB/s\", idle = \"2s\" }\nbind =",
    );
    let switch = Switch::start(&policy);
    let url = format!("http://{}/echo", switch.address("web"));
    let common = ["-c", "100", "-r", "100", "-l", "15", "-p", "2", "-u", &url];
    let output = program("slowhttptest")
        .args(mode)
        .args(common)
        .output()
        .expect("it starts");
    assert_eq!(switch.get("/").0, 200);
    let text = String::from_utf8_lossy(&output.stdout);
    for words in ["No open connections left", "YES"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn slow_heads_hold_no_connection_longer_than_their_limit() {
    if !has("slowhttptest") {
        return skip(
            "slow_heads_hold_no_connection_longer_than_their_limit",
            "no slowhttptest",
        );
    }
    assert_cut_off(&["-H", "-i", "1"]);
}

#[test]
fn slow_bodies_hold_no_connection_longer_than_their_rate_allows() {
    if !has("slowhttptest") {
        return skip(
            "slow_bodies_hold_no_connection_longer_than_their_rate_allows",
            "no slowhttptest",
        );
    }
    assert_cut_off(&["-B", "-i", "1", "-s", "8192"]);
}

#[test]
fn a_browser_shows_what_a_server_behind_says() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(browser) = names.into_iter().find(|name| has(name)) else {
        return skip("a_browser_shows_what_a_server_behind_says", "no Chromium");
    };
    let server = Backend::start("shown-in-a-browser");
    let switch = Switch::start(&policy(&[server.address], ""));
    let url = format!("http://{}/", switch.address("web"));
    let folder = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", folder.path().display());
    let output = program(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            &profile,
            "--dump-dom",
            &url,
        ])
        .output()
        .expect("it starts");
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(dom.contains("shown-in-a-browser"), "{dom}");
}
