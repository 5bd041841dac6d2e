//! Clients of every kind, who count what goes wrong. A connection that is closed between requests
//! is none of that; a request that was written and not answered is, and so is a refused connection.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::Conn;
use crate::support::PATIENCE;

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub answered: u64,
    /// Answers with `Connection: close` on a connection that was to be kept.
    pub told: u64,
    /// Connections that were closed while nothing was asked.
    pub closed_idle: u64,
    /// HTTP/2 requests that crossed the switch's GOAWAY on the wire.
    pub repeated: u64,
    pub failed: Vec<String>,
    pub refused: Vec<String>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} requests, {} failed, {} connections refused, {} kept ones told to leave, {} closed \
             while idle, {} HTTP/2 requests that crossed a GOAWAY",
            self.answered,
            self.failed.len(),
            self.refused.len(),
            self.told,
            self.closed_idle,
            self.repeated
        )
    }
}

impl Tally {
    /// Nothing went wrong, and there was some load.
    #[track_caller]
    pub fn assert_clean(&self, least: u64) {
        let wrong = (self.failed.len(), self.refused.len());
        let first = (self.failed.first(), self.refused.first());
        assert_eq!(wrong, (0, 0), "{first:?} of {} requests", self.answered);
        assert!(self.answered >= least, "{self:?}");
        assert!(
            self.told > 0,
            "kept connections are told to leave: {self:?}"
        );
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.told += other.told;
        self.closed_idle += other.closed_idle;
        self.repeated += other.repeated;
        self.failed.extend(other.failed);
        self.refused.extend(other.refused);
    }
}

/// Clients in threads of their own.
pub struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Kept connections with pauses from nothing to more than a second, new connections, and
    /// HTTP/2.
    pub fn start(address: SocketAddr) -> Self {
        let mut load = Self {
            over: Arc::default(),
            clients: Vec::new(),
        };
        for pause in [0, 0, 1, 2, 5, 20, 100, 600, 1100] {
            load.add(move |over| keep_asking(over, address, Duration::from_millis(pause)));
        }
        for _ in 0..2 {
            load.add(move |over| ask_anew(over, address));
        }
        load.add(move |over| ask_over_h2(over, address));
        load
    }

    fn add(&mut self, client: impl FnOnce(&AtomicBool) -> Tally + Send + 'static) {
        let over = self.over.clone();
        self.clients.push(std::thread::spawn(move || client(&over)));
    }

    /// Ends the clients and counts.
    pub fn end(self) -> Tally {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            all.add(client.join().expect("a client does not panic"));
        }
        all
    }
}

fn open(address: SocketAddr, tally: &mut Tally) -> Option<Conn> {
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            Some(Conn::of(stream))
        }
        Err(error) => {
            tally.refused.push(error.to_string());
            std::thread::sleep(Duration::from_millis(10));
            None
        }
    }
}

fn keep_asking(over: &AtomicBool, address: SocketAddr, pause: Duration) -> Tally {
    let (mut tally, mut kept) = (Tally::default(), None);
    while !over.load(Ordering::Relaxed) {
        let mut conn = match kept.take() {
            Some(conn) if is_open(&conn) => conn,
            before => {
                tally.closed_idle += u64::from(before.is_some());
                match open(address, &mut tally) {
                    Some(conn) => conn,
                    None => continue,
                }
            }
        };
        match conn.get("/") {
            Ok(answer) if answer.status == 200 => {
                tally.answered += 1;
                match answer.field("connection") {
                    Some("close") => tally.told += 1,
                    _ => kept = Some(conn),
                }
            }
            Ok(answer) => tally.failed.push(format!("kept: {answer:?}")),
            Err(error) => tally.failed.push(format!("kept, {pause:?} apart: {error}")),
        }
        std::thread::sleep(pause);
    }
    tally
}

/// Whether the other side has closed, as a client sees it that looks before it asks.
fn is_open(conn: &Conn) -> bool {
    let stream = conn.0.get_ref();
    stream.set_nonblocking(true).unwrap();
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn ask_anew(over: &AtomicBool, address: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    while !over.load(Ordering::Relaxed) {
        let Some(mut conn) = open(address, &mut tally) else {
            continue;
        };
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        match conn.ask(request) {
            Ok(answer) if answer.status == 200 => tally.answered += 1,
            Ok(answer) => tally.failed.push(format!("new: {answer:?}")),
            Err(error) => tally.failed.push(format!("new: {error}")),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    tally
}

/// HTTP/2, one request after the other on a connection, which is opened anew when the switch says
/// that it goes away.
fn ask_over_h2(over: &AtomicBool, address: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        while !over.load(Ordering::Relaxed) {
            if let Err(why) = until_goaway(over, address, &mut tally).await {
                tally.failed.push(format!("HTTP/2: {why}"));
            }
        }
    });
    tally
}

async fn until_goaway(
    over: &AtomicBool,
    address: SocketAddr,
    tally: &mut Tally,
) -> Result<(), String> {
    let stream = match tokio::net::TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            tally.refused.push(error.to_string());
            return Ok(());
        }
    };
    let shaken = h2::client::handshake(stream).await;
    let (mut client, connection) = shaken.map_err(|error| format!("handshake: {error}"))?;
    tokio::spawn(connection);
    while !over.load(Ordering::Relaxed) {
        client = match client.ready().await {
            Ok(client) => client,
            // Nothing was asked: the connection ended in order, or there is more to tell.
            Err(error) if error.is_go_away() && error.is_remote() => {
                tally.told += 1;
                return Ok(());
            }
            Err(error) => return Err(format!("not ready: {error:?}")),
        };
        let request = http::Request::get("http://localhost/").body(()).unwrap();
        let sent = client.send_request(request, true);
        let (answer, _) = sent.map_err(|error| format!("not sent: {error:?}"))?;
        let answer = match answer.await {
            Ok(answer) => answer,
            // The stream is beyond the last one that the switch has taken: nobody has seen the
            // request, and any client asks again (RFC 9113 6.8).
            Err(error) if error.is_go_away() && error.is_remote() => {
                tally.repeated += 1;
                return Ok(());
            }
            Err(error) => return Err(format!("no answer: {error:?}")),
        };
        let (head, mut body) = answer.into_parts();
        while let Some(part) = body.data().await {
            part.map_err(|error| format!("cut off: {error:?}"))?;
        }
        match head.status.as_u16() {
            200 => tally.answered += 1,
            other => return Err(format!("status {other}")),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// A download that takes its time.
pub struct Download(JoinHandle<Result<(), String>>);

/// More than the sockets on the way can hold.
const SIZE: usize = 24 << 20;

impl Download {
    /// Begins; at least `time` passes before the end.
    pub fn start(address: SocketAddr, time: Duration) -> Self {
        let mut conn = Conn::open(address);
        let target = format!("/size/{SIZE}");
        conn.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .unwrap();
        let head = conn.head().expect("an answer");
        assert_eq!(head.status, 200, "{head:?}");
        Self(std::thread::spawn(move || {
            let parts = 24;
            let mut part = vec![0; SIZE / parts];
            for n in 0..parts {
                let read = conn.0.read_exact(&mut part);
                read.map_err(|error| format!("part {n} of {parts}: {error}"))?;
                std::thread::sleep(time / 24);
            }
            Ok(())
        }))
    }

    /// Waits for its end, which must be the true one.
    #[track_caller]
    pub fn end(self) {
        assert_eq!(self.0.join().expect("no panic"), Ok(()));
    }
}
