//! Clients that speak HTTP/1.1 (RFC 9112). An idle connection is a small task that waits without a
//! buffer; what a request needs is allocated when its first byte comes and freed with its answer.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::body::{self, Decoder, Part};
use super::classify::Class;
use super::client::{Client, Outgoing};
use super::forward::{decimal, field};
use super::head::{Framing, RequestHead, Version};
use super::parse::{self, Limits};
use super::respond::{self, Local};
use super::{ConnInfo, Ended, Scene, exchange, record};
use crate::data::buffer::{Buffer, LARGE, SMALL};
use crate::data::stream::Stream;
use crate::data::timer::{Alarm, Elapsed};
use crate::data::worker::Worker;
use crate::error::Reason;
use crate::snapshot::ListenerSettings;

/// Content that is joined with what is sent before it rather than written by itself.
const JOINED: usize = 16 * 1024;
/// How long a connection that ends is read on, so that its last answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are read and dropped meanwhile at most.
const LINGER_BYTES: usize = 256 * 1024;

/// What becomes of a connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It may serve another request.
    Keep,
    /// It ends in order, once the client had time to read.
    Linger,
    /// It ends at once.
    Close,
    /// It ends with a reset, so that nobody takes a broken answer for a whole one.
    Reset,
}

/// Serves a connection until it ends. `input` holds what was read already.
pub async fn serve(worker: Rc<Worker>, conn: ConnInfo, mut stream: Stream, mut input: Buffer) {
    let alarm = worker.timer.alarm();
    loop {
        if input.is_empty() && !first_byte(&worker, &conn, &alarm, &mut stream, &mut input).await {
            return;
        }
        // Boxed: while the connection is idle none of it is held.
        let next = Box::pin(turn(&worker, &conn, &alarm, &mut stream, &mut input)).await;
        match next {
            Next::Keep => (),
            Next::Linger => return Box::pin(linger(&alarm, &mut stream, &mut input)).await,
            // Dropping a plain connection ends it in order; TLS wants its farewell.
            Next::Close if stream.is_tls() => return shut(&alarm, &mut stream).await,
            Next::Close => return,
            Next::Reset => return stream.reset(),
        }
    }
}

/// Waits for a request to begin; `false` when the connection is to end.
async fn first_byte(
    worker: &Worker,
    conn: &ConnInfo,
    alarm: &Alarm,
    stream: &mut Stream,
    input: &mut Buffer,
) -> bool {
    let limit = worker.idle_limit(conn.listener.policy.timeouts.idle, conn.asked);
    alarm.set_idle(Instant::now(), limit);
    let came = poll_fn(|cx| {
        if let Poll::Ready(read) = input.poll_read_from(cx, stream, SMALL) {
            return Poll::Ready(matches!(read, Ok(n) if n > 0));
        }
        alarm.poll_fired(cx).map(|()| false)
    })
    .await;
    alarm.clear();
    if !came && stream.is_tls() {
        shut(alarm, stream).await;
    }
    came
}

/// Reads one request and serves it.
async fn turn(
    worker: &Worker,
    conn: &ConnInfo,
    alarm: &Alarm,
    stream: &mut Stream,
    input: &mut Buffer,
) -> Next {
    let snapshot = worker.snapshots.load();
    let listener = snapshot
        .listener(conn.listener.id)
        .unwrap_or(&conn.listener);
    let request = match head(alarm, stream, input, listener).await {
        Ok(Some(request)) => request,
        Ok(None) => return Next::Close,
        Err(reason) => {
            record::refused(worker, listener, conn.peer, Version::Http11, reason);
            return refuse(alarm, stream, reason).await;
        }
    };
    if request.class >= Class::Ambiguous {
        worker.shard.request_ambiguous(listener.id);
    }
    let mut client = H1::new(stream, input, &request);
    let scene = Scene {
        worker,
        conn,
        listener,
        alarm,
        snapshot: &snapshot,
    };
    let ended = exchange(&scene, &mut client, &request).await;
    client.next(ended)
}

/// The request's head; `None` when the client left before its end.
async fn head(
    alarm: &Alarm,
    stream: &mut Stream,
    input: &mut Buffer,
    listener: &ListenerSettings,
) -> Result<Option<RequestHead>, Reason> {
    let policy = &listener.policy;
    let limits = Limits {
        bytes: policy.limits.head,
        fields: policy.limits.fields,
        desync: policy.desync,
    };
    if let Some(request) = parse::request(input, &limits)? {
        return Ok(Some(request));
    }
    alarm.set(Instant::now(), policy.timeouts.head);
    let mut seen = input.len();
    poll_fn(|cx| {
        loop {
            if alarm.poll_fired(cx).is_ready() {
                return Poll::Ready(Err(Reason::HeadTimeout));
            }
            match ready!(input.poll_read_from(cx, stream, SMALL / 4)) {
                Ok(n) if n > 0 => (),
                _ => return Poll::Ready(Ok(None)),
            }
            // Only a line's end can complete the head; only its size can make it wrong by itself.
            let news = memchr::memchr(b'\n', &input.filled()[seen..]).is_some();
            seen = input.len();
            if news || seen >= limits.bytes {
                match parse::request(input, &limits) {
                    Ok(None) => (),
                    done => return Poll::Ready(done),
                }
            }
        }
    })
    .await
}

