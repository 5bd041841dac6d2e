//! The WebSocket echo, spoken by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{PATIENCE, Running, get, options, read_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MASK: [u8; 4] = [1, 2, 3, 4];

#[tokio::test]
async fn frames_come_back_as_they_were_sent() {
    let server = Running::start(options("one")).await;
    let mut socket = open(&server).await;
    for (first, payload) in [
        (0x81, b"hello".to_vec()),
        (0x02, vec![7; 300]),
        (0x80, vec![8; 70_000]),
        (0x81, Vec::new()),
    ] {
        send(&mut socket, first, &payload).await;
        assert_eq!(receive(&mut socket).await, (first, payload));
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_is_confirmed() {
    let server = Running::start(options("one")).await;
    let mut socket = open(&server).await;
    send(&mut socket, 0x89, b"still there?").await;
    assert_eq!(receive(&mut socket).await, (0x8A, b"still there?".to_vec()));
    send(&mut socket, 0x8A, b"unasked").await;
    send(&mut socket, 0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(
        receive(&mut socket).await,
        (0x88, 1000_u16.to_be_bytes().to_vec())
    );
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_closes_with_its_status() {
    let server = Running::start(options("one")).await;
    for (bytes, status) in [
        (&b"\x81\x05hello"[..], 1002_u16),
        (b"\x82\xFF\0\0\0\0\xFF\0\0\0\x01\x02\x03\x04", 1009),
    ] {
        let mut socket = open(&server).await;
        socket.write_all(bytes).await.unwrap();
        assert_eq!(
            receive(&mut socket).await,
            (0x88, status.to_be_bytes().to_vec())
        );
    }
}

#[tokio::test]
async fn a_server_that_ends_says_goodbye() {
    let server = Running::start(options("one")).await;
    let mut socket = open(&server).await;
    let ended = server.stop();
    assert_eq!(
        receive(&mut socket).await,
        (0x88, 1001_u16.to_be_bytes().to_vec())
    );
    timeout(PATIENCE, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_plain_request_is_told_to_upgrade() {
    let server = Running::start(options("one")).await;
    let answer = get(server.addr, "/ws").await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
}

async fn open(server: &Running) -> TcpStream {
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let text = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\n\
                upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(text.as_bytes()).await.unwrap();
    let head = read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    socket
}

async fn send(socket: &mut TcpStream, first: u8, payload: &[u8]) {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    socket.write_all(&out).await.unwrap();
}

async fn receive(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let first = socket.read_u8().await.unwrap();
        let length = match socket.read_u8().await.unwrap() {
            126 => u64::from(socket.read_u16().await.unwrap()),
            127 => socket.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await.unwrap();
        (first, payload)
    };
    timeout(PATIENCE, read).await.expect("a frame in time")
}
