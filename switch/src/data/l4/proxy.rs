//! Forwards bytes between a client and a backend, both directions in one task.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::flow::{Broken, Flow};
use super::leg::Leg;
use crate::error::Side;

/// How long bytes of a client are still taken, and thrown away, after its backend stopped reading
/// and has sent its last: to close earlier would reset the connection, and the reset can overtake
/// the backend's last words (RFC 9112 9.6 tells of the same trouble).
const LINGER: Duration = Duration::from_secs(2);

/// Looks at a connection during the time that it may be silent. So the time is kept to within a
/// quarter, and forwarding needs no clock.
const LOOKS: u8 = 4;

/// Limits of a forwarded connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Silence in both directions after which the connection ends. It may take a quarter longer.
    pub idle: Duration,
}

/// Bytes that stood at the head of a stream and were read, or made, before it was forwarded.
#[derive(Debug, Default)]
pub struct Early {
    /// For the backend, before anything else: sniffed bytes, a PROXY protocol header.
    pub to_upstream: Vec<u8>,
    /// For the client.
    pub to_client: Vec<u8>,
}

/// Is told of bytes as they go over.
pub trait Meter {
    /// `bytes` went from the client to the backend.
    fn to_upstream(&self, bytes: u64);

    /// `bytes` went from the backend to the client.
    fn to_client(&self, bytes: u64);
}

/// Counts nothing.
impl Meter for () {
    fn to_upstream(&self, _bytes: u64) {}

    fn to_client(&self, _bytes: u64) {}
}

/// What became of a forwarded connection.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Bytes that the backend took.
    pub to_upstream: u64,
    /// Bytes that the client took.
    pub to_client: u64,
}

/// Why a forwarded connection ended.
#[derive(Debug)]
pub enum End {
    /// Both sides said that they are done.
    Closed,
    /// One side broke off; the other one was reset, unless all that it was sent is complete.
    Broken {
        /// The side that broke off: `Client` or `Endpoint`.
        side: Side,
        /// How.
        error: io::Error,
    },
    /// Nothing moved for as long as [`Limits::idle`].
    Silent,
}

/// Forwards until both directions have ended, one side breaks off, or there is silence. Both
/// connections are closed then.
///
/// The end of one direction is handed on and leaves the other one open (half-close, RFC 9293 3.6).
/// A connection that waits holds no buffer. Must run within a tokio runtime that has time enabled.
pub async fn forward<C: Leg, U: Leg>(
    client: C,
    upstream: U,
    early: Early,
    limits: &Limits,
    meter: &impl Meter,
) -> Outcome {
    let sleep = pin!(sleep(limits.idle / u32::from(LOOKS)));
    let mut pump = Pump {
        client,
        upstream,
        up: Flow::starting_with(early.to_upstream),
        down: Flow::starting_with(early.to_client),
        broken: None,
        silence: Silence::new(limits.idle, sleep),
    };
    let end = poll_fn(|cx| pump.poll(cx, meter)).await;
    Outcome {
        end,
        to_upstream: pump.up.moved,
        to_client: pump.down.moved,
    }
}

struct Pump<'a, C, U> {
    client: C,
    upstream: U,
    up: Flow,
    down: Flow,
    /// The side that takes nothing any more, while what it has sent is still being forwarded.
    broken: Option<(Side, io::Error)>,
    silence: Silence<'a>,
}

