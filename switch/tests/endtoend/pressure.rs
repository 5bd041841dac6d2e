//! Slow clients and slow servers: what waits, waits in the kernel and not in memory.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::client::Conn;
use crate::scripted::Scripted;
use crate::support::*;

/// Bytes that the whole process may grow by while 16 transfers of 256 MiB stand still.
const GROWTH: u64 = 32 << 20;

fn resident(switch: &Switch) -> u64 {
    let metrics = switch.admin("GET", "/metrics").1;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("process_resident_memory_bytes "));
    let value = line
        .and_then(|line| line.rsplit(' ').next())
        .expect("the metric");
    value.parse::<f64>().expect("a number") as u64
}

#[test]
fn clients_that_do_not_read_cost_little_memory() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    assert_eq!(switch.get("/").0, 200);
    let before = resident(&switch);
    let request = "GET /size/268435456 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut clients: Vec<Conn> = (0..16).map(|_| Conn::open(switch.address("web"))).collect();
    for client in &mut clients {
        client.send(request).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1500));
    let grown = resident(&switch).saturating_sub(before);
    assert!(
        grown < GROWTH,
        "{grown} bytes for 16 clients that do not read"
    );
    let first = &mut clients[0];
    assert_eq!(first.head().unwrap().status, 200);
    let mut some = vec![0; 4 << 20];
    first.0.read_exact(&mut some).expect("the transfer goes on");
}

#[test]
fn servers_that_do_not_read_cost_little_memory() {
    let server = Scripted::start(|conn, _| {
        std::thread::sleep(Duration::from_secs(10));
        drop(conn);
    });
    let switch = Switch::start(&policy(&[server.address], ""));
    wait_until("it serves", || switch.admin("GET", "/ready").0 == 200);
    let before = resident(&switch);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n";
    let mut clients: Vec<Conn> = (0..16).map(|_| Conn::open(switch.address("web"))).collect();
    let block = vec![0; 1 << 20];
    let mut sent = 0;
    for client in &mut clients {
        client.send(head).unwrap();
        client
            .0
            .get_ref()
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        for _ in 0..64 {
            match client.0.get_mut().write(&block) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
    }
    let grown = resident(&switch).saturating_sub(before);
    assert!(sent < 16 * (64 << 20), "the clients are held back");
    assert!(
        grown < GROWTH,
        "{grown} bytes for 16 servers that do not read"
    );
}
#[test]
fn a_connection_limit_holds_and_frees_its_places() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "")
        .replace("[[route]]", "limits = { connections = 4 }\n[[route]]");
    let switch = Switch::start(&text);
    let mut held: Vec<Conn> = (0..4)
        .map(|_| {
            let mut conn = Conn::open(switch.address("web"));
            assert_eq!(conn.get("/").unwrap().status, 200);
            conn
        })
        .collect();
    let status = get(switch.address("web"), "/").0;
    assert!(matches!(status, 0 | 503), "{status}");
    held.pop();
    wait_until("the place is free again", || {
        get(switch.address("web"), "/").0 == 200
    });
}

#[test]
fn a_client_that_asks_too_often_gets_429_until_time_has_passed() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "").replace(
        "[[route]]",
        "limits = { requests_per_client = \"5/s\" }\n[[route]]",
    );
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let statuses: Vec<u16> = (0..20).map(|_| conn.get("/").unwrap().status).collect();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!((5..=7).contains(&passed), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    wait_until("there is room again", || {
        conn.get("/").unwrap().status == 200
    });
}

#[test]
fn options_for_the_last_hop_are_answered_here() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut conn = Conn::open(switch.address("web"));
    conn.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
        .unwrap();
    assert_eq!(conn.head().unwrap().status, 204);
    assert_eq!(conn.get("/").unwrap().status, 200);
}

#[test]
fn a_body_that_only_drips_is_given_up() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut conn = Conn::open(switch.address("web"));
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    conn.send(head).unwrap();
    let began = std::time::Instant::now();
    conn.0
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let status = loop {
        assert!(began.elapsed() < PATIENCE, "it is given up in time");
        let _ = conn.send("x");
        match conn.head() {
            Ok(answer) => break answer.status,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(status, 408);
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "a moment is granted"
    );
}

#[test]
fn an_exchange_ends_after_its_total_time() {
    let server = Backend::start("one");
    let keys = "[[route]]\ntimeout = \"400ms\"";
    let switch = Switch::start(&policy(&[server.address], "").replace("[[route]]", keys));
    let mut conn = Conn::open(switch.address("web"));
    let answer = conn.get("/delay/10s").unwrap();
    assert_eq!(answer.status, 504);
    let why = answer.field("proxy-status").expect("Proxy-Status");
    assert!(why.contains("total_timeout"), "{why}");
    let mut conn = Conn::open(switch.address("web"));
    let cut = conn.get("/stream?n=100&every=100ms");
    assert!(cut.is_err(), "what has begun is cut off: {cut:?}");
}

#[test]
fn beyond_the_memory_for_bytes_under_way_new_requests_get_503() {
    let server = Backend::start("one");
    let text = format!(
        "[process]\nmax_buffers = \"1MiB\"\n{}",
        policy(&[server.address], "")
    );
    let switch = Switch::start(&text);
    let address = switch.address("web");
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut conn = Conn::open(address);
        conn.send("GET /size/16777216 HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        held.push(conn);
    }
    wait_until("requests are refused", || get(address, "/").0 == 503);
    drop(held);
    wait_until("requests are served again", || {
        (0..8).all(|_| get(address, "/").0 == 200)
    });
}
