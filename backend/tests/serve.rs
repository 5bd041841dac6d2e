//! The server over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Running, get, options, read_head, request};
use pointsman_backend::server::{Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn every_request_is_answered_with_the_name() {
    let server = Running::start(options("one")).await;
    for target in ["/", "/any/path?with=query"] {
        let answer = get(server.addr, target).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, b"one\n");
        assert_eq!(answer.header("x-backend"), Some("one"));
        assert_eq!(answer.header("endpoint-load-metrics"), None);
    }
    assert_eq!(server.control.requests().load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_server_without_a_name_answers_its_address() {
    let server = Running::start(Options::default()).await;
    assert_eq!(
        get(server.addr, "/").await.body,
        format!("{}\n", server.addr).as_bytes()
    );
}

#[tokio::test]
async fn health_is_what_the_handle_says_and_is_not_counted() {
    let server = Running::start(options("one")).await;
    assert_eq!(get(server.addr, "/healthz").await.body, b"ok\n");
    server.control.set_healthy(false);
    assert_eq!(get(server.addr, "/healthz").await.status, 503);
    assert_eq!(server.control.requests().load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn echo_gives_the_request_back() {
    let server = Running::start(options("one")).await;
    let text = "POST /echo?a=b HTTP/1.1\r\nhost: x\r\nx-twice: 1\r\nx-twice: 2\r\n\
                content-length: 5\r\nconnection: close\r\n\r\nhello";
    let answer = request(server.addr, text).await;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["method"], "POST");
    assert_eq!(told["target"], "/echo?a=b");
    assert_eq!(told["version"], "HTTP/1.1");
    assert_eq!(told["body"], "hello");
    assert_eq!(told["headers"][1], serde_json::json!(["x-twice", "1"]));
    assert_eq!(told["headers"][2], serde_json::json!(["x-twice", "2"]));
    assert!(told["client"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_body_too_long_to_echo_is_refused() {
    let server = Running::start(options("one")).await;
    let text = format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        2 << 20,
        "x".repeat(1 << 20) + "y",
    );
    assert_eq!(request(server.addr, &text).await.status, 413);
}

#[tokio::test]
async fn sizes_are_exact_and_bounded() {
    let padded = Running::start(Options {
        size: 100_000,
        ..options("one")
    })
    .await;
    let answer = get(padded.addr, "/").await;
    assert_eq!(answer.body.len(), 100_000);
    assert!(answer.body.starts_with(b"one\n"));
    assert_eq!(
        get(padded.addr, "/size/1048577").await.body.len(),
        1_048_577
    );
    assert_eq!(get(padded.addr, "/size/0").await.body.len(), 0);
    for target in [
        "/size/1073741825",
        "/size/-1",
        "/size/",
        "/size/99999999999999999999999",
    ] {
        assert_eq!(get(padded.addr, target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn a_head_request_is_answered_with_the_length_alone() {
    let server = Running::start(options("one")).await;
    let text = "HEAD /size/1000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = request(server.addr, text).await;
    assert_eq!(answer.header("content-length"), Some("1000"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn answers_are_held_back_as_long_as_asked() {
    let server = Running::start(Options {
        delay: Duration::from_millis(50),
        ..options("one")
    })
    .await;
    let start = Instant::now();
    get(server.addr, "/").await;
    assert!(start.elapsed() >= Duration::from_millis(50));
    let start = Instant::now();
    get(server.addr, "/delay/100ms").await;
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!(get(server.addr, "/delay/61s").await.status, 400);
    assert_eq!(get(server.addr, "/delay/100").await.status, 400);
}

#[tokio::test]
async fn the_share_of_errors_is_the_one_asked_for() {
    let server = Running::start(Options {
        errors: 0.25,
        ..options("one")
    })
    .await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(get(server.addr, "/").await.status == 500);
    }
    assert_eq!(failed, 10);
    assert_eq!(get(server.addr, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_stream_arrives_piece_by_piece() {
    let server = Running::start(options("one")).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let text = "GET /stream?n=3&every=100ms HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let start = Instant::now();
    stream.write_all(text.as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    let headed = start.elapsed();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(
        headed < start.elapsed() - Duration::from_millis(100),
        "the head came late"
    );
    assert_eq!(
        String::from_utf8(rest).unwrap(),
        "4\r\none\n\r\n".repeat(3) + "0\r\n\r\n"
    );
}

#[tokio::test]
async fn the_load_is_reported_when_asked_for() {
    let server = Running::start(Options {
        report_load: true,
        ..options("one")
    })
    .await;
    let answer = get(server.addr, "/").await;
    let report = answer.header("endpoint-load-metrics").unwrap();
    let numbers: Vec<f64> = report
        .strip_prefix("TEXT ")
        .unwrap()
        .split(',')
        .zip(["cpu_utilization=", "rps_fractional="])
        .map(|(pair, key)| pair.strip_prefix(key).unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 2);
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_spoken_on_the_same_port() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let server = Running::start(options("one")).await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, Empty<&[u8]>>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let ask = |target: &str| {
        let uri = format!("http://shop.test{target}");
        hyper::Request::get(uri).body(Empty::new()).unwrap()
    };
    let answer = sender.send_request(ask("/")).await.unwrap();
    assert_eq!(answer.headers()["x-backend"], "one");
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "one\n"
    );
    let told = sender.send_request(ask("/echo?a")).await.unwrap();
    let told = told.into_body().collect().await.unwrap().to_bytes();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["version"], "HTTP/2.0");
    assert_eq!(told["target"], "/echo?a");
    assert_eq!(told["authority"], "shop.test");
    assert_eq!(sender.send_request(ask("/ws")).await.unwrap().status(), 426);
}

#[tokio::test]
async fn options_that_cannot_be_met_are_refused() {
    for wrong in [
        options("two\nlines"),
        options(""),
        options("Ä"),
        Options {
            errors: 1.5,
            ..options("one")
        },
        Options {
            errors: f64::NAN,
            ..options("one")
        },
        Options {
            size: u64::MAX,
            ..options("one")
        },
    ] {
        let why = Server::bind(wrong.clone()).await.unwrap_err();
        assert_eq!(why.kind(), std::io::ErrorKind::InvalidInput, "{wrong:?}");
    }
    let taken = Running::start(options("one")).await;
    let listen: SocketAddr = taken.addr;
    let why = Server::bind(Options {
        listen,
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert_eq!(why.kind(), std::io::ErrorKind::AddrInUse);
}
