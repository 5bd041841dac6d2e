//! Which request goes where, and what the switch answers and edits itself.

use std::net::SocketAddr;

use crate::client::{Answer, Conn};
use crate::support::*;

/// Routes of every kind of condition. Every pool's one server answers with the pool's name.
const ROUTES: &str = r#"
[[route]]
pool = "rest"
[[route]]
match = { host = "shop.example.com" }
pool = "shop"
[[route]]
match = { host = "*.example.com" }
pool = "wild"
[[route]]
match = { host = "shop.example.com", path = "/v1/*" }
pool = "v1"
[[route]]
match = { host = "shop.example.com", path = "/v1/status" }
pool = "status"
[[route]]
match = { host = "shop.example.com", path = "/v1/*", method = ["POST", "PUT"] }
pool = "write"
[[route]]
match = { host = "shop.example.com", header = { X-Canary = "yes" } }
pool = "canary"
[[route]]
match = { host = "cookie.test", cookie = { beta = "*" } }
pool = "beta"
[[route]]
match = { host = "query.test", query = { version = "2" } }
pool = "two"
[[route]]
match = { host = "client.test", client = "127.0.0.0/8" }
pool = "near"
[[route]]
match = { host = "client.test", client = "10.0.0.0/8" }
pool = "far"
"#;

const POOLS: [&str; 11] = [
    "rest", "shop", "wild", "v1", "status", "write", "canary", "beta", "two", "near", "far",
];

#[test]
fn the_most_specific_route_takes_the_request() {
    let servers = POOLS.map(|name| (name, Backend::start(name)));
    let mut text = format!("[listener.web]\nbind = \"127.0.0.1:0\"\n{ROUTES}");
    for (name, server) in &servers {
        text.push_str(&format!(
            "[pool.{name}]\nbackends = [\"{}\"]\n",
            server.address
        ));
    }
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let cases = [
        ("GET / HTTP/1.1\r\nHost: other.test", "rest"),
        ("GET /x HTTP/1.1\r\nHost: shop.example.com", "shop"),
        ("GET /x HTTP/1.1\r\nHost: SHOP.example.com:8080", "shop"),
        (
            "GET http://shop.example.com/x HTTP/1.1\r\nHost: shop.example.com",
            "shop",
        ),
        ("GET / HTTP/1.1\r\nHost: a.b.example.com", "wild"),
        ("GET / HTTP/1.1\r\nHost: example.com", "rest"),
        ("GET /v1 HTTP/1.1\r\nHost: shop.example.com", "v1"),
        ("GET /v1/things HTTP/1.1\r\nHost: shop.example.com", "v1"),
        ("GET /v10 HTTP/1.1\r\nHost: shop.example.com", "shop"),
        (
            "GET /v1/status HTTP/1.1\r\nHost: shop.example.com",
            "status",
        ),
        (
            "GET /v1/status?q HTTP/1.1\r\nHost: shop.example.com",
            "status",
        ),
        (
            "PUT /v1/things HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 0",
            "write",
        ),
        (
            "GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-Canary: yes",
            "canary",
        ),
        (
            "GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-Canary: no",
            "shop",
        ),
        (
            "GET / HTTP/1.1\r\nHost: cookie.test\r\nCookie: a=1; beta=x",
            "beta",
        ),
        (
            "GET / HTTP/1.1\r\nHost: cookie.test\r\nCookie: alphabeta=x",
            "rest",
        ),
        ("GET /?version=2 HTTP/1.1\r\nHost: query.test", "two"),
        ("GET /?version=%32&a HTTP/1.1\r\nHost: query.test", "two"),
        ("GET /?version=3 HTTP/1.1\r\nHost: query.test", "rest"),
        ("GET / HTTP/1.1\r\nHost: client.test", "near"),
    ];
    for (request, pool) in cases {
        let answer = conn.ask(&format!("{request}\r\n\r\n")).unwrap();
        assert_eq!(
            (answer.status, answer.text()),
            (200, format!("{pool}\n")),
            "{request}"
        );
    }
}

