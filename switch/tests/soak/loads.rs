//! What goes on at once. Polite loads count their failures, the others only how often they ran.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Conn;
use crate::support::{Backend, PATIENCE};

/// How often everything happened, and what went wrong for polite clients.
#[derive(Debug, Default)]
pub struct Tally {
    kept: AtomicU64,
    fresh: AtomicU64,
    uploads: AtomicU64,
    streams: AtomicU64,
    aborted: AtomicU64,
    slow: AtomicU64,
    deaths: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn fail(&self, what: &str, why: impl std::fmt::Debug) {
        let mut failures = self.failures.lock().expect("nobody panics within");
        failures.push(format!("{what}: {why:?}"));
    }

    /// Everything happened, and no polite client failed.
    pub fn judge(&self) {
        let failures = self.failures.lock().expect("nobody panics within");
        assert!(failures.is_empty(), "{failures:#?}");
        for (what, count, least) in [
            ("requests on kept connections", &self.kept, 200),
            ("requests on new connections", &self.fresh, 100),
            ("uploads", &self.uploads, 20),
            ("HTTP/2 streams", &self.streams, 100),
            ("aborted requests", &self.aborted, 50),
            ("slow readers", &self.slow, 4),
            ("deaths of a server", &self.deaths, 2),
        ] {
            let count = count.load(Ordering::Relaxed);
            assert!(count >= least, "only {count} {what}");
        }
    }
}

/// Starts every load; each ends soon after `until`.
pub fn start(
    address: SocketAddr,
    mortal: Backend,
    until: Instant,
    tally: &Arc<Tally>,
) -> Vec<JoinHandle<()>> {
    let loads: [fn(SocketAddr, Instant, &Tally); 7] =
        [kept, kept, fresh, uploads, streams, aborted, slow];
    let mut threads: Vec<_> = loads
        .into_iter()
        .map(|load| {
            let tally = tally.clone();
            std::thread::spawn(move || load(address, until, &tally))
        })
        .collect();
    let tally = tally.clone();
    threads.push(std::thread::spawn(move || deaths(mortal, until, &tally)));
    threads
}

fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// GETs on one connection after the other, 500 on each.
fn kept(address: SocketAddr, until: Instant, tally: &Tally) {
    while Instant::now() < until {
        let mut conn = Conn::open(address);
        for _ in 0..500 {
            match conn.get("/") {
                Ok(answer) if answer.status == 200 => tally.kept.fetch_add(1, Ordering::Relaxed),
                other => return tally.fail("kept", other),
            };
            if Instant::now() > until {
                return;
            }
            pause();
        }
    }
}

fn fresh(address: SocketAddr, until: Instant, tally: &Tally) {
    while Instant::now() < until {
        match Conn::open(address).get("/") {
            Ok(answer) if answer.status == 200 => tally.fresh.fetch_add(1, Ordering::Relaxed),
            other => return tally.fail("fresh", other),
        };
        pause();
    }
}

/// Bodies in chunks of odd sizes, which come back.
fn uploads(address: SocketAddr, until: Instant, tally: &Tally) {
    for round in 0usize.. {
        if Instant::now() > until {
            return;
        }
        let part = "0123456789abcdef".repeat(1 + round * 37 % 700);
        let mut conn = Conn::open(address);
        let mut request = String::from(
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for _ in 0..8 {
            request += &format!("{:x}\r\n{part}\r\n", part.len());
        }
        request += "0\r\n\r\n";
        match conn.ask(&request) {
            Ok(answer) if answer.status == 200 && answer.json()["body"] == part.repeat(8) => {
                tally.uploads.fetch_add(1, Ordering::Relaxed);
            }
            other => return tally.fail("upload", other.map(|answer| answer.status)),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// HTTP/2: 20 streams at a time, some of them cancelled.
fn streams(address: SocketAddr, until: Instant, tally: &Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    while Instant::now() < until {
        let round = async { tokio::time::timeout(PATIENCE, one_round(address, tally)).await };
        match runtime.block_on(round) {
            Ok(Ok(())) => std::thread::sleep(Duration::from_millis(20)),
            other => return tally.fail("streams", other),
        }
    }
}

async fn one_round(address: SocketAddr, tally: &Tally) -> Result<(), Box<dyn std::error::Error>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (requests, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let mut requests = requests.ready().await?;
    let mut answers = Vec::new();
    for n in 0..20 {
        let path = if n % 5 == 0 { "/size/100000" } else { "/" };
        let request = http::Request::get(format!("http://localhost{path}"));
        let request = request.body(()).expect("a request");
        let (answer, mut body) = requests.send_request(request, n % 7 != 3)?;
        if n % 7 == 3 {
            body.send_reset(h2::Reason::CANCEL);
        } else {
            // Each is read by itself: their windows are one.
            answers.push(tokio::spawn(read(answer)));
        }
        requests = requests.ready().await?;
    }
    for answer in answers {
        match answer.await?? {
            200 => tally.streams.fetch_add(1, Ordering::Relaxed),
            other => return Err(format!("status {other}").into()),
        };
    }
    driver.abort();
    Ok(())
}

async fn read(answer: h2::client::ResponseFuture) -> Result<u16, h2::Error> {
    let answer = answer.await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(part) = body.data().await {
        body.flow_control().release_capacity(part?.len())?;
    }
    Ok(status)
}

/// Clients that leave: within the head, within the body, before the answer, within it.
fn aborted(address: SocketAddr, until: Instant, tally: &Tally) {
    let beginnings = [
        "GET / HT",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "GET /size/10000000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nX : y\r\n\r\n",
    ];
    for round in 0usize.. {
        if Instant::now() > until {
            return;
        }
        let mut conn = Conn::open(address);
        let _ = conn.send(beginnings[round % beginnings.len()]);
        if round % 3 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if round % 2 == 0 {
            let _ = socket2::SockRef::from(conn.0.get_ref()).set_linger(Some(Duration::ZERO));
        }
        tally.aborted.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Clients that read a little of much, then leave.
fn slow(address: SocketAddr, until: Instant, tally: &Tally) {
    while Instant::now() < until {
        let mut conns: Vec<Conn> = (0..8).map(|_| Conn::open(address)).collect();
        for conn in &mut conns {
            let _ = conn.send("GET /size/50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        let mut some = [0; 1000];
        for _ in 0..10 {
            for conn in &mut conns {
                let _ = conn.0.get_mut().read(&mut some);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        tally.slow.fetch_add(8, Ordering::Relaxed);
    }
}

/// A server that dies and comes back.
fn deaths(mortal: Backend, until: Instant, tally: &Tally) {
    let address = mortal.address;
    let mut alive = Some(mortal);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1500));
        drop(alive.take());
        tally.deaths.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1000));
        alive = Some(Backend::start_at("mortal", address));
    }
}
