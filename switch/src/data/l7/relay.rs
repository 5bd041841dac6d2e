//! Moving one exchange's bytes: the request up to the backend and the response down to the client,
//! both at once, each with backpressure. One task, one future, no locks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;

use super::body::{self, Decoder, Part};
use super::client::Client;
use super::head::{Framing, RequestHead, ResponseHead};
use super::parse;
use crate::data::buffer::{LARGE, SMALL};
use crate::data::timer::Alarm;
use crate::data::upstream::Connection;
use crate::error::Reason;

/// Bytes of a response's head at most.
const RESPONSE_HEAD: usize = 256 * 1024;
/// Content that is joined with its chunk's framing in one write.
const CHUNK: usize = 16 * 1024;
/// How often a body's rate is looked at.
const WINDOW: Duration = Duration::from_secs(5);

/// Time limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the request's last byte to the response's head; also for silence within its body.
    pub response: Duration,
    /// Bytes per second that the request's body must come with.
    pub body_rate: u64,
    /// How long the client may take nothing of the response.
    pub stall: Duration,
    /// When the whole exchange must have ended.
    pub total: Option<Instant>,
    /// When the response's head must have come.
    pub per_try: Option<Instant>,
    /// Bytes of the request's body.
    pub max_body: u64,
}

/// Where the request stands on its way up.
#[derive(Debug)]
pub struct Upload {
    framing: Framing,
    /// Everything was sent, or the backend takes no more.
    pub done: bool,
    /// The backend stopped taking the request before its end.
    pub broken: bool,
    ended: bool,
    /// Content bytes taken from the client.
    pub bytes: u64,
    waits_for_client: bool,
    /// The client waits for 100 Continue before it sends anything.
    patient: bool,
    /// A byte of the head went out.
    begun: bool,
}

impl Upload {
    /// A request whose head lies in the connection's output.
    pub fn new(request: &RequestHead) -> Self {
        Self {
            framing: request.framing,
            done: false,
            broken: false,
            ended: request.framing == Framing::None,
            bytes: 0,
            waits_for_client: false,
            patient: request.expects_continue,
            begun: false,
        }
    }

    /// Whether not one byte of the request can have reached the backend.
    pub fn nothing_sent(&self) -> bool {
        self.bytes == 0 && !self.begun
    }

    fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        up: &mut Connection,
        max_body: u64,
    ) -> Poll<Result<(), Reason>> {
        loop {
            self.waits_for_client = false;
            let before = up.output.len();
            let written = up.output.poll_write_to(cx, &mut up.stream);
            self.begun |= up.output.len() < before;
            if ready!(written).is_err() {
                return Poll::Ready({
                    self.give_up();
                    Ok(())
                });
            }
            if self.ended {
                up.output.release();
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            self.waits_for_client = true;
            match ready!(client.poll_body(cx))? {
                Part::Content(n) => {
                    self.waits_for_client = false;
                    let n = ready!(self.pass(cx, client, up, n));
                    let Some(n) = n else {
                        return Poll::Ready({
                            self.give_up();
                            Ok(())
                        });
                    };
                    client.took(n);
                    self.bytes += n as u64;
                    if self.bytes > max_body {
                        return Poll::Ready(Err(Reason::BodyTooLarge));
                    }
                }
                Part::NeedMore | Part::End => {
                    self.ended = true;
                    if self.framing == Framing::Chunked {
                        body::last_chunk(&mut up.output, client.trailers());
                    }
                }
            }
        }
    }

    /// The backend takes no more; it may have answered all the same.
    fn give_up(&mut self) {
        self.broken = true;
        self.done = true;
    }

    /// Hands content to the backend; `None` when it takes no more.
    fn pass<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &C,
        up: &mut Connection,
        n: usize,
    ) -> Poll<Option<usize>> {
        let content = &client.content()[..n];
        if self.framing == Framing::Chunked {
            let content = &content[..n.min(CHUNK)];
            body::chunk(&mut up.output, content);
            return Poll::Ready(Some(content.len()));
        }
        match ready!(Pin::new(&mut up.stream).poll_write(cx, content)) {
            Ok(n) if n > 0 => Poll::Ready(Some(n)),
            _ => Poll::Ready(None),
        }
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// Whether a byte of the response had come.
    pub answered: bool,
}

impl Fault {
    fn new(reason: Reason, answered: bool) -> Self {
        Self { reason, answered }
    }

    /// The same where an interim response may have come before.
    pub fn after(self, answered: bool) -> Self {
        Self {
            answered: self.answered || answered,
            ..self
        }
    }
}

