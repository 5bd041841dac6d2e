//! Traces: from a client through the switch to a server, and to a collector.

mod collector;

use std::sync::atomic::Ordering::SeqCst;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use self::collector::{Collector, Taken, policy_for};
use crate::client::{Answer, Conn};
use crate::programs::curl;
use crate::scripted::{Scripted, ok};
use crate::support::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

fn sampled() -> String {
    format!("00-{TRACE}-{CLIENT}-01")
}

/// GET with these fields, each ended.
fn get(conn: &mut Conn, target: &str, fields: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n");
    conn.ask(&request).expect("an answer")
}

/// The values of a field that the server has seen, from its `/echo`.
fn seen(answer: &Answer, name: &str) -> Vec<String> {
    let told = answer.json();
    let fields = told["headers"].as_array().expect("a list").iter();
    let found = fields.filter(|field| field[0] == name);
    let value = |field: &serde_json::Value| field[1].as_str().expect("a text").to_owned();
    found.map(value).collect()
}

/// The parts of the one `traceparent` that the server has seen: trace, parent, flags.
#[track_caller]
fn context(answer: &Answer) -> (String, String, String) {
    let values = seen(answer, "traceparent");
    assert_eq!(values.len(), 1, "{values:?}");
    let parts: Vec<&str> = values[0].split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{values:?}");
    let lengths = [parts[1], parts[2], parts[3]].map(str::len);
    assert_eq!(lengths, [32, 16, 2], "{values:?}");
    let [trace, parent, flags] = [1, 2, 3].map(|at: usize| parts[at].to_owned());
    (trace, parent, flags)
}

fn of_kind(spans: &[Taken], kind: SpanKind) -> Vec<&Taken> {
    let kind = i32::from(kind);
    spans.iter().filter(|one| one.span.kind == kind).collect()
}

#[test]
fn client_switch_and_server_are_links_of_one_chain() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let text = format!(
        "{}[access_log]\npath = \"{}\"\n{}",
        collector.policy("sample = \"0%\"\nservice = \"edge\""),
        log.display(),
        policy(&[server.address], "")
    );
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let fields = format!(
        "traceparent: {}\r\ntracestate: a=1,b=2\r\nUser-Agent: me\r\n",
        sampled()
    );
    let answer = get(&mut conn, "/echo?secret=1", &fields);
    let (trace, parent, flags) = context(&answer);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_eq!(seen(&answer, "tracestate"), ["a=1,b=2"]);

    let spans = collector.spans(TRACE, 2);
    assert_eq!(spans.len(), 2);
    let own = of_kind(&spans, SpanKind::Server)[0];
    let tried = of_kind(&spans, SpanKind::Client)[0];
    assert_eq!(own.parent, CLIENT, "the client's span caused the switch's");
    assert_eq!(tried.parent, own.id, "that caused the try");
    assert_eq!(parent, tried.id, "and that is what the server was told");
    assert!(tried.took() > 0 && own.took() >= tried.took());

    assert_eq!(own.resource["service.name"], "edge");
    assert_eq!(own.span.name, "GET default");
    assert_eq!(own.span.trace_state, "a=1,b=2");
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("url.path", "/echo"),
        ("server.address", "shop.example"),
        ("client.address", "127.0.0.1"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "me"),
        ("pointsman.listener", "web"),
        ("pointsman.route", "default"),
        ("pointsman.pool", "app"),
    ] {
        assert_eq!(own.get(name), value, "{name}");
    }
    let address = server.address.to_string();
    let url = format!("http://{address}/echo");
    let port = server.address.port().to_string();
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.full", url.as_str()),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("network.peer.address", "127.0.0.1"),
        ("pointsman.backend", &address),
        ("pointsman.connection.reused", "false"),
    ] {
        assert_eq!(tried.get(name), value, "{name}");
    }
    let events: Vec<&str> = tried.span.events.iter().map(|one| &*one.name).collect();
    assert_eq!(events, ["connected", "head of the answer"]);
    assert!(own.span.status.is_none() && tried.span.status.is_none());

    wait_until("the log has the trace", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.contains("secret"), "{text}");
        text.contains(&format!("\"trace_id\":\"{TRACE}\""))
    });
    let exported = "pointsman_trace_spans_total{result=\"exported\"}";
    wait_until("they are counted", || switch.metric(exported) == 2.0);
}

