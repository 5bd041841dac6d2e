//! What a server may have under way, and the queue of those beyond.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Answer, Conn};
use crate::scripted::{Request, Scripted, ok};
use crate::support::*;

const QUEUED: &str = "pointsman_queue_length{pool=\"app\"}";

fn limited(servers: &[SocketAddr], pool: &str) -> Switch {
    Switch::start(&policy(servers, pool))
}

fn served(server: &Backend) -> u64 {
    server.control.requests().load(Ordering::Relaxed)
}

/// A request that the server works on until the connection is dropped or the time is over.
fn hold(switch: &Switch, server: &Backend) -> Conn {
    let before = served(server);
    let mut conn = Conn::open(switch.address("web"));
    conn.send("GET /delay/60s HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    wait_until("the server is at work", || served(server) > before);
    conn
}

/// So many clients that wait for an answer, each in a thread.
fn ask(address: SocketAddr, clients: usize) -> Vec<std::thread::JoinHandle<Answer>> {
    let one = |_| std::thread::spawn(move || Conn::open(address).get("/").unwrap());
    (0..clients).map(one).collect()
}

fn statuses(clients: Vec<std::thread::JoinHandle<Answer>>) -> Vec<u16> {
    let status = |client: std::thread::JoinHandle<Answer>| client.join().unwrap().status;
    clients.into_iter().map(status).collect()
}

#[test]
fn no_server_has_more_under_way_than_its_limit_and_all_are_served_in_the_end() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, peak) = (now.clone(), most.clone());
    let server = Scripted::answering(move |_| {
        peak.fetch_max(seen.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(10));
        seen.fetch_sub(1, Ordering::SeqCst);
        ok("done")
    });
    let keys = "limit = { requests = 3 }\nqueue = { size = 100, timeout = \"1m\" }";
    let text = format!(
        "[process]\nworkers = 2\n{}",
        policy(&[server.address], keys)
    );
    let switch = Switch::start(&text);
    let clients = ask(switch.address("web"), 60);
    assert!(statuses(clients).iter().all(|status| *status == 200));
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(switch.metric(QUEUED), 0.0);
    let waited = "pointsman_queue_duration_seconds_count{pool=\"app\"}";
    assert!(switch.metric(waited) > 0.0);
}

