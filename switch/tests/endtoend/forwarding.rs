//! Requests reach servers, and nothing is lost on the way.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use crate::client::Conn;
use crate::programs::{Nginx, curl};
use crate::support::*;

#[test]
fn three_nginx_take_turns() {
    let servers = [
        Nginx::start("one"),
        Nginx::start("two"),
        Nginx::start("three"),
    ];
    let switch = Switch::start(&policy(&servers.each_ref().map(|one| one.address), ""));
    let mut conn = Conn::open(switch.address("web"));
    let mut counts = BTreeMap::new();
    for _ in 0..30 {
        *counts.entry(conn.get("/").unwrap().text()).or_insert(0) += 1;
    }
    let expected = ["one\n", "two\n", "three\n"].map(|name| (name.to_owned(), 10));
    assert_eq!(
        counts,
        BTreeMap::from(expected),
        "one connection, ten requests for each"
    );
}

#[test]
fn a_weight_of_two_gets_twice_as_many_requests_and_a_weight_of_zero_none() {
    let (one, two, none) = (
        Backend::start("one"),
        Backend::start("two"),
        Backend::start("none"),
    );
    let text = policy(&[one.address], "").replace(
        &format!("\"{}\"", one.address),
        &format!(
            "\"{}\", {{ addr = \"{}\", weight = 2 }}, {{ addr = \"{}\", weight = 0 }}",
            one.address, two.address, none.address
        ),
    );
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let all: Vec<String> = (0..30).map(|_| conn.get("/").unwrap().text()).collect();
    let count = |name: &str| all.iter().filter(|text| *text == name).count();
    assert_eq!(
        (count("one\n"), count("two\n"), count("none\n")),
        (10, 20, 0)
    );
}

#[test]
fn a_hash_sends_the_same_user_to_the_same_server() {
    let servers = ["one", "two", "three"].map(Backend::start);
    let addresses = servers.each_ref().map(|one| one.address);
    let hashed = "balance = \"hash\"\nhash = { header = \"X-User\" }";
    let switch = Switch::start(&policy(&addresses, hashed));
    let ask = |user: usize| {
        let mut conn = Conn::open(switch.address("web"));
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-User: {user}\r\n\r\n");
        conn.ask(&request).unwrap().text()
    };
    let first: Vec<String> = (0..20).map(ask).collect();
    assert_eq!(first, (0..20).map(ask).collect::<Vec<_>>());
    let mut servers = first.clone();
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), 3, "twenty users meet all three: {first:?}");
}

#[test]
fn ipv6_serves_in_front_and_behind() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip(
            "ipv6_serves_in_front_and_behind",
            "there is no IPv6 loopback address here",
        );
    }
    let server = Backend::start_at("six", "[::1]:0".parse().unwrap());
    let text = policy(&[server.address], "").replace("127.0.0.1:0", "[::1]:0");
    let switch = Switch::start(&text);
    assert!(switch.address("web").is_ipv6());
    let url = format!("http://{}/echo", switch.address("web"));
    let told: serde_json::Value = serde_json::from_str(&curl(&[&url])).expect("JSON");
    let headers = told["headers"].to_string();
    assert!(
        headers.contains(r#"["x-forwarded-for","::1"]"#),
        "{headers}"
    );
}

#[test]
fn unix_sockets_serve_in_front_and_behind() {
    let nginx = Nginx::start("behind a socket");
    let folder = tempfile::tempdir().expect("a folder");
    let front = folder.path().join("front.sock");
    let text = format!(
        "[listener.web]\nbind = \"unix:{}\"\n[[route]]\npool = \"app\"\n\
         [pool.app]\nbackends = [\"unix:{}/web.sock\"]\n",
        front.display(),
        nginx.folder.path().display()
    );
    let _switch = Switch::start(&text);
    let mut conn = Conn::of(UnixStream::connect(&front).expect("it listens"));
    for _ in 0..3 {
        assert_eq!(conn.get("/").unwrap().text(), "behind a socket\n");
    }
    let socket = front.to_str().unwrap();
    let text = curl(&["--unix-socket", socket, "http://localhost/"]);
    assert_eq!(text, "behind a socket\n");
}

#[test]
fn the_server_learns_who_asked_and_a_client_cannot_lie_about_it() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut conn = Conn::open(switch.address("web"));
    let told = conn
        .ask(
            "GET /echo?x=1 HTTP/1.1\r\nHost: shop.example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\
             X-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9\r\nConnection: X-Hop\r\n\
             X-Hop: mine\r\nX-End: yours\r\n\r\n",
        )
        .unwrap()
        .json();
    assert_eq!(told["target"], "/echo?x=1");
    let field = |name: &str| -> Vec<String> {
        let all = told["headers"].as_array().expect("a list");
        let own = all.iter().filter(|pair| pair[0] == name);
        own.map(|pair| pair[1].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(field("host"), ["shop.example.com"]);
    assert_eq!(field("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(field("x-forwarded-proto"), ["http"]);
    assert!(!told.to_string().contains("203.0.113.9"), "{told}");
    assert_eq!(field("x-hop"), [""; 0], "a field of this connection alone");
    assert_eq!(field("x-end"), ["yours"]);
}

#[test]
fn a_trusted_network_is_believed() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "")
        .replace("[[route]]", "trusted = [\"127.0.0.0/8\"]\n[[route]]");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let request = "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    let told = conn.ask(request).unwrap().text();
    assert!(
        told.contains(r#"["x-forwarded-for","203.0.113.9, 127.0.0.1"]"#),
        "{told}"
    );
}
