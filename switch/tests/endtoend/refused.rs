//! Requests that two readers could understand differently: the table of what is answered, and that
//! no server hears of any of them.

use crate::client::Conn;
use crate::scripted::{Scripted, ok};
use crate::support::*;

/// What is wrong, the request, the status of the answer.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, u16)] = &[
    ("no version", "GET /\r\n\r\n", 400),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("an unknown version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("a method that is no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a Host with a user", "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", 400),
    ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    ("a line without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    ("a fragment in the target", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("a length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400),
    ("a length that is no number", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\n", 400),
    ("a length of 20 digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello", 400),
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    ("two lengths in one line", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello!", 400),
    ("a coding beside chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding that only looks like chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 0\r\n\r\n", 417),
];

fn server() -> Scripted {
    Scripted::answering(|_| ok("reached"))
}

#[test]
fn a_request_against_the_grammar_is_refused_and_no_server_hears_of_it() {
    let server = server();
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut wrong = Vec::new();
    for (what, request, status) in REFUSED {
        let mut conn = Conn::open(switch.address("web"));
        conn.send(request).unwrap();
        // What a server would take for a second request, were the first one cut short.
        let _ = conn.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = conn.answer().unwrap_or_default();
        if answer.status != *status {
            wrong.push(format!("{what}: {} instead of {status}", answer.status));
        }
        let rest = String::from_utf8_lossy(&conn.rest()).into_owned();
        if !rest.is_empty() {
            wrong.push(format!("{what}: the connection goes on with {rest:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(server.log.lines(), [""; 0]);
}

/// Readers differ about these, but they can be made plain: they pass, and end their connection.
#[rustfmt::skip]
const MADE_PLAIN: &[(&str, &str)] = &[
    ("length and chunked", "POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("the same length twice", "POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("a bare LF", "POST /plain HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello"),
    ("another host in the target", "POST http://a/plain HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhello"),
];

#[test]
fn what_can_be_made_plain_passes_once_on_a_connection_that_ends() {
    for (what, request) in MADE_PLAIN {
        let server = Scripted::answering(|request| {
            let seen = String::from_utf8_lossy(&request.body).into_owned();
            let framed = request
                .fields
                .iter()
                .filter(|(name, _)| name == "content-length" || name == "transfer-encoding");
            ok(&format!(
                "{seen} {} {}",
                framed.count(),
                request.field("host").unwrap_or("")
            ))
        });
        let text = policy(&[server.address], "");
        let defensive = "desync = \"defensive\"\n[[route]]";
        let switch = Switch::start(&text.replace("[[route]]", defensive));
        let mut conn = Conn::open(switch.address("web"));
        conn.send(format!(
            "{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .unwrap();
        let answer = conn.answer().unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello 1 a"),
            "{what}"
        );
        assert_eq!(conn.rest(), b"", "{what}: the connection ends");
        assert_eq!(server.log.lines(), ["POST /plain HTTP/1.1"], "{what}");
    }
}

#[test]
fn by_default_even_what_could_be_made_plain_is_refused() {
    let server = server();
    let switch = Switch::start(&policy(&[server.address], ""));
    for (what, request) in MADE_PLAIN {
        let mut conn = Conn::open(switch.address("web"));
        conn.send(request).unwrap();
        assert_eq!(conn.answer().unwrap().status, 400, "{what}");
    }
    assert_eq!(server.log.lines(), [""; 0]);
}

#[test]
fn a_broken_chunk_ends_the_connection_and_the_server_sees_no_whole_request() {
    let broken = [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "-5\r\nhello\r\n",
        "5\nhello\n0\n\n",
    ];
    let server = server();
    let switch = Switch::start(&policy(&[server.address], ""));
    for body in broken {
        let mut conn = Conn::open(switch.address("web"));
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        conn.send(format!("{head}{body}")).unwrap();
        let _ = conn.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8_lossy(&conn.rest()).into_owned();
        assert!(!all.contains("reached"), "{body:?}: {all}");
        assert!(
            all.is_empty() || all.starts_with("HTTP/1.1 400"),
            "{body:?}: {all}"
        );
    }
    assert_eq!(server.log.lines(), [""; 0]);
}

#[test]
fn a_head_that_is_too_large_is_refused_before_it_is_read_to_its_end() {
    let server = server();
    let switch = Switch::start(&policy(&[server.address], ""));
    let cases = [
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(33 * 1024)),
            414,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "x".repeat(65 * 1024)
            ),
            431,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: 1\r\n".repeat(200)
            ),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(70 * 1024)),
            431,
        ),
    ];
    for (request, status) in cases {
        let mut conn = Conn::open(switch.address("web"));
        let _ = conn.send(&request);
        assert_eq!(conn.answer().unwrap().status, status, "{}", &request[..40]);
    }
    assert_eq!(server.log.lines(), [""; 0]);
}

#[test]
fn a_head_that_does_not_end_is_given_up() {
    let server = server();
    let text = policy(&[server.address], "").replace(
        "[[route]]",
        "timeouts = { head = \"300ms\", idle = \"300ms\" }\n[[route]]",
    );
    let switch = Switch::start(&text);
    let began = std::time::Instant::now();
    let mut silent = Conn::open(switch.address("web"));
    let mut slow = Conn::open(switch.address("web"));
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    assert_eq!(slow.answer().unwrap().status, 408);
    assert_eq!(slow.rest(), b"");
    assert_eq!(
        silent.rest(),
        b"",
        "a connection without a request needs no answer"
    );
    assert!(
        began.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
