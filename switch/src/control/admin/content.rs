//! What an answer holds: a text, or what comes as it happens.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer.
pub(super) type Answer = Response<Content>;

/// The content of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it.
    Whole(Full<Bytes>),
    /// Pieces, until the sender is gone.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Content {
    pub(super) fn text(text: String) -> Self {
        Self::Whole(Full::new(Bytes::from(text)))
    }

    pub(super) fn bytes(bytes: &'static [u8]) -> Self {
        Self::Whole(Full::new(Bytes::from_static(bytes)))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Pieces(pieces) => pieces
                .poll_recv(cx)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
