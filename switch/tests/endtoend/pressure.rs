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
