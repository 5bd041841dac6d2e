//! After a 101: bytes both ways until both sides ended, or nothing moved for too long.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;

use crate::data::buffer::{Buffer, SMALL};
use crate::data::lines::Line;
use crate::data::stream::Stream;
use crate::data::timer::Alarm;

/// Bytes that went through a tunnel.
#[derive(Debug, Default, Clone, Copy)]
pub struct Moved {
    /// From the client to the backend.
    pub up: u64,
    /// From the backend to the client.
    pub down: u64,
}

/// One direction of a tunnel.
struct Way<'a> {
    buffer: &'a mut Buffer,
    ended: bool,
    closed: bool,
    moved: u64,
}

impl Way<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.buffer.is_empty() {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.filled()))?;
                self.buffer.consume(n);
                self.moved += n as u64;
            } else if self.closed {
                return Poll::Ready(Ok(()));
            } else if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.closed = true;
            } else {
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                self.ended = ready!(self.buffer.poll_read_from(cx, from, SMALL))? == 0;
            }
        }
    }
}

/// Moves bytes both ways, until the line is cut at the latest. What was read from either side already lies in its buffer.
pub async fn run(
    client: (&mut Stream, &mut Buffer),
    backend: (&mut Stream, &mut Buffer),
    line: &Line,
    alarm: &Alarm,
    idle: Duration,
) -> Moved {
    let mut up = Way {
        buffer: client.1,
        ended: false,
        closed: false,
        moved: 0,
    };
    let mut down = Way {
        buffer: backend.1,
        ended: false,
        closed: false,
        moved: 0,
    };
    let (client, backend) = (client.0, backend.0);
    let mut seen = None;
    let moves = pin!(poll_fn(|cx| {
        let upward = up.poll(cx, client, backend);
        let downward = down.poll(cx, backend, client);
        match (upward, downward) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
            _ => (),
        }
        let moved = up.moved + down.moved;
        let fired = seen.is_some() && alarm.poll_fired(cx).is_ready();
        if fired && seen == Some(moved) {
            return Poll::Ready(());
        }
        if fired || seen.is_none() {
            seen = Some(moved);
            alarm.set(Instant::now(), idle);
            let _ = alarm.poll_fired(cx);
        }
        Poll::Pending
    }));
    let _ = line.unless_cut(moves).await;
    Moved {
        up: up.moved,
        down: down.moved,
    }
}