impl<C: Leg, U: Leg> Pump<'_, C, U> {
    fn poll(&mut self, cx: &mut Context<'_>, meter: &impl Meter) -> Poll<End> {
        let (up, down) = (self.up.moved, self.down.moved);
        let end = self.poll_flows(cx);
        let (up, down) = (self.up.moved - up, self.down.moved - down);
        if up > 0 {
            meter.to_upstream(up);
        }
        if down > 0 {
            meter.to_client(down);
        }
        if end.is_ready() || (up + down > 0 && self.silence.is_watched(cx.waker())) {
            return end;
        }
        let moved = self.up.moved + self.down.moved;
        self.silence.poll(cx, moved).map(|()| self.when_silent())
    }

    fn poll_flows(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.up.poll(cx, &mut self.client, &mut self.upstream) {
            Poll::Ready(Err(Broken::From(error))) => return self.cut(Side::Client, error),
            Poll::Ready(Err(Broken::To(error))) => self.outlive(Side::Endpoint, error),
            _ => {}
        }
        match self.down.poll(cx, &mut self.upstream, &mut self.client) {
            Poll::Ready(Err(Broken::From(error))) => return self.cut(Side::Endpoint, error),
            Poll::Ready(Err(Broken::To(error))) => self.outlive(Side::Client, error),
            _ => {}
        }
        self.poll_ended()
    }

    /// A side cannot be read: nothing more is to come from it, and the other one learns of it.
    fn cut(&mut self, side: Side, error: io::Error) -> Poll<End> {
        match side {
            Side::Client => self.upstream.reset_on_drop(),
            _ => self.client.reset_on_drop(),
        }
        let (side, error) = self.broken.take().unwrap_or((side, error));
        Poll::Ready(End::Broken { side, error })
    }

    /// A side cannot be written. What it sent before may still wait to be read, so the other
    /// direction goes on.
    fn outlive(&mut self, side: Side, error: io::Error) {
        match side {
            Side::Client => self.down.discard(),
            _ => self.up.discard(),
        }
        self.broken.get_or_insert((side, error));
    }

    fn poll_ended(&mut self) -> Poll<End> {
        let Some((side, error)) = &self.broken else {
            let ended = self.up.ended() && self.down.ended();
            return if ended {
                Poll::Ready(End::Closed)
            } else {
                Poll::Pending
            };
        };
        let (from_broken, to_broken) = match side {
            Side::Client => (&self.up, &self.down),
            _ => (&self.down, &self.up),
        };
        if !from_broken.ended() {
            return Poll::Pending;
        }
        // Linux answers EPIPE where the peer had ended its stream before it reset the connection,
        // and ECONNRESET where it had not (tcp_reset): then the stream is cut short.
        let cut_short = error.kind() == io::ErrorKind::ConnectionReset;
        if !cut_short && !to_broken.ended() {
            self.silence.allow(LINGER);
            return Poll::Pending;
        }
        match (cut_short, side) {
            (true, Side::Client) => self.upstream.reset_on_drop(),
            (true, _) => self.client.reset_on_drop(),
            (false, _) => {}
        }
        self.broken.take().map_or(Poll::Pending, |(side, error)| {
            Poll::Ready(End::Broken { side, error })
        })
    }

    fn when_silent(&mut self) -> End {
        match self.broken.take() {
            Some((side, error)) => End::Broken { side, error },
            None => End::Silent,
        }
    }
}

/// Watches for a connection on which nothing moves.
struct Silence<'a> {
    sleep: Pin<&'a mut Sleep>,
    between: Duration,
    /// Looks in a row that saw no progress.
    quiet: u8,
    /// What had moved at the last look.
    moved: u64,
    /// The connection is about to end whatever moves.
    closing: bool,
    watcher: Option<Waker>,
}

impl<'a> Silence<'a> {
    fn new(idle: Duration, sleep: Pin<&'a mut Sleep>) -> Self {
        let between = idle / u32::from(LOOKS);
        Self {
            sleep,
            between,
            quiet: 0,
            moved: 0,
            closing: false,
            watcher: None,
        }
    }

    /// Whether the next look is yet to come and will wake this task without any more doing.
    fn is_watched(&self, waker: &Waker) -> bool {
        !self.sleep.is_elapsed() && self.is_known(waker)
    }

    fn is_known(&self, waker: &Waker) -> bool {
        let watcher = self.watcher.as_ref();
        watcher.is_some_and(|watcher| watcher.will_wake(waker))
    }

    /// The connection ends after that time whatever moves. Later calls change nothing.
    fn allow(&mut self, time: Duration) {
        if !self.closing {
            self.closing = true;
            self.watcher = None;
            self.sleep.as_mut().reset(Instant::now() + time);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, moved: u64) -> Poll<()> {
        loop {
            if !self
                .watcher
                .as_ref()
                .is_some_and(|watcher| watcher.will_wake(cx.waker()))
            {
                self.watcher = Some(cx.waker().clone());
            }
            ready!(self.sleep.as_mut().poll(cx));
            self.quiet = if moved == self.moved {
                self.quiet + 1
            } else {
                0
            };
            self.moved = moved;
            if self.closing || self.quiet >= LOOKS {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(Instant::now() + self.between);
        }
    }
}