#[test]
fn without_a_policy_for_traces_their_fields_pass_as_any_other() {
    let server = Backend::start("one");
    let switch = Switch::start(&policy(&[server.address], ""));
    let mut conn = Conn::open(switch.address("web"));
    for value in [sampled().as_str(), "what is this", ""] {
        let fields = format!("traceparent: {value}\r\ntracestate: a=1\r\n");
        let answer = get(&mut conn, "/echo", &fields);
        assert_eq!(seen(&answer, "traceparent"), [value]);
        assert_eq!(seen(&answer, "tracestate"), ["a=1"]);
    }
    let answer = get(&mut conn, "/echo", "");
    assert!(seen(&answer, "traceparent").is_empty());
}

#[test]
fn what_is_no_parent_begins_a_new_trace() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let text = collector.policy("sample = \"100%\"") + &policy(&[server.address], "");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let twice = format!("traceparent: {0}\r\ntraceparent: {0}\r\n", sampled());
    let upper = format!("traceparent: {}\r\n", sampled().to_uppercase());
    for fields in ["", "traceparent: what\r\n", &twice, &upper] {
        let answer = get(&mut conn, "/echo", &format!("{fields}tracestate: a=1\r\n"));
        let (trace, parent, flags) = context(&answer);
        assert_ne!(trace, TRACE);
        assert_eq!(flags, "01");
        let state = seen(&answer, "tracestate");
        assert!(state.is_empty(), "it belongs to another trace: {state:?}");
        let spans = collector.spans(&trace, 2);
        assert_eq!(of_kind(&spans, SpanKind::Server)[0].parent, "");
        assert_eq!(of_kind(&spans, SpanKind::Client)[0].id, parent);
    }
}

#[test]
fn who_does_not_sample_is_respected_and_so_is_the_policy() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let pool = policy(&[server.address], "");
    let switch = Switch::start(&(collector.policy("sample = \"0%\"") + &pool));
    let mut conn = Conn::open(switch.address("web"));
    let unsampled = format!("00-{TRACE}-{CLIENT}-00");
    let fields = format!("traceparent: {unsampled}\r\ntracestate: a=1\r\n");
    let answer = get(&mut conn, "/echo", &fields);
    assert_eq!(
        seen(&answer, "traceparent"),
        [unsampled.as_str()],
        "no span lies between"
    );
    assert_eq!(seen(&answer, "tracestate"), ["a=1"]);
    let first = context(&get(&mut conn, "/echo", ""));
    assert_eq!(first.2, "00", "a trace of its own, which nobody records");
    assert_ne!(context(&get(&mut conn, "/echo", "")).0, first.0);

    switch.rewrite(&(collector.policy("sample = \"100%\"") + &pool));
    assert_eq!(switch.reload(), 0);
    assert_eq!(
        seen(&get(&mut conn, "/echo", &fields), "traceparent"),
        [unsampled]
    );
    let (trace, _, flags) = context(&get(&mut conn, "/echo", ""));
    assert_eq!(flags, "01", "a reload is enough");
    collector.spans(&trace, 2);
    let all = collector.taken();
    assert!(all.iter().all(|span| span.trace == trace), "{all:?}");
}

#[test]
fn only_trusted_peers_are_believed_where_the_policy_says_so() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let text =
        collector.policy("sample = \"0%\"\nparents = \"trusted\"") + &policy(&[server.address], "");
    let switch = Switch::start(&text);
    let fields = format!("traceparent: {}\r\n", sampled());
    let mut conn = Conn::open(switch.address("web"));
    let (trace, _, flags) = context(&get(&mut conn, "/echo", &fields));
    assert_ne!(trace, TRACE);
    assert_eq!(flags, "00");
    let trusting = "[listener.web]\ntrusted = [\"127.0.0.0/8\"]";
    switch.rewrite(&text.replace("[listener.web]", trusting));
    assert_eq!(switch.reload(), 0);
    let mut conn = Conn::open(switch.address("web"));
    assert_eq!(context(&get(&mut conn, "/echo", &fields)).0, TRACE);
}

