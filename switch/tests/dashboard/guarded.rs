//! Who gets what, and what a page of another site does not get.

use std::net::{IpAddr, UdpSocket};

use crate::board::Board;
use crate::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What tells of servers and their state.
const STATE: [&str; 5] = ["/status", "/events", "/history", "/policy", "/plan"];

#[test]
fn the_page_forbids_itself_everything_but_its_own_files() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    for path in ["/", "/ui/main.js", "/ui/style.css", "/ui/uplot/LICENSE"] {
        let (head, body) = board.whole("GET", path, &[]);
        assert!(head.starts_with("HTTP/1.0 200"), "{path}: {head}");
        let head = head.to_ascii_lowercase();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "script-src 'self'",
            "nosniff",
        ] {
            assert!(head.contains(part), "{path}: {part} is missing in {head}");
        }
        assert!(!head.contains("unsafe-inline") && !head.contains("set-cookie"));
        assert!(!body.is_empty(), "{path}");
    }
    assert_eq!(board.ask("POST", "/", &[]).0, 405);
    for path in ["/ui/", "/ui/../p.toml", "/ui/nothing.js"] {
        assert_eq!(board.get(path).0, 404, "{path}");
    }
}

#[test]
fn another_site_can_neither_order_nor_watch() {
    let backend = Backend::start("one");
    let board = Board::start(&policy(&[backend.address], ""), "");
    let own = format!("http://{}", board.admin);
    let drain = format!(
        "/backend/drain?force=yes&pool=app&backend={}",
        backend.address
    );
    let cross = [("Sec-Fetch-Site", "cross-site")];
    let refused: [&[(&str, &str)]; 5] = [
        &cross,
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Host", "evil.example"), ("Origin", "http://evil.example")],
    ];
    for fields in refused {
        assert_eq!(board.ask("POST", &drain, fields).0, 403, "{fields:?}");
        assert_eq!(board.ask("POST", "/reload", fields).0, 403, "{fields:?}");
    }
    for path in ["/live", "/status", "/plan"] {
        assert_eq!(board.ask("GET", path, &cross).0, 403, "{path}");
    }
    assert!(
        board.json("/status")["overlay"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    assert_eq!(board.ask("GET", "/", &link).0, 200, "a link leads here");
    let fields = [("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())];
    assert_eq!(board.ask("POST", &drain, &fields).0, 200);
}

#[test]
fn who_asks_from_another_host_needs_the_token_to_see_anything() {
    let test = "who_asks_from_another_host";
    let Some(address) = own_address() else {
        return skip(test, "this machine has no address but the loopback's");
    };
    let backend = Backend::start("one");
    let right = format!("Bearer {TOKEN}");
    for (token, without) in [(format!("token = \"{TOKEN}\""), 401), (String::new(), 403)] {
        let admin: std::net::SocketAddr = (address, free_address().port()).into();
        let listen = format!("0.0.0.0:{}", admin.port());
        let board = Board::start_at(&listen, admin, &policy(&[backend.address], ""), &token);
        for path in STATE.iter().chain(&["/live"]) {
            assert_eq!(board.get(path).0, without, "{path}");
            let wrong = [("Authorization", "Bearer wrong")];
            assert_eq!(board.ask("GET", path, &wrong).0, without, "{path}");
            // Nor by saying that it is here.
            let here = [("Host", "localhost")];
            assert_eq!(board.ask("GET", path, &here).0, without, "{path}");
        }
        for path in ["/", "/ui/main.js", "/ready", "/health", "/metrics"] {
            assert_eq!(board.get(path).0, 200, "{path}");
        }
        if !token.is_empty() {
            for path in STATE {
                let fields = [("Authorization", right.as_str())];
                assert_eq!(board.ask("GET", path, &fields).0, 200, "{path}");
            }
        }
    }
}

/// An address of this machine that is not the loopback's. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
