//! Servers that fail their clients while their checks pass, and how soon nobody is sent to them.
//! Each test tells its figures: `cargo test -p pointsman --test endtoend ejecting -- --nocapture`.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::crowd::{Crowd, Tally};
use crate::scripted::{Request, Scripted, ok};
use crate::support::*;

/// Clients that ask without a pause.
const CLIENTS: usize = 8;
/// Within this a server that fails everybody has to be out.
const SOON: Duration = Duration::from_secs(2);

/// Waits for these states of the first pool; how long that took.
#[track_caller]
fn until(switch: &Switch, states: &[&str]) -> Duration {
    let began = Instant::now();
    while switch.states() != states {
        assert!(began.elapsed() < PATIENCE, "{:?}", switch.states());
        std::thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

/// How many answers of each kind of failure there were.
fn failures(tally: &Tally, kind: &str) -> usize {
    let all = tally.failed.iter();
    all.filter(|failure| failure.starts_with(kind)).count()
}

fn tell(scenario: &str, out: Duration, back: Option<Duration>, tally: &Tally) {
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    say(&format!(
        "figures: {scenario}: out after {}, back {} after it was well again, {} of {} requests failed",
        ms(out),
        back.map_or("-".to_owned(), ms),
        tally.failed.len(),
        tally.failed.len() as u64 + tally.answered,
    ));
}

/// A pool of checked servers; who is out is so for a second at first.
fn quick(backends: &[&Backend], eject: &str) -> String {
    let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    policy(
        &addresses,
        &format!("{CHECKED}\neject = {{ for = \"1s\"{eject} }}"),
    )
}

fn backends(names: &[&str]) -> Vec<Backend> {
    names.iter().map(|name| Backend::start(name)).collect()
}

#[test]
fn a_server_that_answers_500_though_its_check_passes_is_soon_out_and_back_when_it_is_well() {
    let all = backends(&["one", "two", "three"]);
    let switch = Switch::start(&quick(&all.iter().collect::<Vec<_>>(), ""));
    switch.wait_for_states(&["up"; 3]);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    all[1].control.set_errors(1.0);
    let out = until(&switch, &["up", "ejected", "up"]);
    let status = switch.status();
    let ejection = &status["pools"][0]["backends"][1]["ejection"];
    assert_eq!(
        (&ejection["reason"], &ejection["times"]),
        (&"status".into(), &1.into())
    );
    all[1].control.set_errors(0.0);
    let back = until(&switch, &["up"; 3]);
    let served = all[1].control.requests();
    let before = served.load(Ordering::Relaxed);
    wait_until("it serves", || served.load(Ordering::Relaxed) > before + 20);
    let tally = crowd.end();
    tell("one of three answers 500", out, Some(back), &tally);
    assert!(out < SOON, "{out:?}");
    // Five in a row, and what was under way by then.
    assert!(tally.failed.len() <= 5 + CLIENTS, "{:?}", tally.failed);
    assert_eq!(
        failures(&tally, "500"),
        tally.failed.len(),
        "{:?}",
        tally.failed
    );
    let metrics = switch.admin("GET", "/metrics").1;
    for line in [
        "pointsman_ejections_total{pool=\"app\",reason=\"status\"} 1".to_owned(),
        format!(
            "pointsman_backend_transitions_total{{pool=\"app\",backend=\"{}\",from=\"up\",to=\"ejected\"}} 1",
            all[1].address
        ),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

/// A server that passes its checks; while `ill`, it takes requests and ends the connection.
fn resetting(name: &'static str, ill: &Arc<AtomicBool>) -> Scripted {
    let ill = ill.clone();
    Scripted::start(move |mut conn, log| {
        while let Some(request) = Request::read(&mut conn) {
            let check = request.start.contains("/healthz");
            if !check {
                log.add(request.start);
            }
            if !check && ill.load(Ordering::Relaxed) {
                return;
            }
            if conn.send(ok(name)).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_server_that_resets_connections_though_its_check_passes_costs_no_get() {
    let ill = Arc::new(AtomicBool::new(false));
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let three = resetting("three", &ill);
    let pool = format!("{CHECKED}\neject = {{ for = \"1s\" }}");
    let switch = Switch::start(&policy(&[one.address, two.address, three.address], &pool));
    switch.wait_for_states(&["up"; 3]);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    ill.store(true, Ordering::Relaxed);
    let out = until(&switch, &["up", "up", "ejected"]);
    ill.store(false, Ordering::Relaxed);
    let back = until(&switch, &["up"; 3]);
    let tally = crowd.end();
    tell("one of three resets", out, Some(back), &tally);
    assert!(out < SOON, "{out:?}");
    assert_eq!(tally.failed, [""; 0], "of {}", tally.answered);
}

#[test]
fn bodies_that_break_off_speak_against_a_server_as_well() {
    let short = Scripted::start(|mut conn, _| {
        if let Some(request) = Request::read(&mut conn) {
            let answer = match request.start.contains("/healthz") {
                true => ok("ok"),
                false => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".to_owned(),
            };
            let _ = conn.send(answer);
        }
    });
    let one = Backend::start("one");
    let switch = Switch::start(&policy(&[one.address, short.address], CHECKED));
    switch.wait_for_states(&["up", "up"]);
    for _ in 0..20 {
        let _ = Conn::open(switch.address("web")).get("/");
    }
    switch.wait_for_states(&["up", "ejected"]);
    let status = switch.status();
    let reason = &status["pools"][0]["backends"][1]["ejection"]["reason"];
    assert_eq!(reason, "truncated");
}

#[test]
fn the_last_server_is_never_out_and_4xx_say_nothing_of_a_server() {
    let one = Backend::start("one");
    let strict = Scripted::answering(|request| match request.start.contains("/healthz") {
        true => ok("ok"),
        false => "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    one.control.set_errors(1.0);
    for (server, code) in [(one.address, 500), (strict.address, 429)] {
        let switch = Switch::start(&policy(&[server], CHECKED));
        let mut conn = Conn::open(switch.address("web"));
        for _ in 0..30 {
            assert_eq!(conn.get("/").expect("an answer").status, code);
        }
        switch.wait_for_states(&["up"]);
    }
    let two = Backend::start("two");
    let switch = Switch::start(&policy(&[strict.address, two.address], CHECKED));
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..30 {
        conn.get("/").expect("an answer");
    }
    assert_eq!(switch.states(), ["up", "up"]);
}

#[test]
fn half_of_the_servers_may_be_out_and_the_other_half_serves() {
    let all = backends(&["one", "two", "three", "four"]);
    let switch = Switch::start(&quick(&all.iter().collect::<Vec<_>>(), ""));
    switch.wait_for_states(&["up"; 4]);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    for ill in &all[..2] {
        ill.control.set_errors(1.0);
    }
    let out = until(&switch, &["ejected", "ejected", "up", "up"]);
    for well in &all[..2] {
        well.control.set_errors(0.0);
    }
    let back = until(&switch, &["up"; 4]);
    let tally = crowd.end();
    tell("half of four answer 500", out, Some(back), &tally);
    assert!(out < SOON, "{out:?}");
    assert!(
        tally.failed.len() <= 2 * (5 + CLIENTS),
        "{:?}",
        tally.failed
    );
}

#[test]
fn with_every_server_ill_half_stay_in_and_all_are_back_when_they_are_well() {
    let all = backends(&["one", "two", "three", "four"]);
    let switch = Switch::start(&quick(&all.iter().collect::<Vec<_>>(), ""));
    switch.wait_for_states(&["up"; 4]);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    let ejected = |switch: &Switch| {
        let states = switch.states();
        states.iter().filter(|state| *state == "ejected").count()
    };
    let began = Instant::now();
    all.iter().for_each(|one| one.control.set_errors(1.0));
    wait_until("half are out", || ejected(&switch) == 2);
    let out = began.elapsed();
    // However long it lasts.
    let until_then = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until_then {
        assert!(ejected(&switch) <= 2, "{:?}", switch.states());
    }
    all.iter().for_each(|one| one.control.set_errors(0.0));
    let back = until(&switch, &["up"; 4]);
    let tally = crowd.end();
    tell(
        "all four answer 500 for half a second",
        out,
        Some(back),
        &tally,
    );
    assert_eq!(
        failures(&tally, "500"),
        tally.failed.len(),
        "nobody gets a 503"
    );
}

#[test]
fn a_server_that_flaps_every_second_is_out_for_longer_and_longer() {
    let all = backends(&["one", "two", "three"]);
    let switch = Switch::start(&quick(&all.iter().collect::<Vec<_>>(), ""));
    switch.wait_for_states(&["up"; 3]);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    let over = Arc::new(AtomicBool::new(false));
    let flapping = {
        let (over, control) = (over.clone(), all[1].control.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                control.set_errors(1.0);
                std::thread::sleep(Duration::from_secs(1));
                control.set_errors(0.0);
                std::thread::sleep(Duration::from_secs(1));
            }
        })
    };
    let out = until(&switch, &["up", "ejected", "up"]);
    let times = |switch: &Switch| {
        let ejection = &switch.status()["pools"][0]["backends"][1]["ejection"];
        ejection["times"].as_u64().unwrap_or(0)
    };
    wait_until("it is out for the second time in a row", || {
        times(&switch) >= 2
    });
    over.store(true, Ordering::Relaxed);
    flapping.join().expect("no panic");
    let back = until(&switch, &["up"; 3]);
    let tally = crowd.end();
    tell("one of three flaps every second", out, Some(back), &tally);
    assert!(out < SOON, "{out:?}");
    assert!(
        tally.failed.len() <= 4 * (5 + CLIENTS),
        "{}",
        tally.failed.len()
    );
}

#[test]
fn a_server_that_fails_every_second_request_is_found_by_its_share_of_errors() {
    let all = backends(&["one", "two", "three"]);
    let switch = Switch::start(&quick(&all.iter().collect::<Vec<_>>(), ", window = \"1s\""));
    switch.wait_for_states(&["up"; 3]);
    // Never five in a row: every second one is well.
    all[1].control.set_errors(0.5);
    let crowd = Crowd::start(CLIENTS, switch.address("web"), "/");
    let out = until(&switch, &["up", "ejected", "up"]);
    let status = switch.status();
    let reason = &status["pools"][0]["backends"][1]["ejection"]["reason"];
    assert_eq!(reason, "ratio");
    let tally = crowd.end();
    tell("one of three fails half of its requests", out, None, &tally);
}

#[test]
fn without_eject_nobody_is_out() {
    let all = backends(&["one", "two"]);
    let addresses = [all[0].address, all[1].address];
    let pool = format!("{CHECKED}\neject = false");
    let switch = Switch::start(&policy(&addresses, &pool));
    switch.wait_for_states(&["up", "up"]);
    all[0].control.set_errors(1.0);
    let mut conn = Conn::open(switch.address("web"));
    let answers: Vec<u16> = (0..40).map(|_| conn.get("/").unwrap().status).collect();
    assert_eq!(answers.iter().filter(|code| **code == 500).count(), 20);
    assert_eq!(switch.states(), ["up", "up"]);
}

#[test]
fn a_tcp_server_that_resets_every_connection_is_out() {
    let resetting = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = resetting.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in resetting.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            });
        }
    });
    let one = Backend::start("one");
    let text = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n\
         [pool.app]\nbackends = [\"{}\", \"{address}\"]\nhealth = {{ interval = \"250ms\" }}\n",
        one.address
    );
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "up"]);
    for _ in 0..20 {
        let _ = get(switch.address("web"), "/");
    }
    switch.wait_for_states(&["up", "ejected"]);
    for _ in 0..10 {
        assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    }
}

#[test]
fn a_reload_leaves_who_is_out_where_it_is() {
    let all = backends(&["one", "two"]);
    let text = policy(&[all[0].address, all[1].address], CHECKED);
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "up"]);
    all[1].control.set_errors(1.0);
    let mut conn = Conn::open(switch.address("web"));
    (0..30).for_each(|_| drop(conn.get("/")));
    switch.wait_for_states(&["up", "ejected"]);
    let until = |switch: &Switch| {
        let status = switch.status();
        let until = &status["pools"][0]["backends"][1]["ejection"]["until"];
        until.as_str().map(|text| text[..19].to_owned())
    };
    let before = until(&switch);
    switch.rewrite(&text.replace("[[route]]", "[[route]]\ntimeout = \"9s\""));
    assert_eq!(switch.admin("POST", "/reload").0, 200);
    assert_eq!(switch.states(), ["up", "ejected"]);
    assert!(before.is_some() && until(&switch).is_some());
}