/// Answers what could not be read as a request.
async fn refuse(alarm: &Alarm, stream: &mut Stream, reason: Reason) -> Next {
    let answer = Local::error(reason);
    let date = respond::date();
    let lines = answer.lines(&date);
    let mut output = Buffer::new();
    write_head(
        &mut output,
        &answer.outgoing(&lines, true),
        Coding::Length,
        Version::Http11,
    );
    output.extend(answer.body.as_bytes());
    let sent = alarm
        .within(LINGER, poll_fn(|cx| output.poll_write_to(cx, stream)))
        .await;
    if matches!(sent, Ok(Ok(()))) {
        Next::Linger
    } else {
        Next::Close
    }
}

/// Ends the sending side and reads on for a moment: bytes that arrive at a closed socket make the
/// kernel send a reset, and a reset may overtake the answer (RFC 9112 9.6).
async fn linger(alarm: &Alarm, stream: &mut Stream, input: &mut Buffer) {
    shut(alarm, stream).await;
    let mut read = 0;
    let _: Result<(), Elapsed> = alarm
        .within(
            LINGER,
            poll_fn(|cx| {
                loop {
                    let n = input.len();
                    input.consume(n);
                    match ready!(input.poll_read_from(cx, stream, SMALL)) {
                        Ok(n) if n > 0 && read < LINGER_BYTES => read += n,
                        _ => return Poll::Ready(()),
                    }
                }
            }),
        )
        .await;
}

async fn shut(alarm: &Alarm, stream: &mut Stream) {
    let _ = alarm.within(LINGER, stream.shutdown()).await;
}

/// How a response's end is told to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    Length,
    Chunked,
    Close,
}

impl Coding {
    /// For a response of this framing to this request.
    pub(super) fn of(framing: Framing, request: &RequestHead) -> Self {
        match framing {
            _ if request.method() == b"HEAD" => Coding::None,
            Framing::None => Coding::None,
            Framing::Length(_) => Coding::Length,
            Framing::Chunked | Framing::Close if request.version == Version::Http10 => {
                Coding::Close
            }
            Framing::Chunked | Framing::Close => Coding::Chunked,
        }
    }
}

/// The client's side of one exchange.
struct H1<'a> {
    stream: &'a mut Stream,
    input: &'a mut Buffer,
    output: Buffer,
    decoder: Decoder,
    version: Version,
    keep_alive: bool,
    wants_trailers: bool,
    coding: Coding,
    begun: bool,
    half_closed: bool,
    finished: bool,
    bytes: u64,
}

impl<'a> H1<'a> {
    fn new(stream: &'a mut Stream, input: &'a mut Buffer, request: &RequestHead) -> Self {
        let trailers = request.values(super::field::Known::Te);
        let wants_trailers = trailers
            .into_iter()
            .any(|te| super::field::list_has(te, b"trailers"));
        Self {
            stream,
            input,
            output: Buffer::new(),
            decoder: Decoder::new(request.framing),
            version: request.version,
            keep_alive: request.keep_alive,
            wants_trailers,
            coding: Coding::None,
            begun: false,
            half_closed: false,
            finished: false,
            bytes: 0,
        }
    }

    fn next(&self, ended: Ended) -> Next {
        match ended {
            Ended::Complete if self.keep_alive && self.decoder.is_done() => Next::Keep,
            // What the client still sends must not turn its answer into a reset.
            Ended::Complete if !self.decoder.is_done() || !self.input.is_empty() => Next::Linger,
            Ended::Complete => Next::Close,
            Ended::Broken if self.coding == Coding::Close => Next::Reset,
            Ended::Broken | Ended::Tunnelled => Next::Close,
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let written = ready!(self.output.poll_write_to(cx, self.stream));
        self.output.release();
        Poll::Ready(written.map_err(|_| Reason::ClientClosed))
    }

    /// Writes head and content in one go without joining them first.
    fn poll_both(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>> {
        let parts = [IoSlice::new(self.output.filled()), IoSlice::new(content)];
        let written = ready!(Pin::new(&mut *self.stream).poll_write_vectored(cx, &parts));
        let n = written.map_err(|_| Reason::ClientClosed)?;
        let of_output = n.min(self.output.len());
        self.output.consume(of_output);
        Poll::Ready(Ok(n - of_output))
    }
}

impl Client for H1<'_> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Reason>> {
        loop {
            match self
                .decoder
                .part(self.input)
                .map_err(|_| Reason::BadRequest)?
            {
                Part::NeedMore => {
                    let long = self.decoder.remaining() > SMALL as u64;
                    let want = match (self.input.is_empty(), long) {
                        (true, true) => LARGE,
                        (true, false) => SMALL,
                        (false, _) => SMALL / 4,
                    };
                    match ready!(self.input.poll_read_from(cx, self.stream, want)) {
                        Ok(n) if n > 0 => (),
                        _ => return Poll::Ready(Err(Reason::ClientClosed)),
                    }
                }
                part => return Poll::Ready(Ok(part)),
            }
        }
    }

