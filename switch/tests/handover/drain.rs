use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Conn, WebSocket};
use crate::load::{Download, Load};
use crate::rounds;
use crate::service::Service;
use crate::support::{Backend, CHECKED, policy, say, wait_until};

/// A policy whose listener is at the address of this socket.
fn at(socket: &TcpListener, backend: &Backend, drain: &str) -> String {
    let text = policy(&[backend.address], CHECKED);
    let bind = socket.local_addr().expect("bound").to_string();
    format!(
        "[process]\ndrain = \"{drain}\"\n{}",
        text.replace("127.0.0.1:0", &bind)
    )
}

#[test]
fn restarts_on_a_socket_of_the_service_manager_fail_and_refuse_nothing() {
    let one = Backend::start("one");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let web = socket.local_addr().expect("bound");
    let text = at(&socket, &one, "10s");
    let mut service = Service::start_with(&text, Some(socket));
    let load = Load::start(web);
    let (count, mut longest) = (rounds(), Duration::ZERO);
    for _ in 0..count {
        let download = Download::start(web, Duration::from_millis(400));
        let started = Instant::now();
        let pid = service.pid();
        service.signal(Signal::TERM);
        assert_eq!(service.wait_for_end(pid), Some(0));
        longest = longest.max(started.elapsed());
        service.start_anew();
        download.end();
        std::thread::sleep(Duration::from_millis(100));
    }
    let tally = load.end();
    tally.assert_clean(50 * count as u64);
    say(&format!(
        "{count} restarts under load: {tally}; drained within {longest:?}"
    ));
}

#[test]
fn a_client_that_asks_within_the_grace_is_answered_and_told_to_leave() {
    let one = Backend::start("one");
    let mut service = Service::start(&policy(&[one.address], ""));
    let web = service.address("web");
    let (mut quick, mut idle, mut fresh) = (Conn::open(web), Conn::open(web), Conn::open(web));
    quick.get("/").unwrap();
    idle.get("/").unwrap();
    wait_until("all are accepted", || service.status()["connections"] == 3);
    let (pid, started) = (service.pid(), Instant::now());
    service.signal(Signal::TERM);
    wait_until("it drains", || service.admin("GET", "/ready").0 == 503);
    std::thread::sleep(Duration::from_millis(300));
    for conn in [&mut quick, &mut fresh] {
        let answer = conn.get("/").expect("an answer within the grace");
        assert_eq!(
            (answer.status, answer.field("connection")),
            (200, Some("close"))
        );
        assert_eq!(conn.rest(), b"", "closed in order");
    }
    assert_eq!(idle.rest(), b"", "closed in order");
    let took = started.elapsed();
    assert_eq!(service.wait_for_end(pid), Some(0));
    let grace = Duration::from_millis(950)..Duration::from_secs(3);
    assert!(grace.contains(&took), "{took:?}");
}

#[test]
fn a_websocket_goes_on_until_the_time_for_draining_is_over() {
    let one = Backend::start("one");
    let text = format!("[process]\ndrain = \"2s\"\n{}", policy(&[one.address], ""));
    let mut service = Service::start(&text);
    let mut socket = WebSocket::open(service.address("web"), "/ws");
    let (pid, started) = (service.pid(), Instant::now());
    service.signal(Signal::TERM);
    while started.elapsed() < Duration::from_millis(1700) {
        assert_eq!(socket.echo("ping").expect("it is open"), "ping");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(service.wait_for_end(pid), Some(0));
    let took = started.elapsed();
    assert!(took > Duration::from_millis(1950), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(socket.echo("ping").is_err());
}

#[test]
fn a_socket_that_fits_no_listener_is_told_of_and_left_alone() {
    let one = Backend::start("one");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = socket.local_addr().expect("bound").to_string();
    let service = Service::start_with(&policy(&[one.address], ""), Some(socket));
    wait_until("it is told of", || {
        let told = format!("the service manager listens at {place}");
        service.log().contains(&told)
    });
    let web = service.address("web");
    assert_eq!(crate::support::get(web, "/").0, 200);
}
