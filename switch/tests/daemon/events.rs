use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::support::*;

/// `pointsman events -f --json`, and what it has printed.
struct Follower {
    child: Child,
    lines: Receiver<Value>,
}

impl Follower {
    fn start(switch: &Switch) -> Self {
        let admin = switch.admin_word();
        let mut command = pointsman(&["events", "-f", "--json", "--admin", &admin]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let out = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("each line is an event");
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next event of this word.
    #[track_caller]
    fn next(&self, word: &str) -> Value {
        loop {
            let event = self.lines.recv_timeout(PATIENCE);
            let event = event.unwrap_or_else(|_| panic!("{word} is not told"));
            if event["event"] == word {
                return event;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn several_follow_what_happens() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = policy(&[one.address, two.address], CHECKED);
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "up"]);
    let followers = [Follower::start(&switch), Follower::start(&switch)];
    two.control.kill();
    for follower in &followers {
        let mut event = follower.next("backend-health");
        while event["about"]["state"] != "down" {
            event = follower.next("backend-health");
        }
        assert_eq!(event["about"]["backend"], two.address.to_string());
        assert_eq!(event["level"], "warning");
    }
    switch.rewrite(&text.replace("backends", "backend"));
    assert_eq!(switch.reload(), 1);
    switch.rewrite(&text);
    assert_eq!(switch.reload(), 0);
    let name = format!("app/{}", two.address);
    run(&[
        "backend",
        "drain",
        &name,
        "--why",
        "broken",
        "--admin",
        &switch.admin_word(),
    ]);
    for follower in &followers {
        let refused = follower.next("reload-refused");
        assert!(
            refused["text"]
                .as_str()
                .expect("a text")
                .contains("p.toml:")
        );
        follower.next("reload");
        let order = follower.next("overlay");
        assert!(order["text"].as_str().expect("a text").contains("broken"));
    }
}

#[test]
fn one_that_reads_nothing_holds_nobody_up_and_is_told_what_it_has_missed() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], ""));
    let socket = switch.folder.path().join("admin.sock");
    let mut slow = UnixStream::connect(socket).expect("it listens");
    slow.set_read_timeout(Some(PATIENCE)).expect("a time");
    let request = "GET /events?follow=yes HTTP/1.1\r\nHost: localhost\r\n\r\n";
    slow.write_all(request.as_bytes()).expect("sent");
    let why = "x".repeat(200);
    let path = format!("/backend/drain?pool=app&backend={}&why={why}", one.address);
    // More than the ring and all buffers on the way hold.
    for _ in 0..4000 {
        assert_eq!(switch.admin("POST", &path).0, 200);
    }
    let mut lines = BufReader::new(slow).lines();
    let mut head = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    assert!(
        head.contains(&"transfer-encoding: chunked".to_owned()),
        "{head:?}"
    );
    let missed = lines
        .map_while(Result::ok)
        .find(|line| line.contains("\"missed\""));
    assert!(missed.is_some(), "it is told that events are missing");
}

#[test]
fn events_are_shown_to_people_and_by_their_time() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address], ""));
    assert_eq!(switch.reload(), 0);
    let admin = switch.admin_word();
    let (code, out, _) = run(&["events", "--admin", &admin]);
    assert_eq!(code, 0);
    assert!(out.contains("reload") && out.contains("in force"), "{out}");
    let (code, out, _) = run(&["events", "--since", "1h", "--json", "--admin", &admin]);
    let events = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let is_reload = |event: &Value| event["event"] == "reload";
    assert_eq!((code, events.filter(is_reload).count()), (0, 1), "{out}");
    let later = switch.admin("GET", "/events?since=2999-01-01T00:00:00.000Z");
    assert_eq!(later.0, 200);
    assert_eq!(
        later.1.trim(),
        "0",
        "no chunk has anything in it: {}",
        later.1
    );
}
