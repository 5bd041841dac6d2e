//! Somebody who asks for pages: about fifty a second over four connections, each request once. A
//! request counts as failed when the answer does not come whole or says that the server is at
//! fault.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

const CONNECTIONS: u32 = 4;
/// Of one connection; four of them make fifty requests a second.
const EVERY: Duration = Duration::from_millis(80);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The requests.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What came of the requests.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) last_failure: Option<String>,
}

#[derive(Debug)]
struct Shared {
    front: SocketAddr,
    running: AtomicBool,
    ended: AtomicBool,
    requests: AtomicU64,
    failed: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl Load {
    /// Asks nothing yet.
    pub(super) fn start(front: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            front,
            running: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_failure: Mutex::new(None),
        });
        let clients = shared.clone();
        let thread = std::thread::Builder::new()
            .name("demo-load".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let client = |place| tokio::spawn(client(clients.clone(), place));
                    let all: Vec<_> = (0..CONNECTIONS).map(client).collect();
                    for one in all {
                        let _ = one.await;
                    }
                });
            })?;
        Ok(Self { shared, thread })
    }

    pub(super) fn set_running(&self, running: bool) {
        self.shared.running.store(running, Ordering::Relaxed);
    }

    pub(super) fn is_running(&self) -> bool {
        self.shared.running.load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Waits for the requests under way and makes no more.
    pub(super) fn stop(self) -> Counts {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.shared.counts()
    }
}

impl Shared {
    fn counts(&self) -> Counts {
        let last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_failure: last.clone(),
        }
    }
}

async fn client(shared: Arc<Shared>, place: u32) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::time::sleep(EVERY / CONNECTIONS * place).await;
    let mut connection = None;
    while !shared.ended.load(Ordering::Relaxed) {
        ticks.tick().await;
        if !shared.running.load(Ordering::Relaxed) {
            continue;
        }
        let request = ask(&mut connection, shared.front);
        let result = tokio::time::timeout(TIMEOUT, request).await;
        let result = result.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        shared.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(why) = result {
            connection = None;
            shared.failed.fetch_add(1, Ordering::Relaxed);
            *shared
                .last_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }
}

async fn ask(
    connection: &mut Option<SendRequest<Empty<Bytes>>>,
    front: SocketAddr,
) -> Result<(), String> {
    let mut kept = connection.take();
    if let Some(sender) = &mut kept
        && sender.ready().await.is_err()
    {
        kept = None;
    }
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(front).await?,
    };
    let request = Request::get("/")
        .header("host", front.to_string())
        .body(Empty::new());
    let request = request.map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    response
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    *connection = Some(sender);
    if status.is_server_error() {
        Err(format!("status {status}"))
    } else {
        Ok(())
    }
}

async fn connect(front: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(front)
        .await
        .map_err(|error| error.to_string())?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}