#[test]
fn without_a_route_the_answer_is_404_and_says_so() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "")
        .replace("[[route]]", "[[route]]\nmatch = { host = \"here.test\" }");
    let switch = Switch::start(&text);
    let answer = Conn::open(switch.address("web")).get("/").unwrap();
    assert_eq!(answer.status, 404);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("no_route"), "{why}");
}

fn with_route(keys: &str, server: SocketAddr) -> Switch {
    let text = policy(&[server], "").replace("[[route]]", &format!("[[route]]\n{keys}"));
    Switch::start(&text)
}

fn without_pool(keys: &str, server: SocketAddr) -> Switch {
    let route = format!("[[route]]\n{keys}\n[[route]]\nmatch = {{ path = \"/app\" }}");
    Switch::start(&policy(&[server], "").replace("[[route]]", &route))
}

fn ask(switch: &Switch, request: &str) -> Answer {
    Conn::open(switch.address("web")).ask(request).unwrap()
}

#[test]
fn a_redirect_keeps_host_path_and_query() {
    let server = Backend::start("one");
    let switch = without_pool("redirect = \"https\"", server.address);
    let answer = ask(&switch, "GET /a/b?c=d HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.field("location"), Some("https://shop.test/a/b?c=d"));
    let keys = "redirect = { to = \"https://www.test{path}\", status = 301 }";
    let switch = without_pool(keys, server.address);
    let answer = ask(&switch, "GET /a/b?c=d HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!(answer.status, 301);
    assert_eq!(answer.field("location"), Some("https://www.test/a/b"));
}

#[test]
fn a_listener_that_redirects_never_asks_a_server() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "").replace(
        "[[route]]",
        "[listener.old]\nbind = \"127.0.0.1:0\"\nredirect = \"https\"\n[[route]]",
    );
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("old"));
    let answer = conn.get("/x").unwrap();
    assert_eq!(
        (answer.status, answer.field("location")),
        (308, Some("https://localhost/x"))
    );
    assert_eq!(
        server
            .control
            .requests()
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn a_fixed_response_needs_no_server() {
    let keys =
        "respond = { status = 418, body = \"short and stout\", content_type = \"text/tea\" }";
    let switch = without_pool(keys, free_address());
    let answer = ask(&switch, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (418, "short and stout")
    );
    assert_eq!(answer.field("content-type"), Some("text/tea"));
    let answer = ask(&switch, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.field("content-length"), Some("15"));
}

#[test]
fn a_path_is_rewritten_on_its_way() {
    let server = Backend::start("one");
    let keys = "match = { path = \"/shop/*\" }\nrewrite = { prefix = \"/\" }";
    let switch = with_route(keys, server.address);
    let told = ask(&switch, "GET /shop/echo?a=%20b HTTP/1.1\r\nHost: a\r\n\r\n").json();
    assert_eq!(told["target"], "/echo?a=%20b");
    let switch = with_route("rewrite = { path = \"/echo\" }", server.address);
    let told = ask(&switch, "GET /any/where?q=1 HTTP/1.1\r\nHost: a\r\n\r\n").json();
    assert_eq!(told["target"], "/echo?q=1");
}

#[test]
fn headers_are_edited_both_ways() {
    let server = Backend::start("one");
    let keys = "request_headers = { set = { X-Env = \"prod\" }, add = { X-Tag = \"b\" }, \
                remove = [\"X-Debug\"] }\n\
                response_headers = { set = { X-Frame-Options = \"DENY\" }, remove = \"X-Backend\" }";
    let switch = with_route(keys, server.address);
    let answer = ask(
        &switch,
        "GET /echo HTTP/1.1\r\nHost: a\r\nX-Env: test\r\nX-Tag: a\r\nX-Debug: 1\r\n\r\n",
    );
    assert_eq!(answer.field("x-frame-options"), Some("DENY"));
    assert_eq!(answer.field("x-backend"), None);
    let told = answer.json();
    let headers = told["headers"].to_string();
    assert!(headers.contains(r#"["x-env","prod"]"#), "{headers}");
    assert!(headers.contains(r#"["x-tag","a"]"#) && headers.contains(r#"["x-tag","b"]"#));
    assert!(
        !headers.contains("x-debug") && !headers.contains("\"test\""),
        "{headers}"
    );
}
