//! Checks of other kinds than a request or a connection, and what happens when too many fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::scripted::Scripted;
use crate::support::*;

/// A gRPC server over HTTP/2 that knows one service, `shop.Cart`, and the health of it.
struct GrpcServer {
    address: SocketAddr,
    /// `HealthCheckResponse.ServingStatus`
    status: Arc<AtomicU8>,
}

impl GrpcServer {
    fn start() -> Self {
        let status = Arc::new(AtomicU8::new(1));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let served = status.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let status = served.clone();
                    let service = service_fn(move |request| answer(request, status.clone()));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(connection);
                }
            });
        });
        Self { address, status }
    }
}

type Answer = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    status: Arc<AtomicU8>,
) -> Result<Response<Answer>, Infallible> {
    let right = request.uri().path() == "/grpc.health.v1.Health/Check"
        && request
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "application/grpc")
        && request
            .headers()
            .get("te")
            .is_some_and(|te| te == "trailers");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let known: [&[u8]; 2] = [b"\0\0\0\0\0", b"\0\0\0\0\x0b\n\x09shop.Cart"];
    let mut trailers = HeaderMap::new();
    let (message, code) = match right && known.contains(&&body[..]) {
        true => (vec![0, 0, 0, 0, 2, 8, status.load(Ordering::Relaxed)], "0"),
        false => (Vec::new(), "5"),
    };
    trailers.insert("grpc-status", code.parse().unwrap());
    let body = Full::from(message).with_trailers(async { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).unwrap())
}

const QUICK: &str = "interval = \"100ms\", timeout = \"2s\", fall = 1, rise = 1";

fn checked(address: SocketAddr, check: &str) -> Switch {
    Switch::start(&policy(
        &[address],
        &format!("health = {{ {check}, {QUICK} }}"),
    ))
}

fn error(switch: &Switch) -> String {
    let check = &switch.status()["pools"][0]["backends"][0]["last_check"];
    check["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_grpc_server_is_up_while_it_says_serving() {
    let server = GrpcServer::start();
    let whole = checked(server.address, "grpc = true");
    let cart = checked(server.address, "grpc = \"shop.Cart\"");
    let other = checked(server.address, "grpc = \"shop.Other\"");
    whole.wait_for_states(&["up"]);
    cart.wait_for_states(&["up"]);
    other.wait_for_states(&["down"]);
    assert_eq!(error(&other), "grpc-status 5");
    server.status.store(2, Ordering::Relaxed);
    cart.wait_for_states(&["down"]);
    assert_eq!(error(&cart), "NOT_SERVING");
    server.status.store(1, Ordering::Relaxed);
    cart.wait_for_states(&["up"]);
}

#[test]
fn a_server_that_speaks_no_grpc_is_down() {
    let server = Backend::start("one");
    let switch = checked(server.address, "grpc = true");
    switch.wait_for_states(&["down"]);
    assert!(!error(&switch).is_empty());
}

#[test]
fn a_conversation_that_goes_as_expected_passes() {
    let redis = Scripted::start(|mut conn, log| {
        while let Ok(line) = conn.line() {
            log.add(line.clone());
            let answer = if line == "PING" {
                "+PONG\r\n"
            } else {
                "-ERR\r\n"
            };
            if conn.send(answer).is_err() {
                return;
            }
        }
    });
    let switch = checked(redis.address, r#"send = 'PING\r\n', expect = "+PONG""#);
    switch.wait_for_states(&["up"]);
    assert_eq!(redis.log.lines()[0], "PING");
    let switch = checked(redis.address, r#"send = "HELLO\r\n", expect = "+PONG""#);
    switch.wait_for_states(&["down"]);
    assert!(error(&switch).contains("-ERR"), "{}", error(&switch));
}

#[test]
fn another_port_of_the_host_can_be_checked() {
    let (server, health) = (Backend::start("one"), Backend::start("health"));
    let port = health.address.port();
    let check = format!("path = \"/healthz\", port = {port}");
    let switch = checked(server.address, &check);
    switch.wait_for_states(&["up"]);
    assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    health.control.set_healthy(false);
    switch.wait_for_states(&["down"]);
}

/// Four servers of which three say that they are ill.
fn mostly_ill(rest: &str) -> (Vec<Backend>, Switch) {
    let all: Vec<Backend> = ["one", "two", "three", "four"].map(Backend::start).into();
    let addresses: Vec<SocketAddr> = all.iter().map(|backend| backend.address).collect();
    let switch = Switch::start(&policy(&addresses, &format!("{CHECKED}\n{rest}")));
    switch.wait_for_states(&["up"; 4]);
    for ill in &all[1..] {
        ill.control.set_healthy(false);
    }
    switch.wait_for_states(&["up", "down", "down", "down"]);
    (all, switch)
}

fn panic_of(switch: &Switch) -> (Option<String>, bool) {
    let panic = switch.status()["pools"][0]["panic"]
        .as_str()
        .map(str::to_owned);
    let metrics = switch.admin("GET", "/metrics").1;
    (panic, metrics.contains("pointsman_panic{pool=\"app\"} 1"))
}

#[test]
fn in_panic_requests_go_to_all_that_listen_and_it_is_seen() {
    let (all, switch) = mostly_ill("");
    assert_eq!(panic_of(&switch), (Some("spread".to_owned()), true));
    all[3].control.kill();
    wait_until("the one that refuses is left out", || {
        let check = &switch.status()["pools"][0]["backends"][3]["last_check"];
        check["error"]
            .as_str()
            .is_some_and(|error| error.contains("refused"))
    });
    let mut answers: Vec<_> = (0..12).map(|_| switch.get("/")).collect();
    answers.sort();
    answers.dedup();
    let expected = ["one\n", "three\n", "two\n"].map(|name| (200, name.to_owned()));
    assert_eq!(answers, expected);
    all[1].control.set_healthy(true);
    switch.wait_for_states(&["up", "up", "down", "down"]);
    assert_eq!(panic_of(&switch), (None, false));
}

#[test]
fn in_panic_with_fail_requests_are_refused_and_without_panic_the_few_serve() {
    let (_all, switch) = mostly_ill("panic = \"fail\"");
    assert_eq!(panic_of(&switch), (Some("fail".to_owned()), true));
    assert_eq!(switch.get("/").0, 503);
    let (_all, switch) = mostly_ill("panic_below = \"0%\"");
    assert_eq!(panic_of(&switch), (None, false));
    for _ in 0..8 {
        assert_eq!(switch.get("/"), (200, "one\n".to_owned()));
    }
}