    fn content(&self) -> &[u8] {
        self.input.filled()
    }

    fn took(&mut self, n: usize) {
        self.input.consume(n);
        self.decoder.took(n);
        self.bytes += n as u64;
    }

    fn trailers(&self) -> &[u8] {
        self.decoder.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        // What comes early is the next request; so much of it is kept and no more.
        while self.input.len() < SMALL / 2 && !self.half_closed {
            match ready!(self.input.poll_read_from(cx, self.stream, SMALL / 2)) {
                Ok(0) if !self.keep_alive || !self.input.is_empty() => self.half_closed = true,
                Ok(n) if n > 0 => (),
                _ => return Poll::Ready(Reason::ClientClosed),
            }
        }
        Poll::Pending
    }

    fn interim(&mut self, head: &Outgoing<'_>) {
        write_head(&mut self.output, head, Coding::None, Version::Http11);
    }

    fn begin(&mut self, request: &RequestHead, head: &Outgoing<'_>) -> Result<(), Reason> {
        self.coding = Coding::of(head.framing, request);
        self.keep_alive &= !head.close && self.coding != Coding::Close;
        let head = Outgoing {
            close: !self.keep_alive,
            ..*head
        };
        write_head(&mut self.output, &head, self.coding, self.version);
        self.begun = true;
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>> {
        if self.coding == Coding::Chunked {
            if self.output.len() > JOINED {
                ready!(self.poll_output(cx))?;
            }
            let n = content.len().min(LARGE / 2);
            body::chunk(&mut self.output, &content[..n]);
            return Poll::Ready(Ok(n));
        }
        if self.output.is_empty() {
            let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, content));
            return Poll::Ready(written.map_err(|_| Reason::ClientClosed));
        }
        if content.len() + self.output.len() > JOINED {
            return self.poll_both(cx, content);
        }
        self.output.extend(content);
        Poll::Ready(Ok(content.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        if self.output.is_empty() && !self.stream.is_tls() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_output(cx))?;
        let flushed = ready!(Pin::new(&mut *self.stream).poll_flush(cx));
        Poll::Ready(flushed.map_err(|_| Reason::ClientClosed))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: &[u8]) -> Poll<Result<(), Reason>> {
        if self.coding == Coding::Chunked && !self.finished {
            let trailers = if self.wants_trailers { trailers } else { &[] };
            body::last_chunk(&mut self.output, trailers);
        }
        self.finished = true;
        self.poll_flush(cx)
    }

    fn has_begun(&self) -> bool {
        self.begun
    }

    fn takes_interim(&self) -> bool {
        self.version == Version::Http11
    }

    fn body_bytes(&self) -> u64 {
        self.bytes
    }

    fn tunnel(&mut self) -> Option<(&mut Stream, &mut Buffer)> {
        Some((self.stream, self.input))
    }
}

/// Writes a response's head for a client of this version.
pub(super) fn write_head(out: &mut Buffer, head: &Outgoing<'_>, coding: Coding, version: Version) {
    let mut digits = [0; 20];
    out.extend(b"HTTP/1.1 ");
    out.extend(decimal(u64::from(head.status), &mut digits));
    out.extend(b" ");
    out.extend(head.phrase);
    out.extend(b"\r\n");
    for (name, value) in head.fields {
        field(out, name, value);
    }
    if coding == Coding::Chunked {
        out.extend(b"Transfer-Encoding: chunked\r\n");
    } else if let Some(length) = head.content_length {
        out.extend(b"Content-Length: ");
        out.extend(decimal(length, &mut digits));
        out.extend(b"\r\n");
    }
    if head.status >= 200 {
        match (head.close, version) {
            (true, _) => out.extend(b"Connection: close\r\n"),
            (false, Version::Http10) => out.extend(b"Connection: keep-alive\r\n"),
            (false, _) => (),
        }
    }
    out.extend(b"\r\n");
}
