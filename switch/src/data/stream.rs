//! A connection's bytes, whatever carries them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// One established connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS with a client or a backend; boxed, as its state is large and idle connections are many.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether bytes or the end have arrived, asked without waiting. `false` also while nothing is
    /// known.
    pub fn has_news(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Stream::Tcp(tcp) => tcp.try_read(&mut byte),
            Stream::Unix(unix) => unix.try_read(&mut byte),
            Stream::Tls(tls) => tls.get_ref().0.try_read(&mut byte),
        };
        !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether bytes or the end have arrived, asked of the kernel itself.
    pub fn has_news_now(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match self {
            Stream::Tcp(tcp) => socket2::SockRef::from(tcp).peek(&mut byte),
            Stream::Unix(unix) => socket2::SockRef::from(unix).peek(&mut byte),
            Stream::Tls(tls) => socket2::SockRef::from(tls.get_ref().0).peek(&mut byte),
        };
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when the peer has gone away without having sent anything that was not read. Of what has
    /// sent more, and of Unix sockets, that is not known.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let tcp = match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
            Stream::Unix(_) => return Poll::Pending,
        };
        let mut byte = [0];
        match ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
            Ok(n) if n > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Whether each write becomes a record of its own, so that small parts are better joined.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The scheme of requests on it.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// Ends the connection so that the peer sees a reset, not an orderly end.
    pub fn reset(self) {
        self.reset_on_drop();
    }

    /// Lets the connection end with a reset once it is dropped. Unix sockets know none.
    pub fn reset_on_drop(&self) {
        let tcp = match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
            Stream::Unix(_) => return,
        };
        // A connection for which it fails is gone already.
        let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => poll_recv(tcp, cx, room),
            Stream::Unix(unix) => Pin::new(unix).poll_read(cx, room),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => poll_send(tcp, cx, bytes),
            Stream::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Stream::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, parts),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// recv(2) straight from the kernel: the C library's wrapper keeps account of thread cancellation,
/// which nobody uses here and which costs about as much as all else that this function does.
///
/// A short read leaves nothing behind, so readiness is taken back at once, as tokio does it, and
/// no second call is needed to learn that.
fn poll_recv(
    tcp: &TcpStream,
    cx: &mut Context<'_>,
    room: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let free = room.initialize_unfilled();
    let most = free.len();
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        let mut moved = None;
        let outcome = tcp.try_io(Interest::READABLE, || {
            let (n, _) = rustix::net::recv(tcp, &mut *free, RecvFlags::empty())?;
            moved = Some(n);
            exhausted(n, most)
        });
        match (moved, outcome) {
            (Some(n), _) => {
                room.advance(n);
                return Poll::Ready(Ok(()));
            }
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            (None, _) => (),
        }
    }
}

/// send(2) in the same way.
fn poll_send(tcp: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        let mut moved = None;
        let outcome = tcp.try_io(Interest::WRITABLE, || {
            let n = rustix::net::send(tcp, bytes, SendFlags::NOSIGNAL)?;
            moved = Some(n);
            exhausted(n, bytes.len())
        });
        match (moved, outcome) {
            (Some(n), _) => return Poll::Ready(Ok(n)),
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            (None, _) => (),
        }
    }
}

/// Tells tokio that the socket has no more when it moved less than was asked for.
fn exhausted(moved: usize, most: usize) -> io::Result<()> {
    match moved {
        n if n > 0 && n < most => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
