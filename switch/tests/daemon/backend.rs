//! What an operator lays over the policy by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::support::*;

/// `pointsman backend` with these words, at this switch.
#[track_caller]
fn backend(switch: &Switch, words: &[&str]) -> (i32, String, String) {
    let admin = switch.admin_word();
    run(&[&["backend"], words, &["--admin", &admin]].concat())
}

/// Requests on kept and on new connections until it is told to end: how many failed, and how many
/// there were.
struct Load {
    end: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Load {
    fn start(address: std::net::SocketAddr) -> Self {
        let (end, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let one = |keeps: bool| {
            let (end, sent) = (end.clone(), sent.clone());
            std::thread::spawn(move || {
                let (mut failed, mut kept) = (0, Kept::open(address));
                while !end.load(Ordering::Relaxed) {
                    let path = "/delay/5ms";
                    let good = match keeps {
                        true => kept.get(path).is_ok(),
                        false => get(address, path).0 == 200,
                    };
                    failed += u64::from(!good);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                failed
            })
        };
        let threads = [true, true, false, false].map(one).into();
        Self { end, sent, threads }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many failed.
    fn end(self) -> u64 {
        self.end.store(true, Ordering::Relaxed);
        let failed = self.threads.into_iter().map(|thread| thread.join());
        failed.map(|failed| failed.expect("it ends")).sum()
    }
}

fn requests(switch: &Switch, place: usize) -> u64 {
    let backends = &switch.status()["pools"][0]["backends"];
    backends[place]["requests"].as_u64().expect("a number")
}

#[test]
fn draining_under_load_loses_no_request_and_sends_no_new_one() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    let name = format!("app/{}", one.address);
    let load = Load::start(switch.address("web"));
    for _ in 0..5 {
        let words = [
            "drain",
            &name,
            "--wait",
            "--timeout",
            "10s",
            "--why",
            "deploy",
        ];
        let (code, out, err) = backend(&switch, &words);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("draining") && out.contains("deploy"), "{out}");
        assert!(err.trim_end().ends_with("0 under way"), "{err}");
        assert_eq!(switch.states()[0], "draining");
        let (taken, sent) = (requests(&switch, 0), load.sent());
        wait_until("others are served", || load.sent() > sent + 50);
        assert_eq!(requests(&switch, 0), taken, "nothing new");
        let (code, out, err) = backend(&switch, &["enable", &name]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("as in the policy"), "{out}");
        wait_until("it serves again", || requests(&switch, 0) > taken);
    }
    assert_eq!(load.end(), 0, "no request fails");
}

#[test]
fn the_last_one_is_not_taken_out_unless_forced() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address, free_address()], CHECKED));
    switch.wait_for_states(&["up", "down"]);
    let name = format!("app/{}", one.address);
    let orders: [&[&str]; 3] = [
        &["drain", &name],
        &["disable", &name],
        &["weight", &name, "0"],
    ];
    for words in orders {
        let (code, out, err) = backend(&switch, words);
        assert_eq!((code, out.as_str()), (4, ""), "{err}");
        assert!(err.contains("--force"), "{err}");
        assert_eq!(switch.get("/").0, 200);
    }
    let (code, _, err) = backend(&switch, &["drain", &name, "--force"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(switch.get("/").0, 503);
}

#[test]
fn what_is_not_there_is_told_with_1_and_nonsense_with_2() {
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address], ""));
    let (code, _, err) = backend(&switch, &["drain", "app/nobody"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains(&one.address.to_string()),
        "it tells which: {err}"
    );
    assert_eq!(backend(&switch, &["drain", "ap/nobody"]).0, 1);
    assert_eq!(backend(&switch, &["drain", "nobody"]).0, 2);
    assert_eq!(backend(&switch, &["weight", "app/x", "1001"]).0, 2);
    let free = free_address().to_string();
    assert_eq!(run(&["backend", "list", "--admin", &free]).0, 3);
}

#[test]
fn an_order_ends_by_itself_and_outlives_reloads_meanwhile() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = policy(&[one.address, two.address], CHECKED);
    let switch = Switch::start(&text);
    let name = format!("app/{}", one.address);
    let words = ["drain", &name, "--for", "3s", "--json"];
    let (code, out, err) = backend(&switch, &words);
    assert_eq!(code, 0, "{err}");
    let done: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(done["duty"], "draining");
    assert!(done["until"].is_string(), "{out}");
    switch.rewrite(&format!("{text}# another one\n"));
    assert_eq!(switch.reload(), 0);
    if switch.states()[0] != "draining" {
        skip(
            "an order outlives reloads",
            "this machine is too slow for it",
        );
    }
    wait_until("it has ended", || switch.states()[0] == "up");
    let (_, events, _) = run(&["events", "--admin", &switch.admin_word()]);
    assert!(events.contains("overlay-ended"), "{events}");
    assert_eq!(switch.status()["overlay"], Value::Array(Vec::new()));
}

