//! Servers that report their load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pointsman_backend::server::Options;

use crate::support::{Backend, Kept, Switch, policy, wait_until};

/// A server whose disk serves one request in this time; everything is a miss.
fn server(name: &str, miss: u64) -> Backend {
    Backend::start_with(Options {
        name: Some(name.to_owned()),
        miss: Duration::from_millis(miss),
        report_load: true,
        ..Options::default()
    })
}

fn head(address: std::net::SocketAddr) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_ascii_lowercase()
}

#[test]
fn a_server_that_reports_more_capacity_gets_more_requests() {
    let servers = [server("strong", 2), server("weak", 10)];
    let addresses = servers.each_ref().map(|server| server.address);
    let switch = Switch::start(&policy(&addresses, "load_report = true"));
    let address = switch.address("web");
    let over = AtomicBool::new(false);
    let load = || {
        let mut kept = Kept::open(address);
        while !over.load(Ordering::Relaxed) {
            kept.get("/").expect("an answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(load);
        scope.spawn(load);
        let counts = || {
            servers
                .each_ref()
                .map(|server| server.control.requests().load(Ordering::Relaxed))
        };
        let mut last = counts();
        // Equal shares are what it begins with.
        wait_until("the strong one gets more than twice as many", || {
            std::thread::sleep(Duration::from_millis(500));
            let now = counts();
            let [strong, weak] = [0, 1].map(|place| now[place] - last[place]);
            last = now;
            strong > 2 * weak && weak > 0
        });
        over.store(true, Ordering::Relaxed);
    });
    let status = switch.status();
    let used = &status["pools"][0]["backends"][1]["utilization"];
    assert!(used.as_f64().is_some_and(|used| used > 0.0), "{used}");
    let (_, metrics) = switch.admin("GET", "/metrics");
    assert!(
        metrics.contains("pointsman_backend_utilization{"),
        "{metrics}"
    );
}

#[test]
fn reports_are_kept_from_clients_where_they_are_heard() {
    let server = server("one", 1);
    for (pool, passes) in [("load_report = true", false), ("", true)] {
        let switch = Switch::start(&policy(&[server.address], pool));
        let head = head(switch.address("web"));
        assert!(head.contains("x-backend: one"), "{head}");
        assert_eq!(head.contains("endpoint-load-metrics"), passes, "{head}");
    }
}
