use std::net::SocketAddr;
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