/// Watches over one exchange's time limits.
#[derive(Debug)]
pub struct Watch<'a> {
    alarm: &'a Alarm,
    limits: Limits,
    progress: u64,
}

impl<'a> Watch<'a> {
    /// A watch that is not running yet.
    pub fn new(alarm: &'a Alarm, limits: Limits) -> Self {
        Self {
            alarm,
            limits,
            progress: 0,
        }
    }

    /// The same by another alarm.
    pub fn by<'b>(self, alarm: &'b Alarm) -> Watch<'b> {
        let Self {
            limits, progress, ..
        } = self;
        Watch {
            alarm,
            limits,
            progress,
        }
    }

    fn start(&mut self, after: Duration) {
        let now = Instant::now();
        let ends = [self.limits.total, self.limits.per_try];
        let left = ends
            .into_iter()
            .flatten()
            .min()
            .map(|end| end.saturating_duration_since(now));
        self.alarm
            .set(now, left.map_or(after, |left| left.min(after)));
    }

    fn total_passed(&self) -> bool {
        self.limits
            .total
            .is_some_and(|total| Instant::now() >= total)
    }

    /// Checks on the request's body: its client must keep the rate.
    fn on_upload(&mut self, cx: &mut Context<'_>, upload: &Upload) -> Result<(), Reason> {
        if self.alarm.poll_fired(cx).is_pending() {
            return Ok(());
        }
        if self.total_passed() {
            return Err(Reason::TotalTimeout);
        }
        let came = upload.bytes - self.progress;
        self.progress = upload.bytes;
        // Nobody may wait for 100 Continue for ever (RFC 9110 10.1.1), so it is the client's turn.
        if upload.patient && upload.bytes == 0 {
            return Err(Reason::BodyTimeout);
        }
        if upload.waits_for_client && came < self.limits.body_rate.saturating_mul(WINDOW.as_secs())
        {
            return Err(Reason::BodyTimeout);
        }
        if !upload.waits_for_client && came == 0 {
            return Err(Reason::Timeout);
        }
        self.start(WINDOW);
        // The alarm must know whom to wake the next time.
        let _ = self.alarm.poll_fired(cx);
        Ok(())
    }

    fn on_head(&self, cx: &mut Context<'_>) -> Result<(), Reason> {
        match self.alarm.poll_fired(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) if self.total_passed() => Err(Reason::TotalTimeout),
            Poll::Ready(()) => Err(Reason::Timeout),
        }
    }

    fn on_body(&mut self, cx: &mut Context<'_>, download: &Download) -> Result<(), Reason> {
        if self.alarm.poll_fired(cx).is_pending() {
            return Ok(());
        }
        if self.total_passed() {
            return Err(Reason::TotalTimeout);
        }
        if download.bytes == self.progress {
            return Err(match download.waits_for_client {
                true => Reason::ClientStalled,
                false => Reason::Timeout,
            });
        }
        self.progress = download.bytes;
        self.start(self.body_window());
        let _ = self.alarm.poll_fired(cx);
        Ok(())
    }

    fn body_window(&self) -> Duration {
        self.limits.response.min(self.limits.stall)
    }
}

/// Sends the request as far as it goes and waits for the head of a response.
pub async fn head<C: Client>(
    client: &mut C,
    up: &mut Connection,
    upload: &mut Upload,
    watch: &mut Watch<'_>,
    to_head: bool,
) -> Result<ResponseHead, Fault> {
    let mut seen = 0;
    watch.progress = upload.bytes;
    watch.start(if upload.done || upload.patient {
        watch.limits.response
    } else {
        WINDOW
    });
    poll_fn(|cx| {
        if !upload.done {
            match upload.poll(cx, client, up, watch.limits.max_body) {
                Poll::Ready(Ok(())) => watch.start(watch.limits.response),
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(Fault::new(reason, seen > 0))),
                Poll::Pending => (),
            }
        }
        if let Poll::Ready(outcome) = poll_head(cx, up, &mut seen, to_head) {
            return Poll::Ready(outcome);
        }
        // An interim response may be waiting to go out.
        let flushed = client.poll_flush(cx);
        let checked = if let Poll::Ready(Err(reason)) = flushed {
            Err(reason)
        } else if upload.done {
            match client.poll_gone(cx) {
                Poll::Ready(reason) => Err(reason),
                Poll::Pending => watch.on_head(cx),
            }
        } else {
            watch.on_upload(cx, upload)
        };
        match checked {
            Ok(()) => Poll::Pending,
            Err(reason) => Poll::Ready(Err(Fault::new(reason, seen > 0))),
        }
    })
    .await
}

