//! A second server is asked when the first does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::paced::{self, Asked};
use crate::scripted::{Scripted, ok};
use crate::support::*;

fn hedged(servers: &[std::net::SocketAddr], retry: &str) -> Switch {
    let text = policy(servers, "health = { interval = \"10s\" }\neject = false")
        .replace("[[route]]", &format!("[[route]]\n{retry}"));
    Switch::start(&text)
}

/// Answers nothing, and notes how each connection ends.
fn stalled() -> Scripted {
    Scripted::start(|mut conn, log| {
        while let Ok(line) = conn.line() {
            if line.is_empty() {
                log.add("asked");
            }
        }
        log.add("ended");
    })
}

#[test]
fn the_first_answer_counts_and_the_other_try_is_broken_off() {
    let (slow, quick) = (stalled(), Scripted::answering(|_| ok("quick")));
    let switch = hedged(
        &[slow.address, quick.address],
        "retry = { hedge = \"50ms\" }",
    );
    switch.wait_for_states(&["up", "up"]);
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..6 {
        assert_eq!(conn.get("/").unwrap().text(), "quick");
    }
    let count = |word: &str| slow.log.lines().iter().filter(|line| *line == word).count();
    let asked = count("asked");
    assert!(asked >= 2, "{asked}");
    wait_until("all tries are broken off", || count("ended") >= asked);
    let won = "pointsman_hedges_total{pool=\"app\",result=\"won\"}";
    assert_eq!(switch.metric(won), asked as f64);
}

#[test]
fn what_is_not_safe_or_has_a_body_is_asked_once() {
    let slow = || {
        Scripted::answering(|_| {
            std::thread::sleep(Duration::from_millis(200));
            ok("done")
        })
    };
    let (one, two) = (slow(), slow());
    let switch = hedged(&[one.address, two.address], "retry = { hedge = \"20ms\" }");
    switch.wait_for_states(&["up", "up"]);
    let mut conn = Conn::open(switch.address("web"));
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(conn.ask(request).unwrap().status, 200);
    }
    assert_eq!(one.log.lines().len() + two.log.lines().len(), 3);
}

#[test]
fn a_first_server_that_fails_late_does_not_spoil_the_second_try() {
    let dying = Scripted::start(|mut conn, _| {
        while conn.line().is_ok_and(|line| !line.is_empty()) {}
        std::thread::sleep(Duration::from_millis(150));
    });
    let slow = Scripted::answering(|_| {
        std::thread::sleep(Duration::from_millis(400));
        ok("slow")
    });
    let switch = hedged(
        &[dying.address, slow.address],
        "retry = { hedge = \"50ms\" }",
    );
    switch.wait_for_states(&["up", "up"]);
    for _ in 0..4 {
        let answer = Conn::open(switch.address("web")).get("/").unwrap();
        assert_eq!(answer.text(), "slow");
    }
}

#[test]
fn with_every_server_stalled_hedges_stay_within_the_budget_and_clients_may_leave() {
    let servers = [stalled(), stalled(), stalled()];
    let addresses = servers.each_ref().map(|server| server.address);
    let switch = hedged(&addresses, "retry = { hedge = \"20ms\", budget = \"10%\" }");
    switch.wait_for_states(&["up", "up", "up"]);
    let clients: Vec<Conn> = (0..200)
        .map(|_| {
            let mut conn = Conn::open(switch.address("web"));
            conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            conn
        })
        .collect();
    let count = |word: &str| {
        let lines = servers.iter().flat_map(|server| server.log.lines());
        lines.filter(|line| line == word).count()
    };
    let exhausted = "pointsman_retry_budget_exhausted_total{pool=\"app\"}";
    wait_until("all were asked and the budget is spent", || {
        count("asked") >= 200 && switch.metric(exhausted) > 0.0
    });
    assert!(count("asked") <= 200 + 20 + 90, "{}", count("asked"));
    drop(clients);
    wait_until("every try is broken off", || {
        count("ended") >= count("asked")
    });
    let in_flight = || {
        let status = switch.admin("GET", "/metrics").1;
        let lines = status
            .lines()
            .filter(|line| line.starts_with("pointsman_backend_in_flight"));
        lines.filter(|line| !line.ends_with(" 0")).count()
    };
    wait_until("nothing is under way", || in_flight() == 0);
}

