//! One of the two connections that a forwarded byte stream runs over.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::pipe::{SpliceFlags, splice};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};

use crate::data::stream::Stream;

const SPLICE: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// A connection that bytes are forwarded over.
///
/// The methods have defaults that suit connections whose bytes pass through this program's memory
/// (TLS, an upgraded HTTP connection); kernel sockets override all of them.
pub trait Leg: AsyncRead + AsyncWrite + Unpin {
    /// Whether the two splice methods work.
    fn splices(&self) -> bool {
        false
    }

    /// Moves bytes that have arrived, `most` at most, into an empty pipe without copying them
    /// (splice(2)); 0 is the end of the stream.
    ///
    /// # Errors
    /// The connection's, or `Unsupported`.
    fn poll_splice_into(
        &mut self,
        _cx: &mut Context<'_>,
        _pipe: BorrowedFd<'_>,
        _most: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Moves the `held` bytes of a pipe, or as many as the connection takes, onto the connection.
    ///
    /// # Errors
    /// The connection's, or `Unsupported`.
    fn poll_splice_from(
        &mut self,
        _cx: &mut Context<'_>,
        _pipe: BorrowedFd<'_>,
        _held: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Lets the connection end with a reset once it is dropped, so that its peer knows that the
    /// stream broke off. Without such a means it just ends.
    fn reset_on_drop(&self) {}
}

macro_rules! kernel_socket {
    ($($socket:ty)*) => {$(
        impl Leg for $socket {
            fn splices(&self) -> bool {
                true
            }

            fn poll_splice_into(
                &mut self,
                cx: &mut Context<'_>,
                pipe: BorrowedFd<'_>,
                most: usize,
            ) -> Poll<io::Result<usize>> {
                loop {
                    ready!(self.poll_read_ready(cx))?;
                    let moved = self.try_io(Interest::READABLE, || {
                        Ok(splice(self.as_fd(), None, pipe, None, most, SPLICE)?)
                    });
                    if !blocked(&moved) {
                        return Poll::Ready(moved);
                    }
                }
            }

            fn poll_splice_from(
                &mut self,
                cx: &mut Context<'_>,
                pipe: BorrowedFd<'_>,
                held: usize,
            ) -> Poll<io::Result<usize>> {
                loop {
                    ready!(self.poll_write_ready(cx))?;
                    let moved = Cell::new(0);
                    let result = self.try_io(Interest::WRITABLE, || {
                        moved.set(splice(pipe, None, self.as_fd(), None, held, SPLICE)?);
                        // The kernel stops short only when the send buffer is full. To say so
                        // clears the readiness and spares the call that would find out.
                        if moved.get() < held {
                            return Err(io::ErrorKind::WouldBlock.into());
                        }
                        Ok(moved.get())
                    });
                    if moved.get() > 0 {
                        return Poll::Ready(Ok(moved.get()));
                    }
                    if !blocked(&result) {
                        return Poll::Ready(result);
                    }
                }
            }

            fn reset_on_drop(&self) {
                // A refusal leaves an orderly end: the best that is left.
                let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
            }
        }
    )*};
}

kernel_socket!(TcpStream UnixStream);

/// What TLS carries passes through this program's memory; all else is spliced.
impl Leg for Stream {
    fn splices(&self) -> bool {
        !self.is_tls()
    }

    fn poll_splice_into(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(tcp) => tcp.poll_splice_into(cx, pipe, most),
            Stream::Unix(unix) => unix.poll_splice_into(cx, pipe, most),
            Stream::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn poll_splice_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        held: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(tcp) => tcp.poll_splice_from(cx, pipe, held),
            Stream::Unix(unix) => unix.poll_splice_from(cx, pipe, held),
            Stream::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn reset_on_drop(&self) {
        Stream::reset_on_drop(self);
    }
}

fn blocked(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    ))
}