#[test]
fn a_server_at_its_limit_is_passed_over_while_another_has_room() {
    for balance in ["round-robin", "random", "least-request", "hash"] {
        let (one, two) = (Backend::start("one"), Backend::start("two"));
        let keys = format!("balance = \"{balance}\"\nlimit = {{ requests = 1 }}");
        let switch = limited(&[one.address, two.address], &keys);
        let mut first = Conn::open(switch.address("web"));
        first
            .send("GET /delay/60s HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let busy = || [&one, &two].map(served);
        wait_until("one is at work", || busy() != [0, 0]);
        let free = if busy()[0] == 0 { "one\n" } else { "two\n" };
        let mut conn = Conn::open(switch.address("web"));
        for _ in 0..10 {
            assert_eq!(conn.get("/").unwrap().text(), free, "{balance}");
        }
        assert_eq!(switch.metric("pointsman_queue_duration_seconds_count"), 0.0);
    }
}

#[test]
fn beyond_the_queue_the_answer_is_503_at_once_and_says_why() {
    let server = Backend::start("one");
    let keys = "limit = { requests = 1 }\nqueue = { size = 0 }";
    let switch = limited(&[server.address], keys);
    let _held = hold(&switch, &server);
    let mut conn = Conn::open(switch.address("web"));
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        let answer = conn.get("/").unwrap();
        times.push(began.elapsed());
        assert_eq!(answer.status, 503);
        assert!(answer.field("retry-after").is_some());
        assert!(answer.field("proxy-status").unwrap().contains("queue_full"));
    }
    times.sort();
    assert!(times[25] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn whoever_waits_for_too_long_gets_503_and_is_counted() {
    let server = Backend::start("one");
    let keys = "limit = { requests = 1 }\nqueue = { timeout = \"200ms\" }";
    let switch = limited(&[server.address], keys);
    let _held = hold(&switch, &server);
    let began = Instant::now();
    let answer = Conn::open(switch.address("web")).get("/").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(answer.status, 503);
    let why = answer.field("proxy-status").unwrap();
    assert!(why.contains("queue_timeout"), "{why}");
    assert_eq!(
        switch.metric("pointsman_queue_timeouts_total{pool=\"app\"}"),
        1.0
    );
    assert_eq!(switch.metric(QUEUED), 0.0);
}

#[test]
fn clients_that_leave_the_queue_free_their_places() {
    let server = Backend::start("one");
    let keys = "limit = { requests = 1 }\nqueue = { size = 40, timeout = \"1m\" }";
    let switch = limited(&[server.address], keys);
    let held = hold(&switch, &server);
    for _ in 0..3 {
        let leavers: Vec<Conn> = (0..40)
            .map(|_| {
                let mut conn = Conn::open(switch.address("web"));
                conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                conn
            })
            .collect();
        wait_until("the queue is full", || switch.metric(QUEUED) == 40.0);
        let refused = Conn::open(switch.address("web")).get("/").unwrap();
        assert_eq!(refused.status, 503);
        drop(leavers);
        wait_until("the queue is empty", || switch.metric(QUEUED) == 0.0);
    }
    let clients = ask(switch.address("web"), 1);
    wait_until("one waits", || switch.metric(QUEUED) == 1.0);
    assert_eq!(served(&server), 1, "no request of a leaver came through");
    drop(held);
    assert_eq!(
        statuses(clients),
        [200],
        "the leavers' places were no places"
    );
}

#[test]
fn a_reload_that_allows_more_lets_those_in_who_wait() {
    let server = Backend::start("one");
    for more in ["limit = { requests = 2 }", ""] {
        let queue = "queue = { timeout = \"1m\" }";
        let keys = format!("limit = {{ requests = 1 }}\n{queue}");
        let switch = limited(&[server.address], &keys);
        let _held = hold(&switch, &server);
        let clients = ask(switch.address("web"), 3);
        wait_until("they wait", || switch.metric(QUEUED) == 3.0);
        let keys = if more.is_empty() { "" } else { queue };
        switch.rewrite(&policy(&[server.address], &format!("{more}\n{keys}")));
        assert_eq!(switch.admin("POST", "/reload").0, 200);
        assert_eq!(statuses(clients), [200; 3], "with {more:?}");
    }
}

#[test]
fn a_reload_that_allows_less_holds_for_what_comes_then() {
    let server = Backend::start("one");
    let queue = "queue = { size = 0 }";
    let switch = limited(
        &[server.address],
        &format!("limit = {{ requests = 5 }}\n{queue}"),
    );
    let _held: Vec<Conn> = (0..3).map(|_| hold(&switch, &server)).collect();
    switch.rewrite(&policy(
        &[server.address],
        &format!("limit = {{ requests = 2 }}\n{queue}"),
    ));
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    assert_eq!(switch.get("/").0, 503);
}

#[test]
fn a_server_that_comes_back_serves_although_others_wait_for_the_rest() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    two.control.set_healthy(false);
    let keys = format!("{CHECKED}\nlimit = {{ requests = 1 }}\nqueue = {{ timeout = \"1m\" }}");
    let switch = limited(&[one.address, two.address], &keys);
    switch.wait_for_states(&["up", "down"]);
    let held = hold(&switch, &one);
    let clients = ask(switch.address("web"), 2);
    wait_until("they wait", || switch.metric(QUEUED) == 2.0);
    two.control.set_healthy(true);
    switch.wait_for_states(&["up", "up"]);
    assert_eq!(
        switch.get("/"),
        (200, "two\n".to_owned()),
        "it need not wait"
    );
    drop(held);
    assert_eq!(statuses(clients), [200, 200]);
}

#[test]
fn tcp_connections_beyond_the_limit_wait_for_one_to_end() {
    let server = Scripted::start(|mut conn, log| {
        while let Ok(line) = conn.line() {
            log.add(line);
            let _ = conn.send("heard\n");
        }
    });
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n[pool.app]\n\
         backends = [\"{}\"]\nlimit = {{ requests = 1 }}\nqueue = {{ timeout = \"1m\" }}\n",
        server.address
    );
    let switch = Switch::start(&text);
    let open = || Conn::open(switch.address("web"));
    let mut first = open();
    first.send("one\n").unwrap();
    assert_eq!(first.line().unwrap(), "heard");
    let leaver = open();
    wait_until("one waits", || switch.metric(QUEUED) == 1.0);
    drop(leaver);
    wait_until("it has left", || switch.metric(QUEUED) == 0.0);
    let mut second = open();
    second.send("two\n").unwrap();
    wait_until("another one waits", || switch.metric(QUEUED) == 1.0);
    assert_eq!(server.log.lines(), ["one"]);
    drop(first);
    assert_eq!(second.line().unwrap(), "heard");
}

#[test]
fn an_upgrade_lets_those_who_wait_be_served() {
    let server = Scripted::answering(|request: &Request| {
        if request.start.contains("/slow") {
            std::thread::sleep(Duration::from_secs(2));
        }
        ok("done")
    });
    let keys = "limit = { requests = 1 }\nqueue = { timeout = \"1m\" }";
    let switch = limited(&[server.address], keys);
    let address = switch.address("web");
    let slow = std::thread::spawn(move || Conn::open(address).get("/slow").unwrap());
    wait_until("it is at work", || !server.log.lines().is_empty());
    let clients = ask(address, 5);
    wait_until("they wait", || switch.metric(QUEUED) == 5.0);
    assert_eq!(switch.admin("POST", "/upgrade").0, 200);
    assert_eq!(slow.join().unwrap().status, 200);
    assert_eq!(statuses(clients), [200; 5]);
    assert_eq!(get(address, "/").0, 200);
    // The successor is no child of this test, and would outlive it.
    let pid = switch.status()["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A server that answers slowly, and the most connections that it had open at once. One beyond
/// `expected` may be there before the end of another one is seen.
fn counting_connections(expected: usize) -> (Scripted, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let server = Scripted::start(move |mut conn, _| {
        now.fetch_add(1, Ordering::SeqCst);
        let opened = Instant::now();
        while now.load(Ordering::SeqCst) > expected && opened.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(1));
        }
        peak.fetch_max(now.load(Ordering::SeqCst), Ordering::SeqCst);
        while Request::read(&mut conn).is_some() {
            std::thread::sleep(Duration::from_millis(3));
            if conn.send(ok("done")).is_err() {
                break;
            }
        }
        now.fetch_sub(1, Ordering::SeqCst);
    });
    (server, most)
}

#[test]
fn unused_connections_count_and_are_given_up_to_the_worker_that_needs_them() {
    for connections in [1, 3] {
        let (server, most) = counting_connections(connections);
        let keys = format!(
            "limit = {{ connections = {connections} }}\nqueue = {{ size = 100, timeout = \"1m\" }}\n\
             health = false"
        );
        let text = policy(&[server.address], &keys);
        let switch = Switch::start(&format!("[process]\nworkers = 2\n{text}"));
        // Each client is a new connection, which either worker may get.
        for _ in 0..10 {
            let clients = ask(switch.address("web"), 10);
            assert!(statuses(clients).iter().all(|status| *status == 200));
        }
        assert_eq!(most.load(Ordering::SeqCst), connections);
    }
}

#[test]
fn a_client_waits_for_its_own_server_while_another_has_room() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let keys = "limit = { requests = 1 }\nqueue = { timeout = \"1m\" }\nsticky = { cookie = \"SRV\", key = \"a key that is long enough\" }";
    let switch = limited(&[one.address, two.address], keys);
    let mut conn = Conn::open(switch.address("web"));
    let first = conn.get("/").unwrap();
    let cookie = first.field("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let home = if first.text() == "one\n" { &one } else { &two };
    let before = served(home);
    let asked = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    let mut held = Conn::open(switch.address("web"));
    held.send(asked("/delay/60s")).unwrap();
    wait_until("its server is at work", || served(home) > before);
    let mut waits = Conn::open(switch.address("web"));
    waits.send(asked("/")).unwrap();
    wait_until("one waits", || switch.metric(QUEUED) == 1.0);
    drop(held);
    assert_eq!(waits.answer().unwrap().text(), first.text());
}