#[test]
fn a_retry_is_a_sibling_of_the_try_that_failed() {
    let (ill, well) = (
        Scripted::answering(|_| "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Scripted::answering(|_| ok("well")),
    );
    let collector = Collector::start();
    let pool = "health = { interval = \"10s\" }\neject = false";
    let text = collector.policy("sample = \"100%\"")
        + &policy(&[ill.address, free_address(), well.address], pool).replace(
            "[[route]]",
            "[[route]]\nretry = { on = [\"503\", \"connect\"], attempts = 3 }",
        );
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "down", "up"]);
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..6 {
        assert_eq!(conn.get("/").unwrap().text(), "well");
    }
    let served = ill.log.lines().len();
    assert!(served > 0);
    wait_until("all are exported", || {
        collector.taken().len() >= 12 + served
    });
    let all = collector.taken();
    let first = of_kind(&all, SpanKind::Client)
        .into_iter()
        .find(|one| {
            one.attributes
                .get("error.type")
                .is_some_and(|word| word == "503")
        })
        .expect("the ill one was tried");
    let mut spans = collector.spans(&first.trace, 3);
    spans.sort_by_key(|one| one.span.start_time_unix_nano);
    let own = of_kind(&spans, SpanKind::Server)[0];
    let tries = of_kind(&spans, SpanKind::Client);
    assert_eq!(tries.len(), 2);
    assert!(tries.iter().all(|one| one.parent == own.id));
    assert!(
        !tries[0]
            .attributes
            .contains_key("http.request.resend_count")
    );
    assert_eq!(tries[1].get("http.request.resend_count"), "1");
    assert!(tries[0].span.end_time_unix_nano <= tries[1].span.start_time_unix_nano);
    let status = tries[0].span.status.as_ref().expect("it failed");
    assert_eq!(status.code(), StatusCode::Error);
    assert!(tries[1].span.status.is_none() && own.span.status.is_none());
}

#[test]
fn a_hedge_is_a_sibling_and_the_loser_was_given_up() {
    let slow = Scripted::start(|mut conn, _| {
        let _ = conn.rest();
    });
    let quick = Scripted::answering(|_| ok("quick"));
    let collector = Collector::start();
    let pool = "health = { interval = \"10s\" }\neject = false";
    let text = collector.policy("sample = \"100%\"")
        + &policy(&[slow.address, quick.address], pool)
            .replace("[[route]]", "[[route]]\nretry = { hedge = \"50ms\" }");
    let switch = Switch::start(&text);
    switch.wait_for_states(&["up", "up"]);
    let mut conn = Conn::open(switch.address("web"));
    for _ in 0..4 {
        assert_eq!(conn.get("/").unwrap().text(), "quick");
    }
    let hedge = || {
        let all = collector.taken();
        let found = all
            .iter()
            .find(|one| one.attributes.contains_key("pointsman.hedge"));
        found.map(|one| one.trace.clone())
    };
    wait_until("a hedge is exported", || hedge().is_some());
    let spans = collector.spans(&hedge().unwrap(), 3);
    let tries = of_kind(&spans, SpanKind::Client);
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0].parent, tries[1].parent);
    let is_hedge = |one: &&&Taken| one.attributes.contains_key("pointsman.hedge");
    let (won, lost) = match is_hedge(&&tries[0]) {
        true => (tries[0], tries[1]),
        false => (tries[1], tries[0]),
    };
    assert_eq!(won.get("http.response.status_code"), "200");
    assert_eq!(lost.get("error.type"), "given_up");
    assert!(lost.took() >= 50_000_000, "{}", lost.took());
}

