//! Bytes below HTTP: TCP listeners, and what HTTP turns into a tunnel.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::client::WebSocket;
use crate::scripted::Scripted;
use crate::support::*;

pub fn tcp_policy(server: std::net::SocketAddr) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"app\"\n\
         [pool.app]\nbackends = [\"{server}\"]\n"
    )
}

/// 64 MiB that repeat nowhere near, and cheaply made.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    (0..8 * 1024 * 1024u64).flat_map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state ^ (state >> 29)).to_le_bytes()
    })
}

/// FNV-1a over words would do; order and content both count.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn sixty_four_mebibytes_pass_both_ways_at_once_and_unchanged() {
    let up: Vec<u8> = noise(1).collect();
    let down: Vec<u8> = noise(2).collect();
    assert_eq!(up.len(), 64 << 20);
    let (up_sum, down_sum) = (sum(&up), sum(&down));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let switch = Switch::start(&tcp_policy(listener.local_addr().unwrap()));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut sending = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            sending.write_all(&down).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::with_capacity(64 << 20);
        stream.read_to_end(&mut got).unwrap();
        sender.join().unwrap();
        (got.len(), sum(&got))
    });
    let mut client = TcpStream::connect(switch.address("web")).unwrap();
    let mut sending = client.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        sending.write_all(&up).unwrap();
        sending.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::with_capacity(64 << 20);
    client.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert_eq!((got.len(), sum(&got)), (64 << 20, down_sum));
    assert_eq!(server.join().unwrap(), (64 << 20, up_sum));
    wait_until("both ways are counted", || {
        let metrics = switch.admin("GET", "/metrics").1;
        ["in", "out"].iter().all(|way| {
            let line = format!("tcp_bytes_total{{listener=\"web\",direction=\"{way}\"}} 67108864");
            metrics.contains(&line)
        })
    });
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let server = Scripted::start(|mut conn, _| {
        let got = conn.rest();
        std::thread::sleep(Duration::from_millis(100));
        let _ = conn.send(format!("{} bytes", got.len()));
    });
    let switch = Switch::start(&tcp_policy(server.address));
    let mut client = TcpStream::connect(switch.address("web")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&[7; 1000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "1000 bytes");
}

#[test]
fn a_server_that_has_finished_sending_still_hears_its_client() {
    let server = Scripted::start(|mut conn, log| {
        conn.send("all I have to say").unwrap();
        conn.0.get_ref().shutdown(Shutdown::Write).unwrap();
        log.add(String::from_utf8(conn.rest()).unwrap());
    });
    let switch = Switch::start(&tcp_policy(server.address));
    let mut client = TcpStream::connect(switch.address("web")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "all I have to say");
    client.write_all(b"but I do").unwrap();
    drop(client);
    wait_until("the server hears it", || server.log.lines() == ["but I do"]);
}

#[test]
fn a_tcp_connection_goes_to_a_server_that_accepts_it() {
    let server = Backend::start("one");
    let text = tcp_policy(server.address).replace(
        "backends = [",
        &format!("backends = [\"{}\", ", free_address()),
    );
    let switch = Switch::start(&text);
    for _ in 0..10 {
        assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    }
}

#[test]
fn a_websocket_passes_and_stays_open_while_nothing_is_said() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "").replace(
        "[[route]]",
        "timeouts = { idle = \"200ms\" }\n[[route]]\ntimeouts = { response = \"200ms\" }",
    );
    let switch = Switch::start(&text);
    let mut socket = WebSocket::open(switch.address("web"), "/ws");
    assert_eq!(socket.echo("hello").unwrap(), "hello");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(socket.echo("still here").unwrap(), "still here");
}

#[test]
fn a_silent_tunnel_ends_after_its_time() {
    let server = Backend::start("one");
    let text = policy(&[server.address], "")
        .replace("[[route]]", "[[route]]\ntimeouts = { tunnel = \"300ms\" }");
    let switch = Switch::start(&text);
    let mut socket = WebSocket::open(switch.address("web"), "/ws");
    assert_eq!(socket.echo("hello").unwrap(), "hello");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(socket.echo("too late").is_err());
}
