//! `pointsman contact` against a switch that is played.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::support::*;

/// Runs the program against a switch that gives one answer: exit code, standard output, standard
/// error, and the request's first line.
fn played(args: &[&str], status: &str, body: &str) -> (i32, String, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let switch = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it is asked");
        let mut lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
        let first = lines.next().expect("a request").expect("it is text");
        for line in lines {
            if line.expect("it is text").is_empty() {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).expect("it is read");
        first
    });
    let (code, out, err) = run(&[args, &["--admin", &address]].concat());
    (code, out, err, switch.join().expect("it has answered"))
}

#[test]
fn an_order_is_sent_and_its_outcome_is_the_exit_code() {
    let cases: [(&[&str], _, _, _, _); 5] = [
        (&["yield"], "/contact/yield", "200", "given up", 0),
        (
            &["yield", "--group", "51"],
            "/contact/yield?group=51",
            "409",
            "nobody",
            4,
        ),
        (
            &["yield", "--group", "51", "--force"],
            "/contact/yield?group=51&force=yes",
            "500",
            "no answer",
            5,
        ),
        (
            &["yield", "--force"],
            "/contact/yield?force=yes",
            "200",
            "done",
            0,
        ),
        (
            &["resume", "--group", "9"],
            "/contact/resume?group=9",
            "404",
            "no such group",
            1,
        ),
    ];
    for (args, path, status, body, code) in cases {
        let args = [&["contact"], args].concat();
        let (ended, out, err, asked) = played(&args, status, &format!("{body}\n"));
        assert_eq!(asked, format!("POST {path} HTTP/1.1"));
        assert_eq!(ended, code, "{args:?}: {err}");
        let (full, empty) = if code == 0 { (out, err) } else { (err, out) };
        assert!(full.contains(body) && empty.is_empty(), "{full}");
        assert_eq!(full.contains("--force"), status == "409", "{full}");
    }
}

const STATUS: &str = r#"{
    "version": "9", "pid": 1, "uptime": 1.0, "state": "ready", "connections": 0,
    "policy": { "digest": "d", "file": null, "since": "now", "generation": 1 },
    "listeners": [], "routes": [], "pools": [],
    "contact": {
        "scheduling": "realtime",
        "contacts": [{ "group": "51/ipv4", "addresses": ["192.0.2.10/24"], "role": "active",
            "priority": 150, "holder": "this switch", "standbys": 1 }],
        "peers": [{ "address": "10.0.0.11", "state": "up", "policy": "same" }]
    }
}"#;

#[test]
fn the_status_is_shown_to_people_and_to_programs() {
    let (code, out, err, asked) = played(&["contact", "status"], "200", STATUS);
    assert_eq!(asked, "GET /status HTTP/1.1");
    assert_eq!(code, 0, "{err}");
    for part in [
        "group 51/ipv4",
        "active",
        "held by this switch",
        "10.0.0.11",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let (code, out, err, _) = played(&["contact", "status", "--json"], "200", STATUS);
    assert_eq!(code, 0, "{err}");
    let status: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(status["contacts"][0]["priority"], 150);
    let (code, out, err, _) = played(&["status"], "200", STATUS);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("contact 192.0.2.10/24  active"), "{out}");
    assert!(out.contains("peer 10.0.0.11  up"), "{out}");
}
