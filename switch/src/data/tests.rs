use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use pointsman_config::policy::Policy;

use super::*;
use crate::snapshot::{Frame, Publisher};

/// Answers everything itself.
const POLICY: &str = r#"
[listener.web]
bind = "127.0.0.1:0"

[[route]]
respond = { status = 200, body = "here" }
"#;

/// A plane that serves this policy, and where.
fn plane(policy: &str, workers: usize) -> (Plane, SocketAddr) {
    let policy = Policy::from_toml(policy, Path::new("test.toml"));
    let policy = policy.unwrap_or_else(|report| panic!("{}", report.render_text(false)));
    let hub = Hub::new(100);
    let frame = Frame::new(Arc::new(policy), &Default::default(), &*hub, None);
    let publisher = Publisher::new(frame.snapshot(1, Vec::new(), None));
    let shared = Shared {
        source: publisher.source(),
        events: event::channel().0,
        metrics: &hub,
        access_log: None,
        traces: Arc::default(),
        quotas: Arc::default(),
        max_connections: 1000,
        max_buffers: 1 << 24,
    };
    let plane = Plane::start(workers, &shared).expect("threads");
    let prepared = plane.prepare(frame.listeners()).expect("loopback");
    plane.commit(prepared);
    plane.begin();
    match plane.addresses().remove(0).1 {
        BindAddr::Socket(addr) => (plane, addr),
        other => panic!("{other:?}"),
    }
}

fn end(plane: Plane) {
    plane.drain(Drain {
        limit: Duration::from_secs(5),
        grace: Duration::ZERO,
        handed_over: false,
    });
}

/// Waits until it holds; the machine may be busy.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn workers_mark_the_time_and_one_that_hangs_is_noticed() {
    let (plane, _) = plane(POLICY, 2);
    let pulses = plane.pulses();
    let oldest = || pulses.oldest(Instant::now());
    std::thread::sleep(Duration::from_millis(300));
    wait_until("both have marked", || oldest() < Duration::from_millis(100));
    plane.tell((1, Command::Hang(Duration::from_millis(1500))));
    wait_until("one hangs", || oldest() > Duration::from_millis(500));
    wait_until("it goes on", || oldest() < Duration::from_millis(100));
    end(plane);
    assert_eq!(oldest(), Duration::ZERO);
}

fn open(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).expect("it listens");
    let patience = Some(Duration::from_secs(15));
    client.set_read_timeout(patience).expect("a time");
    client
}

/// Asks once; whether the answer says that the connection ends.
#[track_caller]
fn ask(client: &mut TcpStream) -> bool {
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("it is open");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhere") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(&answer).contains("Connection: close")
}

fn has_ended(client: &mut TcpStream) -> bool {
    matches!(client.read(&mut [0]), Ok(0))
}

#[test]
fn clients_that_are_asked_to_leave_do_so_after_an_answer_and_new_ones_stay() {
    let (plane, addr) = plane(POLICY, 1);
    for _ in 0..2 {
        let mut before = open(addr);
        assert!(!ask(&mut before));
        plane.ask_to_leave(Duration::from_secs(60));
        wait_until("it is asked to leave", || ask(&mut before));
        assert!(has_ended(&mut before));
        let mut after = open(addr);
        assert!(!ask(&mut after) && !ask(&mut after));
    }
    end(plane);
}

#[test]
fn clients_that_wait_are_closed_after_the_grace_and_new_ones_wait_on() {
    let (plane, addr) = plane(POLICY, 1);
    let (mut used, mut fresh) = (open(addr), open(addr));
    assert!(!ask(&mut used));
    // Whoever is answered was accepted after those that came before.
    assert!(!ask(&mut open(addr)));
    let began = Instant::now();
    plane.ask_to_leave(Duration::from_millis(300));
    assert!(has_ended(&mut used) && has_ended(&mut fresh));
    assert!(began.elapsed() >= Duration::from_millis(250));
    let mut after = open(addr);
    assert!(!ask(&mut after));
    std::thread::sleep(Duration::from_millis(600));
    assert!(!ask(&mut after));
    end(plane);
}

#[test]
fn http_2_clients_are_told_to_go_away_and_new_ones_are_not() {
    let (plane, addr) = plane(POLICY, 1);
    let open_h2 = || {
        let mut client = open(addr);
        client.write_all(l7::PREFACE).expect("it is open");
        client
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .expect("it is open");
        assert_eq!(next_frame(&mut client), Some(4), "settings");
        client
    };
    let mut before = open_h2();
    plane.ask_to_leave(Duration::from_secs(60));
    let kinds: Vec<u8> = std::iter::from_fn(|| next_frame(&mut before)).collect();
    assert!(kinds.contains(&7), "no GOAWAY among {kinds:?}");
    let mut after = open_h2();
    // A question is answered, and by nothing else.
    after
        .write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        .expect("it is open");
    let kinds = std::iter::from_fn(|| next_frame(&mut after));
    assert_eq!(
        kinds.take_while(|kind| *kind != 6).find(|kind| *kind == 7),
        None
    );
    end(plane);
}

/// The kind of the next frame; `None` at the end.
fn next_frame(client: &mut TcpStream) -> Option<u8> {
    let mut head = [0; 9];
    client.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    client.read_exact(&mut vec![0; length as usize]).ok()?;
    Some(head[3])
}
