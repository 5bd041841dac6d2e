//! Messages and their bodies keep their shape on the way (RFC 9112).

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::scripted::{Request, Scripted, ok};
use crate::support::*;

/// A switch before one server, and a connection to it.
fn before(server: std::net::SocketAddr) -> (Switch, Conn) {
    let switch = Switch::start(&policy(&[server], ""));
    let conn = Conn::open(switch.address("web"));
    (switch, conn)
}

#[test]
fn chunks_travel_both_ways() {
    let server = Scripted::answering(|request| {
        let body = String::from_utf8_lossy(&request.body);
        let (one, two) = body.split_at(body.len() / 2);
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
            one.len(),
            two.len()
        )
    });
    let (_switch, mut conn) = before(server.address);
    for _ in 0..3 {
        conn.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        for part in ["5\r\nhello\r\n", "8;ext=1\r\n, world!\r\n", "0\r\n\r\n"] {
            conn.send(part).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = conn.answer().unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello, world!")
        );
    }
}

#[test]
fn bytes_are_passed_on_as_they_come_and_not_gathered() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    let began = Instant::now();
    conn.send("GET /stream?n=4&every=300ms HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(conn.head().unwrap().status, 200);
    conn.line().unwrap();
    assert_eq!(conn.line().unwrap(), "one");
    let first = began.elapsed();
    conn.rest_of_chunks();
    assert!(
        began.elapsed() >= Duration::from_millis(850),
        "the whole takes its time"
    );
    assert!(
        first < began.elapsed() / 2,
        "the first line comes early: {first:?}"
    );
}

impl Conn {
    fn rest_of_chunks(&mut self) {
        while self.line().expect("more") != "0" {}
        self.line().expect("the end");
    }
}

#[test]
fn head_204_and_304_have_no_body_and_leave_the_connection_usable() {
    let server = Scripted::answering(|request| match request.start.as_str() {
        "HEAD /head HTTP/1.1" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned(),
        "GET /204 HTTP/1.1" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "GET /304 HTTP/1.1" => {
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n".to_owned()
        }
        _ => ok("body"),
    });
    let (_switch, mut conn) = before(server.address);
    let head = conn.ask("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("1000"))
    );
    assert_eq!(conn.get("/204").unwrap().status, 204);
    let unchanged = conn.get("/304").unwrap();
    assert_eq!(
        (unchanged.status, unchanged.field("etag")),
        (304, Some("\"x\""))
    );
    assert_eq!(conn.get("/").unwrap().text(), "body");
}

#[test]
fn interim_answers_are_passed_on() {
    let server = Scripted::start(|mut conn, _| {
        while Request::read(&mut conn).is_some() {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            let _ = conn.send(format!("{hints}{}", ok("late")));
        }
    });
    let (_switch, mut conn) = before(server.address);
    let answer = conn.get("/").unwrap();
    assert_eq!(
        (answer.interim.clone(), answer.text().as_str()),
        (vec![103], "late")
    );
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    conn.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    assert_eq!(conn.line().unwrap(), "HTTP/1.1 100 Continue");
    assert_eq!(conn.line().unwrap(), "");
    conn.send("hello").unwrap();
    let answer = conn.answer().unwrap();
    assert_eq!(
        (answer.status, &answer.json()["body"]),
        (200, &"hello".into())
    );
}

#[test]
fn an_http_1_0_client_gets_an_answer_that_it_understands() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    let answer = conn
        .ask("GET /stream?n=3&every=1ms HTTP/1.0\r\n\r\n")
        .unwrap();
    assert_eq!(
        (answer.status, answer.field("transfer-encoding")),
        (200, None)
    );
    assert_eq!(
        answer.text(),
        "one\none\none\n",
        "to the end of the connection"
    );
}

#[test]
fn an_http_1_0_client_may_keep_its_connection() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    for _ in 0..3 {
        let answer = conn
            .ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "one\n"));
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_passed_on_whole() {
    let server = Scripted::start(|mut conn, _| {
        if Request::read(&mut conn).is_some() {
            let _ = conn.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        }
    });
    let (_switch, mut conn) = before(server.address);
    assert_eq!(conn.get("/").unwrap().text(), "until the end");
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_on_as_whole() {
    let server = Scripted::start(|mut conn, _| {
        if Request::read(&mut conn).is_some() {
            let _ = conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        }
    });
    let (switch, mut conn) = before(server.address);
    assert!(
        conn.get("/").is_err(),
        "the client must see that bytes are missing"
    );
    wait_until("it is counted", || {
        switch
            .admin("GET", "/metrics")
            .1
            .contains("reason=\"truncated\"")
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    let requests: String = (0..20)
        .map(|n| format!("GET /echo?{n} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    conn.send(requests).unwrap();
    for n in 0..20 {
        assert_eq!(
            conn.answer().unwrap().json()["target"],
            format!("/echo?{n}")
        );
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_read() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
        conn.send([*byte]).unwrap();
        conn.0.get_mut().flush().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(conn.answer().unwrap().status, 200);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "").replace("[[route]]", "[[route]]\nmax_body = \"1KiB\"");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    assert_eq!(conn.post("/echo", &"x".repeat(1024)).unwrap().status, 200);
    let mut conn = Conn::open(switch.address("web"));
    assert_eq!(conn.post("/echo", &"x".repeat(1025)).unwrap().status, 413);
    let mut conn = Conn::open(switch.address("web"));
    let chunk = format!("400\r\n{0}\r\n400\r\n{0}\r\n0\r\n\r\n", "x".repeat(1024));
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let _ = conn.send(format!("{head}{chunk}"));
    assert_eq!(conn.answer().unwrap().status, 413);
}