#[test]
fn status_list_and_metrics_tell_who_was_taken_out_and_why() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], CHECKED));
    let (first, second) = (
        format!("app/{}", one.address),
        format!("app/{}", two.address),
    );
    backend(
        &switch,
        &["drain", &first, "--for", "1h", "--why", "kernel update"],
    );
    backend(&switch, &["weight", &second, "7"]);
    for command in [&["status"][..], &["backend", "list"][..]] {
        let (code, out, _) = run(&[command, &["--admin", &switch.admin_word()]].concat());
        assert_eq!(code, 0);
        for part in [
            "draining",
            "kernel update",
            "until 2",
            "weight 7",
            "weight    7",
        ] {
            assert!(out.contains(part), "{part} is not in\n{out}");
        }
    }
    let (_, out, _) = backend(&switch, &["list", "--json"]);
    let list: Value = serde_json::from_str(&out).expect("JSON");
    let orders = list["overlay"].as_array().expect("a list");
    let drain = orders.iter().find(|order| order["order"] == "drain");
    assert_eq!(drain.expect("it is there")["why"], "kernel update");
    assert_eq!(list["pools"][0]["backends"][0]["health"], "up");
    let metrics = switch.admin("GET", "/metrics").1;
    let state = |name: &str, state: &str, value: u8| {
        format!(
            "pointsman_backend_state{{pool=\"app\",backend=\"{name}\",state=\"{state}\"}} {value}"
        )
    };
    let (one, two) = (one.address.to_string(), two.address.to_string());
    for line in [
        state(&one, "draining", 1),
        state(&one, "up", 0),
        state(&two, "draining", 0),
        state(&two, "up", 1),
        format!("pointsman_backend_weight{{pool=\"app\",backend=\"{two}\"}} 7"),
        format!("pointsman_backend_up{{pool=\"app\",backend=\"{one}\"}} 1"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn disabling_closes_tcp_connections_and_draining_leaves_them() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = format!(
        "[listener.raw]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n{}",
        policy(&[one.address, two.address], CHECKED)
    );
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "up"]);
    let raw = switch.address("raw");
    let mut streams: Vec<TcpStream> = (0..4)
        .map(|_| {
            let stream = TcpStream::connect(raw).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time");
            stream
        })
        .collect();
    let ask = |stream: &mut TcpStream| {
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0)
    };
    assert!(streams.iter_mut().all(ask), "all of them stand");
    let name = format!("app/{}", one.address);
    assert_eq!(backend(&switch, &["drain", &name]).0, 0);
    assert!(streams.iter_mut().all(ask), "draining leaves them");
    assert_eq!(backend(&switch, &["disable", &name]).0, 0);
    wait_until("those of the first backend are closed", || {
        switch.status()["pools"][0]["backends"][0]["in_flight"] == 0
    });
    let left: usize = streams
        .iter_mut()
        .map(|stream| usize::from(ask(stream)))
        .sum();
    assert_eq!(left, 2, "the others stand");
}

#[test]
fn an_order_whose_backend_leaves_the_policy_is_told_of_and_waits() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let switch = Switch::start(&policy(&[one.address, two.address], ""));
    let name = format!("app/{}", one.address);
    assert_eq!(backend(&switch, &["drain", &name]).0, 0);
    switch.rewrite(&policy(&[two.address], ""));
    assert_eq!(switch.reload(), 0);
    let (_, events, _) = run(&["events", "--admin", &switch.admin_word()]);
    assert!(events.contains("overlay-stray"), "{events}");
    let (_, list, _) = backend(&switch, &["list"]);
    assert!(list.contains("no such backend now"), "{list}");
    switch.rewrite(&policy(&[one.address, two.address], ""));
    assert_eq!(switch.reload(), 0);
    assert_eq!(switch.states()[0], "draining");
    assert_eq!(backend(&switch, &["enable", &name]).0, 0);
    assert_eq!(switch.states()[0], "up");
}