#[test]
fn a_quantile_hedges_about_its_share() {
    let server = || {
        Scripted::answering(|request| {
            // Spread over 20 ms by what differs between requests: the length of their field lines.
            let spread = request.start.len() as u64 % 20;
            std::thread::sleep(Duration::from_millis(5 + spread));
            ok("done")
        })
    };
    let (one, two) = (server(), server());
    let switch = hedged(
        &[one.address, two.address],
        "retry = { hedge = \"p90\", budget = \"50%\" }",
    );
    switch.wait_for_states(&["up", "up"]);
    let address = switch.address("web");
    let clients: Vec<_> = (0..4usize)
        .map(|client| {
            std::thread::spawn(move || {
                let mut conn = Conn::open(address);
                for n in 0..300 {
                    let path = format!("/{}", "x".repeat((n * 7 + client * 3) % 20));
                    assert_eq!(conn.get(&path).unwrap().status, 200);
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let hedges: f64 = ["won", "lost"]
        .map(|result| {
            let series = format!("pointsman_hedges_total{{pool=\"app\",result=\"{result}\"}}");
            switch.metric(&series)
        })
        .iter()
        .sum();
    assert!((1.0..400.0).contains(&hedges), "{hedges} of 1200");
}

/// Stops for `stall` at the beginning of every `period`.
fn pausing(period: Duration, stall: Duration) -> Scripted {
    let epoch = Arc::new(Instant::now());
    Scripted::answering(move |_| {
        let into = Duration::from_nanos((epoch.elapsed().as_nanos() % period.as_nanos()) as u64);
        std::thread::sleep(stall.saturating_sub(into));
        ok("done")
    })
}

const STALL: Duration = Duration::from_millis(400);

/// 500 requests a second to three servers, of which one stalls every four seconds, and how many
/// requests the servers got.
fn ask_with_one_stalling(retry: &str) -> (Vec<Asked>, usize) {
    let servers = [
        pausing(Duration::from_secs(4), STALL),
        Scripted::answering(|_| ok("done")),
        Scripted::answering(|_| ok("done")),
    ];
    let switch = hedged(&servers.each_ref().map(|server| server.address), retry);
    switch.wait_for_states(&["up", "up", "up"]);
    let asked = paced::ask(switch.address("web"), 100, 500.0, Duration::from_secs(8));
    let tries = servers.iter().map(|server| server.log.lines().len());
    (asked, tries.sum())
}

/// Whether hedging more than halves the time that two requests of a hundred exceed; prints figures.
fn hedging_helps() -> bool {
    let tail = |asked: &[Asked]| paced::quantile(asked.iter().map(|one| one.since_due), 0.999);
    let slow = |asked: &[Asked]| paced::quantile(asked.iter().map(|one| one.since_sent), 0.98);
    let (without, _) = ask_with_one_stalling("");
    let (with, tries) = ask_with_one_stalling("retry = { hedge = \"25ms\" }");
    let extra = tries as f64 / with.len() as f64 - 1.0;
    say(&format!(
        "hedging at 25 ms, one of three servers stalls for {STALL:?} every 4 s, {} requests: p99.9 \
         {:.1?} without, {:.1?} with; {:.1} % more requests",
        with.len(),
        tail(&without),
        tail(&with),
        extra * 100.0
    ));
    assert!(with.iter().all(|one| one.status == 200));
    // The budget allows no more, however many the machine is too slow for.
    assert!(extra <= 0.28, "{extra}");
    slow(&with) * 2 < slow(&without)
}

#[test]
fn hedging_cuts_the_tail_of_a_pool_with_one_server_that_stalls() {
    // A busy machine stalls by itself: then once more.
    assert!((0..3).any(|_| hedging_helps()));
}
