//! Reloads under load: what is open stays open.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::WebSocket;
use crate::crowd::Crowd;
use crate::support::*;

/// WebSockets, and as many TCP connections, that are open all the while.
const STREAMS: usize = 100;

/// Reloads in the test: a thousand, or as many as the environment asks for.
fn reloads() -> usize {
    let asked = std::env::var("POINTSMAN_TEST_RELOADS").ok();
    asked.map_or(1000, |text| {
        text.parse().expect("POINTSMAN_TEST_RELOADS is a number")
    })
}

/// Every reload changes a weight, a header and a route: nothing of the policy is as it was.
fn changing(n: usize, one: &Backend, two: &Backend, echo: std::net::SocketAddr) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [listener.raw]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"raw\"\n\
         [[route]]\npool = \"app\"\nresponse_headers = {{ set = {{ X-Policy = \"{n}\" }} }}\n\
         [[route]]\nmatch = {{ path = \"/v{n}/*\" }}\npool = \"app\"\n\
         [pool.app]\nbackends = [{{ addr = \"{}\", weight = {} }}, \"{}\"]\n{CHECKED}\n\
         [pool.raw]\nbackends = [\"{echo}\"]\n",
        one.address,
        n % 5 + 1,
        two.address
    )
}

#[test]
fn reloads_under_load_fail_no_request_and_close_no_stream() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let echo = crate::scripted::Scripted::start(|mut conn, _| {
        // However long a busy disk holds the test up, it is not this server that closes.
        conn.0.get_ref().set_read_timeout(None).unwrap();
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = conn.0.read(&mut bytes) {
            if conn.send(&bytes[..count]).is_err() {
                return;
            }
        }
    });
    let switch = Switch::start(&changing(0, &one, &two, echo.address));
    switch.wait_for_states(&["up", "up"]);
    let (web, raw) = (switch.address("web"), switch.address("raw"));
    let mut sockets: Vec<_> = (0..STREAMS).map(|_| WebSocket::open(web, "/ws")).collect();
    let mut streams: Vec<_> = (0..STREAMS).map(|_| open_stream(raw)).collect();
    let crowd = Crowd::start(8, web, "/");
    let count = reloads();
    for n in 1..=count {
        switch.rewrite(&changing(n, &one, &two, echo.address));
        let (status, text) = switch.admin("POST", "/reload");
        assert_eq!(status, 200, "reload {n}: {text}");
        let socket = n % sockets.len();
        assert_eq!(
            sockets[socket].echo("ping").expect("the WebSocket is open"),
            "ping"
        );
        echo_once(&mut streams[socket]);
    }
    let tally = crowd.end();
    for (socket, stream) in sockets.iter_mut().zip(&mut streams) {
        assert_eq!(socket.echo("last").expect("the WebSocket is open"), "last");
        echo_once(stream);
    }
    assert_eq!(tally.failed, [""; 0], "of {} requests", tally.answered);
    assert!(tally.answered > 200, "there was load: {}", tally.answered);
    let metrics = switch.admin("GET", "/metrics").1;
    let counted = format!("pointsman_config_reloads_total{{result=\"success\"}} {count}\n");
    assert!(metrics.contains(&counted), "{counted} is not in\n{metrics}");
    say(&format!(
        "{count} reloads under load: {} requests, 0 failed; {STREAMS} WebSockets and {STREAMS} TCP streams, 0 closed",
        tally.answered
    ));
}

fn open_stream(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    echo_once(&mut stream);
    stream
}

fn echo_once(stream: &mut TcpStream) {
    stream.write_all(b"ping").expect("the stream is open");
    let mut got = [0; 4];
    stream.read_exact(&mut got).expect("the stream is open");
    assert_eq!(&got, b"ping");
}

#[test]
fn a_wrong_policy_under_load_changes_nothing() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let right = policy(&[one.address, two.address], CHECKED);
    let switch = Switch::start(&right);
    switch.wait_for_states(&["up", "up"]);
    let digest = switch.status()["policy"]["digest"].clone();
    let mut socket = WebSocket::open(switch.address("web"), "/ws");
    let crowd = Crowd::start(4, switch.address("web"), "/");
    for wrong in [
        "",
        "[listener.web\n",
        &right.replace("pool = \"app\"", "pool = \"ap\""),
    ] {
        std::fs::write(switch.file(), wrong).unwrap();
        let (status, why) = switch.admin("POST", "/reload");
        assert_eq!(status, 422, "{why}");
        assert!(why.contains("p.toml"), "{why}");
    }
    std::fs::remove_file(switch.file()).unwrap();
    let (status, why) = switch.admin("POST", "/reload");
    assert_eq!(status, 422, "a file that is gone is no empty policy: {why}");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(crowd.end().failed, [""; 0]);
    assert_eq!(socket.echo("ping").unwrap(), "ping");
    assert_eq!(switch.status()["policy"]["digest"], digest);
    assert_eq!(switch.status()["state"], "ready");
}