fn poll_head(
    cx: &mut Context<'_>,
    up: &mut Connection,
    seen: &mut usize,
    to_head: bool,
) -> Poll<Result<ResponseHead, Fault>> {
    loop {
        if up.input.len() > *seen {
            // Without a line's end in what is new the head cannot have become complete.
            let news = memchr::memchr(b'\n', &up.input.filled()[*seen..]).is_some();
            let first = *seen == 0;
            *seen = up.input.len();
            if news || first {
                match parse::response(up.input.filled(), to_head) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => (),
                    Err(reason) => return Poll::Ready(Err(Fault::new(reason, true))),
                }
            }
            if up.input.len() >= RESPONSE_HEAD {
                return Poll::Ready(Err(Fault::new(Reason::ResponseHeadTooLarge, true)));
            }
        }
        let want = if up.input.is_empty() {
            SMALL
        } else {
            SMALL / 2
        };
        match ready!(up.input.poll_read_from(cx, &mut up.stream, want)) {
            Ok(0) | Err(_) if up.reused && *seen == 0 => {
                return Poll::Ready(Err(Fault::new(Reason::StaleConnection, false)));
            }
            Ok(0) | Err(_) => return Poll::Ready(Err(Fault::new(Reason::Reset, *seen > 0))),
            Ok(_) => (),
        }
    }
}

/// Where the response stands on its way down.
#[derive(Debug)]
pub struct Download {
    decoder: Decoder,
    /// Content bytes that the client took.
    pub bytes: u64,
    waits_for_client: bool,
    finishing: bool,
}

impl Download {
    /// A response whose head was taken off the connection's input.
    pub fn new(framing: Framing) -> Self {
        let decoder = Decoder::new(framing);
        Self {
            decoder,
            bytes: 0,
            waits_for_client: false,
            finishing: false,
        }
    }

    fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        up: &mut Connection,
    ) -> Poll<Result<(), Reason>> {
        while !self.finishing {
            self.waits_for_client = false;
            match self
                .decoder
                .part(&mut up.input)
                .map_err(|_| Reason::BadResponse)?
            {
                Part::Content(n) => {
                    self.waits_for_client = true;
                    let n = ready!(client.poll_send(cx, &up.input.filled()[..n]))?;
                    up.input.consume(n);
                    self.decoder.took(n);
                    self.bytes += n as u64;
                }
                Part::End => self.finishing = true,
                Part::NeedMore => ready!(self.poll_more(cx, client, up))?,
            }
        }
        self.waits_for_client = true;
        client.poll_finish(cx, self.decoder.trailers())
    }

    fn poll_more<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        up: &mut Connection,
    ) -> Poll<Result<(), Reason>> {
        let want = if self.decoder.remaining() > SMALL as u64 {
            LARGE
        } else {
            SMALL
        };
        let want = if up.input.is_empty() { want } else { SMALL / 2 };
        match up.input.poll_read_from(cx, &mut up.stream, want) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
            Poll::Ready(Ok(_)) if self.decoder.ends_with_connection() => {
                self.finishing = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Reason::Truncated)),
            Poll::Pending => {
                // Nothing more for now: what the client has not got yet must not wait.
                self.waits_for_client = true;
                ready!(client.poll_flush(cx))?;
                self.waits_for_client = false;
                Poll::Pending
            }
        }
    }
}

/// Passes the response's body to the client, and what is left of the request's to the backend.
pub async fn body<C: Client>(
    client: &mut C,
    up: &mut Connection,
    upload: &mut Upload,
    download: &mut Download,
    watch: &mut Watch<'_>,
) -> Result<(), Reason> {
    watch.progress = u64::MAX;
    watch.limits.per_try = None;
    let mut watched = false;
    poll_fn(|cx| {
        if !upload.done
            && let Poll::Ready(Err(reason)) = upload.poll(cx, client, up, watch.limits.max_body)
        {
            return Poll::Ready(Err(reason));
        }
        if let Poll::Ready(outcome) = download.poll(cx, client, up) {
            return Poll::Ready(outcome);
        }
        if upload.done
            && let Poll::Ready(reason) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(reason));
        }
        if !watched {
            watched = true;
            watch.start(watch.body_window());
        }
        match watch.on_body(cx, download) {
            Ok(()) => Poll::Pending,
            Err(reason) => Poll::Ready(Err(reason)),
        }
    })
    .await
}
