//! HTTP/2 clients that are written frame by frame: time limits, farewells, bodies in odd pieces.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::scripted::Scripted;
use crate::support::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET` or `POST` of `/` at `a` over http, by the static table.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
const POST: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 1, b'a'];

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

struct Client {
    stream: TcpStream,
}

impl Client {
    /// Sends the preface and empty settings.
    fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut client = Self { stream };
        client.send(SETTINGS, 0, 0, &[]);
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next frame; `None` at the connection's end.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s1, s2, s3, s4]),
            payload,
        })
    }

    /// The next frame of this kind.
    fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().expect("a frame");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// How long the connection stays open from now on.
    fn until_end(&mut self) -> Duration {
        let began = Instant::now();
        while self.next().is_some() {}
        began.elapsed()
    }
}

fn switch(server: SocketAddr, timeouts: &str) -> Switch {
    let text = policy(&[server], "");
    let bind = "bind = \"127.0.0.1:0\"";
    Switch::start(&text.replace(bind, &format!("{bind}\ntimeouts = {{ {timeouts} }}")))
}

fn last_stream(away: &Frame) -> u32 {
    u32::from_be_bytes(*away.payload.first_chunk().unwrap())
}

#[test]
fn a_client_that_sends_no_settings_is_cut() {
    let server = Backend::start("one");
    let switch = switch(server.address, "head = \"1s\"");
    let mut stream = TcpStream::connect(switch.address("web")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let took = Client { stream }.until_end();
    let limit = Duration::from_millis(900)..Duration::from_secs(4);
    assert!(limit.contains(&took), "{took:?}");
}

#[test]
fn a_header_block_that_only_drips_is_cut_though_another_request_is_under_way() {
    let server = Backend::start("one");
    let switch = switch(server.address, "head = \"1s\"");
    let mut client = Client::open(switch.address("web"));
    let path = b"/delay/30s";
    let slow = [&[0x82, 0x86, 0x04, path.len() as u8][..], path, &GET[3..]].concat();
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &slow);
    client.send(HEADERS, END_STREAM, 3, &GET[..1]);
    let mut drip = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        // An empty CONTINUATION now and then.
        let frame = [0, 0, 0, CONTINUATION, 0, 0, 0, 0, 3];
        while drip.write_all(&frame).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let took = client.until_end();
    let limit = Duration::from_millis(900)..Duration::from_secs(4);
    assert!(limit.contains(&took), "{took:?}");
    drop(client);
    dripping.join().unwrap();
}

#[test]
fn an_idle_connection_is_left_with_a_farewell() {
    let server = Backend::start("one");
    let switch = switch(server.address, "idle = \"1s\"");
    let mut client = Client::open(switch.address("web"));
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &GET);
    let began = Instant::now();
    assert_eq!(last_stream(&client.next_of(GO_AWAY)), 0x7fff_ffff);
    assert!(began.elapsed() > Duration::from_millis(900));
    // A request that crosses the farewell is served.
    client.send(HEADERS, END_HEADERS | END_STREAM, 3, &GET);
    let ping = client.next_of(PING);
    client.send(PING, ACK, 0, &ping.payload);
    let (mut told, mut served) = (false, false);
    while let Some(frame) = client.next() {
        told |= frame.kind == GO_AWAY && last_stream(&frame) == 3;
        served |= frame.stream == 3 && frame.flags & END_STREAM != 0;
    }
    assert!(told && served);
}

#[test]
fn when_the_switch_ends_what_is_under_way_is_served() {
    let server = Backend::start("one");
    let mut switch = switch(server.address, "");
    let mut client = Client::open(switch.address("web"));
    let path = b"/delay/1s";
    let slow = [&[0x82, 0x86, 0x04, path.len() as u8][..], path, &GET[3..]].concat();
    client.send(HEADERS, END_HEADERS | END_STREAM, 1, &slow);
    wait_until("it is under way", || {
        switch.status()["pools"][0]["backends"][0]["in_flight"] == 1
    });
    switch.signal(Signal::TERM);
    assert_eq!(last_stream(&client.next_of(GO_AWAY)), 0x7fff_ffff);
    // It answers no PING: it is told all the same.
    assert_eq!(client.next_of(HEADERS).stream, 1);
    assert_eq!(client.next_of(DATA).payload, b"one\n");
    client.until_end();
    assert_eq!(switch.wait_for_end(), 0);
}

#[test]
fn an_answer_before_the_requests_end_stops_the_request() {
    let switch = {
        let text = policy(&["127.0.0.1:1".parse().unwrap()], "");
        let answer = "[[route]]\nrespond = { status = 413, body = \"too much\" }";
        Switch::start(
            text.replace("[[route]]\npool = \"app\"", answer)
                .split("[pool")
                .next()
                .unwrap(),
        )
    };
    let mut client = Client::open(switch.address("web"));
    client.send(HEADERS, END_HEADERS, 1, &POST);
    client.send(DATA, 0, 1, &[b'x'; 1000]);
    assert_eq!(client.next_of(DATA).payload, b"too much");
    let reset = client.next_of(RESET);
    assert_eq!((reset.stream, &reset.payload[..]), (1, &[0; 4][..]));
    // What was on its way is ignored, and the connection goes on.
    client.send(DATA, END_STREAM, 1, &[b'x'; 1000]);
    client.send(HEADERS, END_HEADERS | END_STREAM, 3, &GET);
    assert_eq!(client.next_of(HEADERS).stream, 3);
}

#[test]
fn bodies_in_pieces_of_any_size_arrive_whole_and_come_back_whole() {
    let server = Scripted::answering(|request| {
        let body = String::from_utf8_lossy(&request.body);
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    });
    let switch = switch(server.address, "");
    let mut client = Client::open(switch.address("web"));
    client.send(WINDOW_UPDATE, 0, 0, &[0x10, 0, 0, 0]);
    let streams = 8;
    let body = |stream: u32| -> Vec<u8> {
        let bytes = (0..50_000 + stream * 1000).map(|n| b'a' + ((n / 7 + stream) % 26) as u8);
        bytes.collect()
    };
    let ids = (0..streams).map(|n| n * 2 + 1);
    let mut left: Vec<_> = ids.map(|id| (id, body(id))).collect();
    for (id, _) in &left {
        client.send(HEADERS, END_HEADERS, *id, &POST);
    }
    let mut turn = 0;
    // Pieces of all streams in turn, each below its window of 64 KiB.
    while !left.is_empty() {
        turn += 1;
        for (id, rest) in &mut left {
            let n = rest.len().min(1 + turn * 97 % 1900);
            let piece: Vec<u8> = rest.drain(..n).collect();
            client.send(DATA, u8::from(rest.is_empty()), *id, &piece);
        }
        left.retain(|(_, rest)| !rest.is_empty());
    }
    let (mut back, mut ended) = (vec![Vec::new(); streams as usize], 0);
    while ended < streams {
        let frame = client.next().expect("more");
        if frame.kind == DATA {
            back[frame.stream as usize / 2].extend_from_slice(&frame.payload);
            ended += u32::from(frame.flags & END_STREAM);
        }
    }
    for (n, back) in back.into_iter().enumerate() {
        assert!(back == body(n as u32 * 2 + 1), "stream {n}");
    }
}

#[test]
fn streams_that_are_reset_leave_the_queue_and_the_others_are_served() {
    let server = Backend::start("one");
    let keys = "limit = { requests = 1 }\nqueue = { size = 8, timeout = \"1m\" }";
    let switch = Switch::start(&policy(&[server.address], keys));
    let mut held = crate::client::Conn::open(switch.address("web"));
    held.send("GET /delay/60s HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let requests = server.control.requests();
    let asked = || requests.load(std::sync::atomic::Ordering::Relaxed);
    wait_until("the server is at work", || asked() == 1);
    let length = || switch.metric("pointsman_queue_length{pool=\"app\"}");
    let mut client = Client::open(switch.address("web"));
    for stream in (1..17).step_by(2) {
        client.send(HEADERS, END_STREAM | END_HEADERS, stream, &GET);
    }
    wait_until("they wait", || length() == 8.0);
    for stream in (1..15).step_by(2) {
        client.send(RESET, 0, stream, &8u32.to_be_bytes());
    }
    wait_until("one waits", || length() == 1.0);
    drop(held);
    wait_until("it is served", || asked() == 2);
    wait_until("the queue is empty", || length() == 0.0);
}
