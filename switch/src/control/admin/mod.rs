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
//!
//! There is no password yet. So requests that change something are refused where other hosts can
//! reach the socket, and on loopback the Host field must name the loopback, or else any web page
//! could have a browser on this machine ask for it (DNS rebinding).

mod guard;
mod site;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

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

/// Accepts connections for ever.
pub async fn serve(socket: Socket, site: Site) {
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
        match listener.accept().await {
            Ok(stream) => {
                let site = site.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(MAX_AGE, connection(stream, site, reach)).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: the next attempt must not come at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection<S>(stream: S, site: Arc<Site>, reach: Reach)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, std::convert::Infallible>(site.answer(request, reach).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
