use super::super::parse::{self, Limits};
use super::*;

fn parse(text: &str, desync: Desync) -> Result<RequestHead, Reason> {
    let mut buffer = Buffer::new();
    buffer.extend(text.as_bytes());
    let limits = Limits {
        bytes: 65536,
        fields: 100,
        desync,
    };
    parse::request(&mut buffer, &limits).map(|head| head.expect("a whole head"))
}

fn strict(rest: &str) -> Result<RequestHead, Reason> {
    parse(
        &format!("POST / HTTP/1.1\r\nHost: h\r\n{rest}\r\n"),
        Desync::Strict,
    )
}

#[test]
fn a_plain_request_is_compliant() {
    let head = strict("Content-Length: 5\r\n").expect("accepted");
    assert_eq!(head.framing, Framing::Length(5));
    assert!(head.keep_alive);
}

#[test]
fn doubtful_framing_is_refused() {
    for line in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "X: 1\nY: 2\r\n",
        "Host: h\r\n",
    ] {
        assert!(strict(line).is_err(), "{line:?} passed");
    }
}

#[test]
fn what_is_ambiguous_passes_defensively_on_a_connection_that_ends() {
    let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n";
    let head = parse(text, Desync::Defensive).expect("made plain");
    assert_eq!(head.framing, Framing::Length(5));
    assert!(!head.keep_alive);
    assert!(parse(text, Desync::Strict).is_err());
}

#[test]
fn hosts_that_are_missing_repeated_or_malformed_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(parse(head, Desync::Strict).is_err(), "{head:?} passed");
    }
    for host in ["a", "a:80", "[::1]:80", "A.Example.COM", "a:"] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(parse(&head, Desync::Strict).is_ok(), "{host:?} refused");
    }
}

#[test]
fn an_absolute_target_becomes_origin_form() {
    let head = parse(
        "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
        Desync::Strict,
    );
    assert_eq!(head.expect("accepted").target(), b"/x?y");
}

#[test]
fn an_absolute_target_without_a_path_gets_one() {
    for (target, origin) in [("http://a", "/"), ("http://a?q", "/?q")] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = parse(&text, Desync::Strict).expect("accepted");
        assert_eq!(head.target(), origin.as_bytes());
        assert_eq!(head.get(head.authority), b"a");
    }
}

#[test]
fn connection_lists_that_would_cost_much_are_refused() {
    let commas = format!("Connection: {}\r\n", ",".repeat(2000));
    assert_eq!(strict(&commas).err(), Some(Reason::HeadTooLarge));
    let split = format!("Connection: {}\r\n", ",".repeat(600)).repeat(2);
    assert_eq!(strict(&split).err(), Some(Reason::HeadTooLarge));
    assert!(strict("Connection: close, x-hop, te\r\n").is_ok());
}

#[test]
fn http10_closes_unless_it_asks_to_stay() {
    let closes = parse("GET / HTTP/1.0\r\n\r\n", Desync::Strict).expect("accepted");
    assert!(!closes.keep_alive);
    let stays = parse(
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        Desync::Strict,
    );
    assert!(stays.expect("accepted").keep_alive);
}
