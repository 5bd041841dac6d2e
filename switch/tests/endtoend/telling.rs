//! What the switch tells about what it did: metrics, access log, demo.

use std::collections::BTreeMap;

use crate::client::Conn;
use crate::programs::curl;
use crate::support::*;

/// The samples of one metric: labels and value.
fn samples(metrics: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter_map(|line| {
        let (labels, value) = line
            .strip_prefix(name)?
            .strip_prefix('{')?
            .rsplit_once("} ")?;
        Some((labels.to_owned(), value.parse().expect("a number")))
    });
    lines.collect()
}

#[test]
fn the_metrics_agree_with_the_requests_that_were_made() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let text = policy(&[one.address, two.address], "")
        .replace("[[route]]", "[[route]]\nname = \"tea\"\nmatch = { path = \"/tea\" }\nrespond = { status = 418 }\n[[route]]");
    let switch = Switch::start(&text);
    let address = switch.address("web");
    let mut conn = Conn::open(address);
    for _ in 0..20 {
        assert_eq!(conn.get("/size/1000").unwrap().status, 200);
    }
    for _ in 0..5 {
        assert_eq!(conn.post("/echo", "12345").unwrap().status, 200);
    }
    for _ in 0..3 {
        assert_eq!(conn.get("/tea").unwrap().status, 418);
    }
    let request = "BREW /size/10 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(conn.ask(request).unwrap().status, 200);
    let url = format!("http://{address}/size/1000");
    curl(&["--http2-prior-knowledge", "--output", "/dev/null", &url]);
    let expected = [
        ("default", "200", "GET", "HTTP/1.1", 20.0),
        ("default", "200", "POST", "HTTP/1.1", 5.0),
        ("default", "200", "_OTHER", "HTTP/1.1", 1.0),
        ("default", "200", "GET", "HTTP/2", 1.0),
        ("tea", "418", "GET", "HTTP/1.1", 3.0),
    ];
    let expected: BTreeMap<String, f64> = expected
        .into_iter()
        .map(|(route, code, method, protocol, count)| {
            let labels = format!(
                "listener=\"web\",route=\"{route}\",code=\"{code}\",method=\"{method}\",protocol=\"{protocol}\""
            );
            (labels, count)
        })
        .collect();
    wait_until("all are counted", || {
        let metrics = switch.admin("GET", "/metrics").1;
        samples(&metrics, "pointsman_requests_total")
            .values()
            .sum::<f64>()
            >= 30.0
    });
    let metrics = switch.admin("GET", "/metrics").1;
    assert_eq!(samples(&metrics, "pointsman_requests_total"), expected);
    let of_backends = samples(&metrics, "pointsman_backend_requests_total");
    assert_eq!(of_backends.values().sum::<f64>(), 27.0, "{of_backends:?}");
    let sent = samples(&metrics, "pointsman_request_bytes_total");
    assert_eq!(sent.get("route=\"default\""), Some(&25.0), "{sent:?}");
    let durations = samples(&metrics, "pointsman_request_duration_seconds_count");
    assert_eq!(durations.values().sum::<f64>(), 30.0, "{durations:?}");
    assert!(
        samples(&metrics, "pointsman_errors_total")
            .values()
            .all(|count| *count == 0.0)
    );
    let in_flight = samples(&metrics, "pointsman_requests_in_flight");
    assert!(
        in_flight.values().all(|count| *count == 0.0),
        "{in_flight:?}"
    );
}

#[test]
fn every_request_leaves_one_line_of_json() {
    let server = Backend::start("one");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let text = format!(
        "[access_log]\npath = \"{}\"\n{}",
        log.display(),
        policy(&[server.address], "")
    );
    let mut switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    assert_eq!(conn.get("/size/1000?secret=1").unwrap().status, 200);
    assert_eq!(conn.post("/echo", "12345").unwrap().status, 200);
    let mut strange = Conn::open(switch.address("web"));
    strange
        .send("GET /\"\\%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[31m\"}\r\n\r\n")
        .unwrap();
    let _ = strange.answer();
    let mut refused = Conn::open(switch.address("web"));
    refused.send("GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(refused.answer().unwrap().status, 400);
    let address = switch.address("web").to_string();
    drop((conn, strange, refused));
    switch.signal(rustix::process::Signal::TERM);
    assert_eq!(switch.wait_for_end(), 0);
    let text = std::fs::read_to_string(&log).expect("it was written");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() >= 3, "at {address}: {text}");
    // Every worker writes its lines by itself: their order tells nothing.
    let of = |path: &str| lines.iter().find(|line| line["path"] == path);
    let first = of("/size/1000").expect("a line, without the query, which may be private");
    assert_eq!(first["status"], 200);
    assert_eq!(first["method"], "GET");
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["pool"], "app");
    assert_eq!(first["backend"], server.address.to_string());
    assert_eq!(first["response_bytes"], 1000);
    let echo = of("/echo").expect("a line");
    assert_eq!(echo["request_bytes"], 5);
    assert!(
        first["duration"]
            .as_f64()
            .is_some_and(|time| time > 0.0 && time < 15.0),
        "{first}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_demo_runs_five_seconds_and_no_request_fails() {
    let (code, out, err) = run(&["demo", "--for", "5s", "--port", "0"]);
    assert_eq!(code, 0, "{out}\n{err}");
    let last = out.lines().last().unwrap_or_default();
    let (requests, rest) = last.split_once(' ').expect("a number and words");
    assert_eq!(rest, "requests, 0 failed", "{out}");
    assert!(requests.parse::<u32>().expect("a number") > 50, "{last}");
}
