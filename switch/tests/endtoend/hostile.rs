//! Clients that mean harm, seen from the servers behind and from the other clients.

use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::scripted::{Request, Scripted, ok};
use crate::support::{PATIENCE, Switch, policy, wait_until};

/// The policy with limits of a second for its route.
fn quick(servers: &[&Scripted]) -> String {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    policy(&addresses, "").replace(
        "[[route]]",
        "[[route]]\ntimeouts = { response = \"1s\" }\nretry = { attempts = 3 }",
    )
}

#[test]
fn a_client_that_never_sends_the_body_it_announced_is_itself_at_fault() {
    let server = Scripted::start(|mut conn, _| {
        while conn.line().is_ok_and(|line| !line.is_empty()) {}
        let _ = conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        conn.rest();
    });
    let switch = Switch::start(&quick(&[&server]));
    let mut conn = Conn::open(switch.address("web"));
    let answer =
        conn.ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, &answer.interim[..]), (408, &[100][..]));
    let why = answer.field("proxy-status").expect("a reason");
    assert!(why.contains("body_timeout"), "{why}");
}

#[test]
fn a_request_that_got_an_interim_answer_goes_to_no_second_server() {
    let hinting = || {
        Scripted::start(|mut conn, log| {
            if let Some(request) = Request::read(&mut conn) {
                log.add(request.start);
                let _ = conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            }
        })
    };
    let (one, two) = (hinting(), hinting());
    let switch = Switch::start(&quick(&[&one, &two]));
    let answer = Conn::open(switch.address("web"))
        .get("/")
        .expect("an answer");
    assert_eq!((answer.status, &answer.interim[..]), (502, &[103][..]));
    assert_eq!(one.log.lines().len() + two.log.lines().len(), 1);
}

#[test]
fn a_kept_connection_that_dies_after_an_interim_answer_is_not_taken_for_a_stale_one() {
    let server = Scripted::start(|mut conn, log| {
        while let Some(request) = Request::read(&mut conn) {
            log.add(request.start.clone());
            if request.start.contains("/die") {
                let _ = conn.send("HTTP/1.1 103 Early Hints\r\n\r\n");
                return;
            }
            let _ = conn.send(ok("fine"));
        }
    });
    let switch = Switch::start(&quick(&[&server]));
    let mut conn = Conn::open(switch.address("web"));
    // Every worker may keep a connection of its own; this client stays with one.
    assert_eq!(conn.get("/").expect("an answer").status, 200);
    assert_eq!(conn.get("/die").expect("an answer").status, 502);
    let died = server
        .log
        .lines()
        .iter()
        .filter(|line| line.contains("/die"))
        .count();
    assert_eq!(died, 1);
}

#[test]
fn the_limit_of_the_whole_exchange_holds_while_no_connection_stands() {
    // A full queue of connections: the kernel answers to no more.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    full.bind(&any.into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    wait_until("the queue is full", || {
        let one = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let was_full = one.is_err();
        queued.extend(one);
        was_full
    });
    let policy = policy(&[address], "timeouts = { connect = \"10s\" }");
    let policy = policy.replace("[[route]]", "[[route]]\ntimeouts = { total = \"500ms\" }");
    let switch = Switch::start(&policy);
    let began = Instant::now();
    let answer = Conn::open(switch.address("web"))
        .get("/")
        .expect("an answer");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let why = answer.field("proxy-status").expect("a reason");
    assert!(
        answer.status == 504 && why.contains("total_timeout"),
        "{why}"
    );
}

#[test]
fn names_with_underscores_say_nothing_of_who_the_client_is() {
    let server = Scripted::start(|mut conn, log| {
        while let Some(request) = Request::read(&mut conn) {
            log.add(format!("{:?}", request.fields).to_ascii_lowercase());
            let _ = conn.send(ok("fine"));
        }
    });
    let switch = Switch::start(&quick(&[&server]));
    let mut conn = Conn::open(switch.address("web"));
    let answer = conn.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 10.9.8.7\r\n\
         X-Forwarded_Proto: gopher\r\nContent_Length: 77\r\nMy_Own: kept\r\n\r\n",
    );
    assert_eq!(answer.expect("an answer").status, 200);
    let got = server.log.lines().join("");
    for word in ["10.9.8.7", "gopher", "77"] {
        assert!(!got.contains(word), "{word} went up: {got}");
    }
    assert!(got.contains("my_own"), "{got}");
}

#[test]
fn a_client_that_asks_without_end_and_reads_nothing_is_held_up_and_harms_nobody() {
    let server = Scripted::answering(|_| ok(&"x".repeat(8000)));
    let switch = Switch::start(&quick(&[&server]));
    let address = switch.address("web");
    let greedy = Conn::open(address);
    let stream = greedy.0.get_ref();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let mut sent = 0usize;
    while sent < 200 << 20 {
        match std::io::Write::write(&mut &*stream, ask.as_bytes()) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent < 100 << 20, "{sent} bytes of requests were taken");
    let began = Instant::now();
    for _ in 0..20 {
        let answer = Conn::open(address).get("/").expect("an answer");
        assert_eq!(answer.status, 200);
    }
    assert!(began.elapsed() < PATIENCE);
}