#[test]
fn what_fails_has_its_reason_in_the_trace() {
    let collector = Collector::start();
    let text = collector.policy("sample = \"100%\"") + &policy(&[free_address()], "");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let answer = conn.get("/").unwrap();
    assert!(answer.status >= 500);
    wait_until("it is exported", || !collector.taken().is_empty());
    let all = collector.taken();
    let own = of_kind(&all, SpanKind::Server)[0];
    let told = answer.field("proxy-status").expect("a reason");
    assert!(told.contains(own.get("error.type")), "{told}: {own:?}");
    assert_eq!(
        own.get("http.response.status_code"),
        answer.status.to_string()
    );
}

#[test]
fn http2_requests_are_traced_as_well() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let text = collector.policy("") + &policy(&[server.address], "");
    let switch = Switch::start(&text);
    let url = format!("http://{}/echo", switch.address("web"));
    let field = format!("traceparent: {}", sampled());
    let told = curl(&["--http2-prior-knowledge", "--header", &field, &url]);
    assert!(told.contains(&format!("00-{TRACE}-")), "{told}");
    let spans = collector.spans(TRACE, 2);
    let own = of_kind(&spans, SpanKind::Server)[0];
    assert_eq!(own.get("network.protocol.version"), "2");
    assert_eq!(own.parent, CLIENT);
}

#[test]
fn a_collector_that_is_away_delays_no_request_and_gets_the_spans_later() {
    let server = Backend::start("one");
    let address = free_address();
    let text = policy_for(address, "sample = \"100%\"") + &policy(&[server.address], "");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let (trace, _, _) = context(&get(&mut conn, "/echo", ""));
    let failures = "pointsman_trace_exports_total{result=\"failure\"}";
    wait_until("an export has failed", || switch.metric(failures) > 0.0);
    for _ in 0..100 {
        assert_eq!(conn.get("/").unwrap().status, 200);
    }
    let collector = Collector::start_at(address);
    collector.spans(&trace, 2);
    wait_until("none is missing", || collector.taken().len() == 202);
    // One that will not have them for good.
    collector.status.store(400, SeqCst);
    assert_eq!(conn.get("/").unwrap().status, 200);
    let lost = "pointsman_trace_spans_total{result=\"lost\"}";
    wait_until("they are counted as lost", || switch.metric(lost) == 2.0);
}

#[test]
fn the_last_spans_are_exported_when_the_switch_ends() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let text = collector.policy("sample = \"100%\"") + &policy(&[server.address], "");
    let mut switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    let (trace, _, _) = context(&get(&mut conn, "/echo", ""));
    drop(conn);
    switch.signal(rustix::process::Signal::TERM);
    assert_eq!(switch.wait_for_end(), 0);
    assert_eq!(collector.spans(&trace, 2).len(), 2);
}

#[test]
fn who_asks_for_open_metrics_gets_exemplars() {
    let (server, collector) = (Backend::start("one"), Collector::start());
    let text = collector.policy("sample = \"0%\"") + &policy(&[server.address], "");
    let switch = Switch::start(&text);
    let mut conn = Conn::open(switch.address("web"));
    get(&mut conn, "/echo", "");
    get(
        &mut conn,
        "/echo",
        &format!("traceparent: {}\r\n", sampled()),
    );
    let scrape = |accept: &str| {
        let socket = switch.folder.path().join("admin.sock");
        let accept = format!("Accept: {accept}");
        let socket = socket.to_str().expect("a path in UTF-8");
        curl(&[
            "--unix-socket",
            socket,
            "--header",
            &accept,
            "http://localhost/metrics",
        ])
    };
    let shown = format!("# {{trace_id=\"{TRACE}\"}} ");
    let mut page = String::new();
    wait_until("the request is counted", || {
        page = scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
        page.contains(&shown)
    });
    for family in ["request", "backend_request"] {
        let bucket = format!("pointsman_{family}_duration_seconds_bucket{{");
        let lines = page.lines().filter(|line| line.starts_with(&bucket));
        assert_eq!(
            lines.filter(|line| line.contains(&shown)).count(),
            1,
            "{page}"
        );
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert!(
        page.contains("le=\"1.0\"") && page.contains("le=\"+Inf\""),
        "{page}"
    );
    assert!(!scrape("text/plain").contains("trace_id"));
}
