//! The admin interface: HTTP/1.1 on a socket of its own, served by the control plane's thread.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200: the process is alive |
//! | `GET /ready` | 200 when it takes traffic, 503 with the reason when it does not |
//! | `GET /status` | the state of everything, as JSON |
//! | `GET /metrics` | Prometheus text format |
//! | `POST /reload` | reads the policy again; 422 with the report when it is refused |
//! | `POST /reload?wait=no` | asks for the same; 202 at once |
//! | `POST /upgrade` | hands over to a new process of the program's file; 500 when it fails |
//! | `POST /upgrade?binary=PATH` | hands over to that program, on a Unix socket only |
//! | `POST /contact/yield` | gives the contact addresses up; 409 when nobody would take over |
//! | `POST /contact/resume` | stands for them again |
//!
//! Both of these take `?group=NUMBER`, and the first one `&force=yes`.
//!
//! There is no password yet. So requests that change something are refused where other hosts can
//! reach the socket, and on loopback the Host field must name the loopback, or else any web page
//! could have a browser on this machine ask for it (DNS rebinding).

mod contact;
mod guard;
mod site;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};

pub use guard::Reach;
pub use site::{Extra, Site};
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
            Ok(stream) => {
                let (site, phases) = (site.clone(), phases.clone());
                tokio::spawn(async move {
                    let served = connection(stream, site, reach, phases);
                    let _ = tokio::time::timeout(MAX_AGE, served).await;
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

async fn connection<S>(stream: S, site: Arc<Site>, reach: Reach, mut phases: watch::Receiver<Phase>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, std::convert::Infallible>(site.answer(request, reach).await) }
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
