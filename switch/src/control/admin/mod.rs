//! The admin interface: HTTP/1.1 on a socket of its own, served by the control plane's thread.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200: the process is alive |
//! | `GET /ready` | 200 when it takes traffic, 503 with the reason when it does not |
//! | `GET /` | the dashboard; its files lie below `/ui/` |
//! | `GET /status` | the state of everything, as JSON; `?pool=NAME&backend=NAME` for a part of it |
//! | `GET /live` | what the dashboard shows, as server-sent events, once a second |
//! | `GET /history` | the last hour of the whole, or of `?listener=`, `?route=`, `?pool=`, `&backend=` |
//! | `GET /events` | what has happened, as lines of JSON; `?after=NUMBER`, `?since=TIME` |
//! | `GET /events?follow=yes` | the same, and what happens from now on |
//! | `GET /policy` | the policy in force, thing by thing, without its secrets |
//! | `GET /plan` | what a reload would change; 422 with the problems when the file is wrong |
//! | `GET /explain?method=GET&url=URL` | what would become of a request, and why |
//! | `POST /trace?method=GET&url=URL` | a token for a request that is watched, and where to send it |
//! | `GET /trace?token=TOKEN` | what became of that request, once; 202 while it goes on |
//! | `GET /metrics` | Prometheus text format, or OpenMetrics with exemplars for who accepts it |
//! | `POST /reload` | reads the policy again; 422 with the report when it is refused |
//! | `POST /reload?wait=no` | asks for the same; 202 at once |
//! | `POST /upgrade` | hands over to a new process of the program's file; 500 when it fails |
//! | `POST /upgrade?binary=PATH` | hands over to that program, on a Unix socket only |
//! | `POST /backend/drain` | a backend takes no new requests; 409 when nobody else would serve |
//! | `POST /backend/disable` | the same, and its TCP connections and tunnels are closed |
//! | `POST /backend/weight` | a backend has another weight than in the policy |
//! | `POST /backend/enable` | takes all of that back |
//! | `POST /contact/yield` | gives the contact addresses up; 409 when nobody would take over |
//! | `POST /contact/resume` | stands for them again |
//!
//! The last two take `?group=NUMBER`, and the first of them `&force=yes`. Orders about backends take
//! `?pool=NAME&backend=NAME`, and `&for=10m&why=TEXT&force=yes`, the weight as `&weight=NUMBER`.
//!
//! With `admin.token`, requests that change something must show it over TCP. Without it they are
//! refused where other hosts can reach the socket ([`guard`]). There, what tells of servers and
//! their state needs the token, too, unless a process of this host asks. On loopback the Host field
//! must name the loopback, or else any web page could have a browser on this machine ask for it (DNS
//! rebinding); and nothing is done for a page of another site. A Unix socket's file says who may ask.

mod backend;
mod contact;
mod content;
mod events;
mod guard;
mod history;
mod live;
mod metrics;
mod page;
mod plan;
mod query;
mod site;
mod socket;
mod status;
mod token;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};

pub use guard::Reach;
pub use site::{Extra, Parts, Site};
pub use socket::{Socket, default_paths};

/// Connections that are served at once.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, and between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that one connection is kept.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;

/// What the interface is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accept no connections yet.
    Waits,
    /// Answer.
    Serves,
    /// Accept no more, answer what was asked, close what is idle.
    Ends {
        /// Another process listens on the same socket.
        handed_over: bool,
    },
}

/// Accepts connections while the phase is [`Phase::Serves`].
pub async fn serve(socket: Socket, site: Site, mut phases: watch::Receiver<Phase>) {
    if phases
        .wait_for(|phase| *phase != Phase::Waits)
        .await
        .is_err()
    {
        return;
    }
    let site = Arc::new(site);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let reach = socket.reach();
    let Ok(listener) = socket.listen() else {
        tracing::error!("the admin interface cannot be served");
        return;
    };
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            phase = ended(&mut phases) => {
                if phase == Some(Phase::Ends { handed_over: true }) {
                    listener.hand_over();
                } else {
                    drop(listener);
                }
                drop(place);
                break;
            }
        };
        match accepted {
            Ok((stream, from)) => {
                let caller = Caller {
                    reach,
                    from,
                    phases: phases.clone(),
                    follows: Arc::default(),
                };
                let site = site.clone();
                tokio::spawn(async move {
                    let follows = caller.follows.clone();
                    let mut served = std::pin::pin!(connection(stream, site, caller));
                    while tokio::time::timeout(MAX_AGE, &mut served).await.is_err() {
                        if !follows.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: the next attempt must not come at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    // The last answers.
    let _ = places.acquire_many(MAX_CONNECTIONS as u32).await;
}

/// Waits for the end; `None` when nobody is left to tell of it.
async fn ended(phases: &mut watch::Receiver<Phase>) -> Option<Phase> {
    let ended = phases.wait_for(|phase| matches!(phase, Phase::Ends { .. }));
    ended.await.ok().map(|phase| *phase)
}

/// Who asks.
#[derive(Debug, Clone)]
struct Caller {
    reach: Reach,
    /// `None` on a Unix socket.
    from: Option<IpAddr>,
    phases: watch::Receiver<Phase>,
    /// Whether it follows events: then its connection may grow old.
    follows: Arc<AtomicBool>,
}

async fn connection<S>(stream: S, site: Arc<Site>, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut phases = caller.phases.clone();
    let service = hyper::service::service_fn(move |request| {
        let (site, caller) = (site.clone(), caller.clone());
        async move { Ok::<_, std::convert::Infallible>(site.answer(request, &caller).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = &mut served => return,
        _ = ended(&mut phases) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}
