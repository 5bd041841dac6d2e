//! One accepted connection: HTTP until it ends, is drained, or is reset.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::answer::Site;
use super::control::Stage;
use super::until;

/// From a request's first byte to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// HTTP/2 streams at once per connection.
const STREAMS: u32 = 1024;

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    site: Arc<Site>,
    mut stage: watch::Receiver<Stage>,
) {
    // A failure means that the peer is gone already; reading will tell.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Resettable {
        stream,
        stage: stage.clone(),
    });
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request, client).await) }
    });
    let builder = builder();
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));
    tokio::select! {
        _ = serving.as_mut() => return,
        () = until(&mut stage, Stage::Draining) => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        () = until(&mut stage, Stage::Killed) => {}
        _ = serving => {}
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS);
    builder
}

/// A connection that is reset, not closed, when it is dropped by a server that was killed.
struct Resettable {
    stream: TcpStream,
    stage: watch::Receiver<Stage>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if *self.stage.borrow() == Stage::Killed {
            // Closing with a linger time of zero sends a reset and drops what is unsent.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
