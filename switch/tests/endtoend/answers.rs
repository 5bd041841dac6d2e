//! Servers whose answers are odd, early, late or wrong, and clients that leave.

use std::io::Read as _;
use std::net::Shutdown;
use std::time::Duration;

use crate::client::Conn;
use crate::scripted::{Request, Scripted, ok};
use crate::support::*;

fn before(server: std::net::SocketAddr) -> (Switch, Conn) {
    let switch = Switch::start(&policy(&[server], ""));
    let conn = Conn::open(switch.address("web"));
    (switch, conn)
}

#[test]
fn bytes_after_an_answer_never_reach_the_next_client() {
    let server = Scripted::answering(|request| {
        let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
        format!(
            "{}{poison}",
            ok(request.start.split(' ').nth(1).unwrap_or(""))
        )
    });
    let (switch, mut conn) = before(server.address);
    for n in 0..10 {
        let path = format!("/{n}");
        assert_eq!(conn.get(&path).unwrap().text(), path);
        let mut other = Conn::open(switch.address("web"));
        assert_eq!(other.get("/other").unwrap().text(), "/other");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_thrown_away() {
    let server = Scripted::start(|mut conn, _| {
        while let Some(request) = Request::read(&mut conn) {
            let path = request.start.split(' ').nth(1).unwrap_or("").to_owned();
            let _ = conn.send(ok(&path));
            std::thread::sleep(Duration::from_millis(30));
            let _ = conn.send(ok("nobody asked"));
        }
    });
    let (_switch, mut conn) = before(server.address);
    for n in 0..5 {
        let path = format!("/{n}");
        assert_eq!(conn.get(&path).unwrap().text(), path);
        std::thread::sleep(Duration::from_millis(80));
    }
}

#[test]
fn an_answer_that_two_readers_could_understand_differently_is_a_502() {
    let wrong = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "\r\n\r\n\r\n",
        "",
    ];
    for answer in wrong {
        let server = Scripted::start(move |mut conn, _| {
            let _ = Request::read(&mut conn);
            let _ = conn.send(answer);
        });
        let (_switch, mut conn) = before(server.address);
        let got = conn.get("/").unwrap();
        assert!(matches!(got.status, 502 | 503), "{answer:?}: {got:?}");
        assert!(got.field("proxy-status").is_some(), "{answer:?}: {got:?}");
    }
}

#[test]
fn an_endless_head_of_an_answer_is_given_up() {
    let server = Scripted::start(|mut conn, _| {
        let _ = Request::read(&mut conn);
        let _ = conn.send("HTTP/1.1 200 OK\r\n");
        while conn.send(format!("X: {}\r\n", "x".repeat(8000))).is_ok() {}
    });
    let (_switch, mut conn) = before(server.address);
    let answer = conn.get("/").unwrap();
    assert_eq!(answer.status, 502);
    let why = answer.field("proxy-status").unwrap();
    assert!(why.contains("response_head_too_large"), "{why}");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = Scripted::start(|mut conn, _| {
        while conn.line().is_ok_and(|line| !line.is_empty()) {}
        let refusal =
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch";
        let _ = conn.send(refusal);
        let _ = conn.0.get_ref().shutdown(Shutdown::Write);
        let _ = conn.rest();
    });
    let (_switch, mut conn) = before(server.address);
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    let _ = conn.send(vec![b'x'; 10_000]);
    let answer = conn.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
}

#[test]
fn a_client_that_asks_once_and_shuts_its_sending_side_gets_its_answer() {
    let server = Backend::start("one");
    let (_switch, mut conn) = before(server.address);
    conn.send("GET /delay/200ms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    conn.0.get_ref().shutdown(Shutdown::Write).unwrap();
    let answer = conn.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "one\n"));
}

#[test]
fn the_server_hears_when_a_client_leaves_in_the_middle() {
    let server = Scripted::start(|mut conn, log| {
        while conn.line().is_ok_and(|line| !line.is_empty()) {}
        log.add("head");
        let mut body = Vec::new();
        let _ = conn.0.read_to_end(&mut body);
        log.add(format!("gone after {}", body.len()));
    });
    let (switch, mut conn) = before(server.address);
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        .unwrap();
    wait_until("the server has the head", || server.log.lines().len() == 1);
    drop(conn);
    wait_until("the server hears it", || server.log.lines().len() == 2);
    assert_eq!(server.log.lines()[1], "gone after 3");
    wait_until("it is counted", || {
        switch
            .admin("GET", "/metrics")
            .1
            .contains("reason=\"client_closed\"")
    });
}

#[test]
fn trailers_reach_a_client_that_wants_them() {
    let server = Scripted::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"
            .to_owned()
    });
    let (_switch, mut conn) = before(server.address);
    conn.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        .unwrap();
    assert_eq!(conn.head().unwrap().status, 200);
    let rest = String::from_utf8(conn.rest()).unwrap();
    assert!(
        rest.to_ascii_lowercase()
            .ends_with("0\r\nx-sum: 42\r\n\r\n"),
        "{rest:?}"
    );
}

#[test]
fn a_thousand_small_chunks_arrive_as_they_were() {
    let server = Scripted::answering(|request| {
        assert_eq!(request.body.len(), 1000);
        let chunks: String = request
            .body
            .iter()
            .map(|byte| format!("1\r\n{}\r\n", *byte as char))
            .collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    });
    let (_switch, mut conn) = before(server.address);
    let text: String = ('a'..='z').cycle().take(1000).collect();
    let chunks: String = text
        .chars()
        .map(|letter| format!("1\r\n{letter}\r\n"))
        .collect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    conn.send(format!("{head}{chunks}0\r\n\r\n")).unwrap();
    assert_eq!(conn.answer().unwrap().text(), text);
}

#[test]
fn a_proxy_protocol_header_of_a_trusted_peer_names_the_client() {
    let server = Backend::start("one");
    let keys = "trusted = [\"127.0.0.0/8\"]\nproxy_protocol = true\n[[route]]";
    let switch = Switch::start(&policy(&[server.address], "").replace("[[route]]", keys));
    let mut conn = Conn::open(switch.address("web"));
    let request =
        "PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    conn.send(request).unwrap();
    let told = conn.answer().unwrap().text();
    assert!(
        told.contains(r#"["x-forwarded-for","203.0.113.9"]"#),
        "{told}"
    );
}
