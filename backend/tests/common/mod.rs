//! What the tests share: a running server and a plain HTTP/1.1 client.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_backend::server::{Control, Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than any answer that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The options of a server of this name, on a free port.
pub(crate) fn options(name: &str) -> Options {
    Options {
        name: Some(name.into()),
        ..Options::default()
    }
}

/// A server that runs in the test's own runtime.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) control: Control,
    pub(crate) task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) async fn start(options: Options) -> Self {
        let server = Server::bind(options).await.unwrap();
        let (addr, control) = (server.local_addr(), server.control());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            control,
            task,
            stop,
        }
    }

    /// Asks the server to end gracefully.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.task
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// GET on a connection of its own.
pub(crate) async fn get(addr: SocketAddr, target: &str) -> Answer {
    request(
        addr,
        &format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
    .await
}

/// Sends a text and reads the answer to the end of the connection.
pub(crate) async fn request(addr: SocketAddr, text: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // A reset after the answer is no fault: the server need not read a body that it refused.
    let _ = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer in time");
    Answer::parse(&bytes)
}

/// Reads the head of an answer, and nothing after it.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
