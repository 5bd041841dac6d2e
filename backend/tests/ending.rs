//! How a server ends: gracefully, or like a crash.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use common::{PATIENCE, Running, options, read_head};
use pointsman_backend::server::{Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let server = Running::start(options("one")).await;
    let addr = server.addr;
    let mut stream = ask(addr, "/delay/200ms").await;
    let ended = server.stop();
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert!(bytes.ends_with(b"one\n"));
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let server = Running::start(options("one")).await;
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    let mut used = ask(server.addr, "/").await;
    read_head(&mut used).await;
    let start = Instant::now();
    timeout(PATIENCE, server.stop()).await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_end_is_not_later_than_the_grace_time() {
    let grace = Duration::from_millis(100);
    let server = Running::start(Options {
        grace,
        ..options("one")
    })
    .await;
    let mut stream = ask(server.addr, "/delay/30s").await;
    let start = Instant::now();
    timeout(PATIENCE, server.stop()).await.unwrap().unwrap();
    assert!(start.elapsed() >= grace);
    assert_reset(&mut stream).await;
}

#[tokio::test]
async fn a_killed_server_resets_every_connection_and_refuses_new_ones() {
    let server = Running::start(options("one")).await;
    let mut waiting = ask(server.addr, "/delay/30s").await;
    let mut idle = ask(server.addr, "/").await;
    read_head(&mut idle).await;
    idle.read_exact(&mut [0; 4]).await.unwrap();
    let mut streaming = ask(server.addr, "/stream?n=1000").await;
    read_head(&mut streaming).await;
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    socket.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 101"));

    server.control.kill();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    for stream in [&mut waiting, &mut idle, &mut streaming, &mut socket] {
        assert_reset(stream).await;
    }
    let refused = TcpStream::connect(server.addr).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_no_connection() {
    let server = Server::bind(options("one")).await.unwrap();
    let addr = server.local_addr();
    let task = tokio::spawn(server.run(std::future::pending()));
    let mut stream = ask(addr, "/delay/30s").await;
    task.abort();
    assert_reset(&mut stream).await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn the_address_of_a_killed_server_can_be_taken_again_at_once() {
    let first = Running::start(options("one")).await;
    let mut stream = ask(first.addr, "/delay/30s").await;
    first.control.kill();
    timeout(PATIENCE, first.task).await.unwrap().unwrap();
    assert_reset(&mut stream).await;
    let again = Running::start(Options {
        listen: first.addr,
        ..options("two")
    })
    .await;
    assert_eq!(common::get(again.addr, "/").await.body, b"two\n");
}

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Sends a request and waits until the server has begun with it.
async fn ask(addr: std::net::SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let text = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream
}

/// Reads what had arrived already, and then a reset, not an orderly end.
async fn assert_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("an end in time");
    assert_eq!(
        read.map_err(|why| why.kind()),
        Err(ErrorKind::ConnectionReset)
    );
}
