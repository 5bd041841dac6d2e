//! The bodies of answers. However long they are, they hold at most one chunk in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Bytes of filling that are sent at once at most.
const CHUNK: usize = 64 << 10;
static FILLING: [u8; CHUNK] = [b'.'; CHUNK];

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// A text, then so many bytes of filling.
    Padded {
        /// Sent first.
        text: Bytes,
        /// Bytes of filling that are left.
        filling: u64,
    },
    /// The same line again and again, one at each tick.
    Ticking {
        /// The line.
        line: Bytes,
        /// How many are left.
        left: u64,
        /// When they are sent.
        ticks: Interval,
    },
}

impl Content {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Padded {
            text: text.into(),
            filling: 0,
        }
    }

    /// A text, filled up to a size.
    pub(super) fn padded(text: impl Into<Bytes>, size: u64) -> Self {
        let text = text.into();
        let filling = size.saturating_sub(text.len() as u64);
        Self::Padded { text, filling }
    }

    /// `count` lines, the first one at once and then one every so often.
    pub(super) fn ticking(line: impl Into<Bytes>, count: u64, every: Duration) -> Self {
        let mut ticks = interval_at(Instant::now(), every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Ticking {
            line: line.into(),
            left: count,
            ticks,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match self.get_mut() {
            Self::Padded { text, .. } if !text.is_empty() => std::mem::take(text),
            Self::Padded { filling: 0, .. } | Self::Ticking { left: 0, .. } => {
                return Poll::Ready(None);
            }
            Self::Padded { filling, .. } => {
                let length = (*filling).min(CHUNK as u64);
                *filling -= length;
                Bytes::from_static(&FILLING[..length as usize])
            }
            Self::Ticking { line, left, ticks } => {
                ready!(ticks.poll_tick(cx));
                *left -= 1;
                line.clone()
            }
        };
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Padded { text, filling } => text.is_empty() && *filling == 0,
            Self::Ticking { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Padded { text, filling } => SizeHint::with_exact(text.len() as u64 + filling),
            Self::Ticking { .. } => SizeHint::default(),
        }
    }
}
