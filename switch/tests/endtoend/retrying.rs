//! What `retry` says beyond its defaults, its budget, and deadlines that are passed on.

use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::scripted::{Request, Scripted, ok};
use crate::support::*;

/// A policy whose route says this.
fn routed(servers: &[std::net::SocketAddr], route: &str) -> String {
    // Checks keep servers in that fail in other ways than by refusing connections.
    policy(servers, "health = { interval = \"10s\" }\neject = false")
        .replace("[[route]]", &format!("[[route]]\n{route}"))
}

fn unavailable(name: &'static str) -> Scripted {
    Scripted::answering(move |_| {
        format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{name}",
            name.len()
        )
    })
}

#[test]
fn an_answer_that_the_policy_names_leads_to_another_server() {
    let (ill, well) = (unavailable("ill"), Scripted::answering(|_| ok("well")));
    let servers = [ill.address, well.address];
    let switch = Switch::start(&routed(&servers, "retry = { on = [\"503\"] }"));
    switch.wait_for_states(&["up", "up"]);
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..10 {
        assert_eq!(conn.get("/").unwrap().text(), "well");
    }
    assert!(!ill.log.lines().is_empty(), "the ill one was asked");
    let posted: Vec<u16> = (0..10)
        .map(|_| conn.post("/", "x").unwrap().status)
        .collect();
    assert!(
        posted.contains(&503),
        "a POST is not sent twice: {posted:?}"
    );
}

#[test]
fn when_all_servers_are_ill_the_last_answer_is_passed_on() {
    let (one, two) = (unavailable("ill"), unavailable("ill"));
    let servers = [one.address, two.address];
    let switch = Switch::start(&routed(&servers, "retry = { on = [\"5xx\"] }"));
    switch.wait_for_states(&["up", "up"]);
    let answer = Conn::open(switch.address("web")).get("/").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (503, "ill"));
    let tries = [&one, &two].map(|server| server.log.lines().len());
    assert_eq!(tries, [1, 1]);
}

#[test]
fn a_silent_server_loses_a_get_to_another_after_the_time_of_one_try() {
    let silent = Scripted::start(|mut conn, _| {
        let _ = conn.rest();
    });
    let well = Scripted::answering(|_| ok("well"));
    let servers = [silent.address, well.address];
    let switch = Switch::start(&routed(&servers, "retry = { per_try = \"200ms\" }"));
    switch.wait_for_states(&["up", "up"]);
    let began = Instant::now();
    for _ in 0..4 {
        let answer = Conn::open(switch.address("web")).get("/").unwrap();
        assert_eq!(answer.text(), "well");
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(200),
        "the silent one was asked"
    );
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_post_is_not_cut_off_by_the_time_of_one_try() {
    let slow = Scripted::answering(|_| {
        std::thread::sleep(Duration::from_millis(500));
        ok("done")
    });
    let switch = Switch::start(&routed(&[slow.address], "retry = { per_try = \"50ms\" }"));
    let answer = Conn::open(switch.address("web")).post("/", "1").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(slow.log.lines().len(), 1);
}

#[test]
fn without_any_word_in_on_nothing_is_tried_again() {
    let servers = [free_address(), free_address()];
    let switch = Switch::start(&routed(&servers, "retry = { on = [] }"));
    let answer = Conn::open(switch.address("web")).get("/").unwrap();
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(matches!(answer.status, 502 | 503), "{why}");
    let retries = "pointsman_retries_total{pool=\"app\",result=\"failure\"}";
    assert_eq!(switch.metric(retries), 0.0);
}

#[test]
fn tries_stay_within_the_budget_while_every_server_fails() {
    let dying = || {
        Scripted::start(|mut conn, log| {
            if let Some(request) = Request::read(&mut conn) {
                log.add(request.start);
            }
        })
    };
    let (one, two, three) = (dying(), dying(), dying());
    let servers = [one.address, two.address, three.address];
    let switch = Switch::start(&routed(&servers, "retry = { budget = \"10%\" }"));
    switch.wait_for_states(&["up", "up", "up"]);
    let address = switch.address("web");
    let (mut asked, began) = (0, Instant::now());
    while asked < 200 {
        assert!(matches!(get(address, "/").0, 502 | 503));
        asked += 1;
    }
    // Every ten seconds allow 30 more.
    let periods = 1 + began.elapsed().as_secs() / 10;
    let lines = [&one, &two, &three].map(|server| server.log.lines().len());
    let extra = lines.iter().sum::<usize>() as u64 - asked;
    assert!(
        extra <= asked / 10 + 30 * (periods + 1),
        "{extra} of {asked}"
    );
    assert!(extra >= 20, "{extra}: there is a budget");
    let exhausted = "pointsman_retry_budget_exhausted_total{pool=\"app\"}";
    assert!(switch.metric(exhausted) > 0.0);
}

#[test]
fn a_server_learns_how_long_it_has() {
    let server = Backend::start("one");
    let keys = "timeout = \"5s\"\ndeadline_header = \"X-Request-Timeout-Ms\"";
    let switch = Switch::start(&routed(&[server.address], keys));
    let mut conn = Conn::open(switch.address("web"));
    let mut told = |fields: &str| {
        let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let echoed = conn.ask(&request).unwrap().json();
        let fields = echoed["headers"].as_array().unwrap().clone();
        let find = move |name: &str| {
            let of_name = fields.iter().filter(|field| field[0] == name);
            let values: Vec<_> = of_name
                .map(|field| field[1].as_str().unwrap().to_owned())
                .collect();
            assert!(values.len() < 2, "{name}: {values:?}");
            values.first().cloned()
        };
        (find("x-request-timeout-ms"), find("grpc-timeout"))
    };
    let millis = |told: Option<String>| told.unwrap().parse::<u64>().unwrap();
    let (left, grpc) = told("");
    assert!((1..=5000).contains(&millis(left)));
    assert_eq!(grpc, None);
    let (left, _) = told("X-Request-Timeout-Ms: 1000\r\n");
    assert!(
        (1..=1000).contains(&millis(left)),
        "the client has less time"
    );
    let (left, _) = told("X-Request-Timeout-Ms: 100000\r\n");
    assert!(
        (1001..=5000).contains(&millis(left)),
        "it cannot ask for more"
    );
    let (left, grpc) = told("grpc-timeout: 2S\r\n");
    assert!((1..=2000).contains(&millis(left)));
    let grpc = grpc.unwrap();
    let shortened = grpc.strip_suffix('m').expect("milliseconds");
    assert!(shortened.parse::<u64>().unwrap() <= 2000, "{grpc}");
    let began = Instant::now();
    let late = conn
        .ask("GET /delay/10s HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 200m\r\n\r\n")
        .unwrap();
    assert_eq!(late.status, 504);
    assert!(began.elapsed() < Duration::from_secs(4), "its time is kept");
}

#[test]
fn without_the_key_a_deadline_of_the_client_is_nobodys_business() {
    let server = Backend::start("one");
    let switch = Switch::start(&routed(&[server.address], "timeout = \"5s\""));
    let mut conn = Conn::open(switch.address("web"));
    let echoed = conn
        .ask("GET /echo HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 2S\r\n\r\n")
        .unwrap()
        .text();
    assert!(echoed.contains(r#"["grpc-timeout","2S"]"#), "{echoed}");
}
