//! Clients that speak HTTP/2 (RFC 9113), each stream an exchange of its own. Framing, HPACK and
//! flow control are the h2 crate's; here a stream becomes a [`RequestHead`] and a [`Client`].

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use super::body::Part;
use super::classify;
use super::client::{Client, Outgoing};
use super::field::{Field, Known, Span};
use super::head::{Fields, Framing, RequestHead, Version};
use super::{ConnInfo, Ended, Scene, exchange};
use crate::data::buffer::Buffer;
use crate::data::stream::Stream;
use crate::data::worker::Worker;
use crate::error::Reason;
use crate::sys::local_task;

/// Bytes of a stream's window: what a client may send before the backend takes it.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of a connection's window.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream's response that wait for the client at most.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client opened and reset before they were looked at (CVE-2023-44487).
const PENDING_RESETS: usize = 20;

/// Serves a connection until it ends. `input` holds what was read already.
pub async fn serve(worker: Rc<Worker>, conn: ConnInfo, stream: Stream, input: Buffer) {
    let limits = &conn.listener.policy.limits;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS);
    let alarm = worker.timer.alarm();
    let io = Replay { input, stream };
    let handshake = builder.handshake::<_, Bytes>(io);
    let Ok(Ok(connection)) = alarm
        .within(conn.listener.policy.timeouts.head, handshake)
        .await
    else {
        return;
    };
    drop(alarm);
    streams(worker, Rc::new(conn), connection).await;
}

async fn streams(
    worker: Rc<Worker>,
    conn: Rc<ConnInfo>,
    mut connection: Connection<Replay, Bytes>,
) {
    let alarm = worker.timer.alarm();
    let idle = conn.listener.policy.timeouts.idle;
    let active = Rc::new(Cell::new(0usize));
    let mut drain = worker.drain_signal();
    let mut leaving = false;
    loop {
        if active.get() == 0 && !leaving {
            alarm.set(Instant::now(), idle);
        }
        let drained = async {
            // The sender lives as long as the worker.
            let _ = drain.wait_for(|draining| *draining).await;
        };
        let mut drained = std::pin::pin!(drained);
        let next = poll_fn(|cx| {
            if let Poll::Ready(next) = connection.poll_accept(cx) {
                return Poll::Ready(Some(next));
            }
            if leaving {
                return Poll::Pending;
            }
            let idled = alarm.poll_fired(cx).is_ready();
            if idled && active.get() > 0 {
                alarm.set(Instant::now(), idle);
                let _ = alarm.poll_fired(cx);
            } else if idled || drained.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        match next {
            Some(Some(Ok((request, respond)))) => {
                active.set(active.get() + 1);
                let (worker, conn, active) = (worker.clone(), conn.clone(), active.clone());
                local_task::spawn(async move {
                    one(&worker, &conn, request, respond).await;
                    active.set(active.get() - 1);
                });
            }
            Some(_) => return,
            // GOAWAY: what is under way is served, nothing new is taken (RFC 9113 6.8).
            None => {
                leaving = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Serves one stream.
async fn one(
    worker: &Worker,
    conn: &ConnInfo,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let request = match head(&parts, body.is_end_stream()) {
        Ok(request) => request,
        Err(reason) => return refuse(&mut respond, reason),
    };
    let alarm = worker.timer.alarm();
    let snapshot = worker.snapshots.load();
    let listener = snapshot
        .listener(conn.listener.id)
        .unwrap_or(&conn.listener);
    let mut client = H2 {
        body,
        content: Bytes::new(),
        trailers: Vec::new(),
        respond,
        send: None,
        left: None,
        ended: false,
        bytes: 0,
    };
    let scene = Scene {
        worker,
        conn,
        listener,
        alarm: &alarm,
        snapshot: &snapshot,
    };
    if exchange(&scene, &mut client, &request).await == Ended::Broken {
        client.reset();
    }
}

fn refuse(respond: &mut SendResponse<Bytes>, reason: Reason) {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST);
    // A client that left already needs no answer.
    let _ = respond.send_response(answer, true);
}

/// Writes a request's head as HTTP/1.1 would have it, so that the rest of the path knows one form.
fn head(parts: &http::request::Parts, ended: bool) -> Result<RequestHead, Reason> {
    let uri = &parts.uri;
    if parts.method == http::Method::CONNECT || parts.method == http::Method::TRACE {
        return Err(Reason::MethodRefused);
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Reason::BadRequest);
    }
    let mut bytes = Buffer::new();
    let mut write = |part: &[u8]| {
        let start = bytes.len();
        bytes.extend(part);
        Span::new(start, start + part.len())
    };
    let method = write(parts.method.as_str().as_bytes());
    let path = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = write(path.as_bytes());
    let authority = authority(parts)?;
    let authority = write(authority);
    let mut fields = Fields::new();
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        let known = Known::of(name.as_str().as_bytes());
        match known {
            Known::Cookie => cookies.push(value.as_bytes()),
            Known::Host => (),
            _ => fields.push(Field {
                name: write(name.as_str().as_bytes()),
                value: write(value.as_bytes().trim_ascii()),
                known,
            }),
        }
    }
    if !cookies.is_empty() {
        // Cookie crumbs become one field again (RFC 9113 8.2.3).
        let (name, value) = (write(b"cookie"), write(&cookies.join(&b"; "[..])));
        fields.push(Field {
            name,
            value,
            known: Known::Cookie,
        });
    }
    let framing = framing(parts, ended)?;
    check(&bytes, target, &fields)?;
    let expects = parts
        .headers
        .get("expect")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    Ok(RequestHead {
        bytes,
        method,
        target,
        authority,
        version: Version::Http2,
        fields,
        framing,
        keep_alive: true,
        class: classify::Class::Compliant,
        expects_continue: expects,
        upgrade: None,
    })
}

/// `:authority`, or Host where there is none; both must agree (RFC 9113 8.3.1).
fn authority(parts: &http::request::Parts) -> Result<&[u8], Reason> {
    let pseudo = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts
        .headers
        .get_all("host")
        .iter()
        .map(HeaderValue::as_bytes);
    let (host, more) = (hosts.next(), hosts.next().is_some());
    let authority = pseudo.or(host).unwrap_or_default();
    let agree = host.is_none_or(|host| host.eq_ignore_ascii_case(authority));
    if more || !agree || authority.is_empty() || !classify::is_authority(authority) {
        return Err(Reason::BadRequest);
    }
    Ok(authority)
}

fn framing(parts: &http::request::Parts, ended: bool) -> Result<Framing, Reason> {
    let mut lengths = parts.headers.get_all("content-length").iter();
    let length = lengths.next().map(|value| {
        value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
    });
    match (length, lengths.next()) {
        (_, Some(_)) | (Some(None), _) => Err(Reason::BadRequest),
        (Some(Some(0)), _) => Ok(Framing::None),
        (Some(Some(_)), _) if ended => Err(Reason::BadRequest),
        (Some(Some(n)), _) => Ok(Framing::Length(n)),
        (None, _) if ended => Ok(Framing::None),
        (None, _) => Ok(Framing::Chunked),
    }
}

/// What HTTP/1.1 could not carry plainly must not come in by HTTP/2 (RFC 9113 10.3).
fn check(bytes: &Buffer, target: Span, fields: &Fields) -> Result<(), Reason> {
    let all = bytes.filled();
    let target = target.in_bytes(all);
    let target_fits = matches!(target, [b'/', ..] | b"*")
        && target
            .iter()
            .all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#');
    let fields_fit = fields.iter().all(|field| {
        super::field::is_token(field.name.in_bytes(all))
            && super::field::is_value(field.value.in_bytes(all))
    });
    if target.len() > classify::TARGET_LIMIT {
        return Err(Reason::UriTooLong);
    }
    if target_fits && fields_fit {
        Ok(())
    } else {
        Err(Reason::BadRequest)
    }
}

/// The client's side of one stream.
struct H2 {
    body: RecvStream,
    content: Bytes,
    trailers: Vec<u8>,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    /// Content that Content-Length still promises: the last of it ends the stream.
    left: Option<u64>,
    ended: bool,
    bytes: u64,
}

impl H2 {
    fn reset(&mut self) {
        match &mut self.send {
            Some(send) => send.send_reset(h2::Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
        }
    }

    fn keep_trailers(&mut self, fields: &http::HeaderMap) {
        for (name, value) in fields {
            let name = name.as_str().as_bytes();
            if super::body::may_trail(name) && super::field::is_value(value.as_bytes()) {
                for part in [name, b": ", value.as_bytes(), b"\r\n"] {
                    self.trailers.extend_from_slice(part);
                }
            }
        }
    }
}

impl Client for H2 {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Reason>> {
        while self.content.is_empty() {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(content)) => self.content = content,
                Some(Err(_)) => return Poll::Ready(Err(Reason::ClientClosed)),
                None => {
                    match ready!(self.body.poll_trailers(cx)) {
                        Ok(Some(fields)) => self.keep_trailers(&fields),
                        Ok(None) => (),
                        Err(_) => return Poll::Ready(Err(Reason::ClientClosed)),
                    }
                    return Poll::Ready(Ok(Part::End));
                }
            }
        }
        Poll::Ready(Ok(Part::Content(self.content.len())))
    }

    fn content(&self) -> &[u8] {
        &self.content
    }

    fn took(&mut self, n: usize) {
        self.content.advance(n);
        self.bytes += n as u64;
        // It fails only for a stream that is gone, and then nobody waits for the window.
        let _ = self.body.flow_control().release_capacity(n);
    }

    fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| Reason::ClientClosed)
    }

    fn interim(&mut self, head: &Outgoing<'_>) {
        // An interim response that cannot be sent is missed by nobody.
        let _ = self.respond.send_informational(response(head));
    }

    fn begin(&mut self, request: &RequestHead, head: &Outgoing<'_>) -> Result<(), Reason> {
        let bodiless = head.framing == Framing::None || request.method() == b"HEAD";
        self.left = match head.framing {
            Framing::Length(n) => Some(n),
            _ => None,
        };
        let send = self.respond.send_response(response(head), bodiless);
        self.ended = bodiless;
        self.send = Some(send.map_err(|_| Reason::ClientClosed)?);
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, content: &[u8]) -> Poll<Result<usize, Reason>> {
        let Some(send) = &mut self.send else {
            return Poll::Ready(Err(Reason::Internal));
        };
        if self.ended {
            return Poll::Ready(Ok(content.len()));
        }
        send.reserve_capacity(content.len());
        let mut window = send.capacity();
        while window == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(n)) => window = n,
                _ => return Poll::Ready(Err(Reason::ClientClosed)),
            }
        }
        let n = window.min(content.len());
        let left = self.left.map(|left| left.saturating_sub(n as u64));
        self.left = left;
        self.ended = left == Some(0);
        let sent = send.send_data(Bytes::copy_from_slice(&content[..n]), self.ended);
        Poll::Ready(sent.map(|()| n).map_err(|_| Reason::ClientClosed))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        // The connection's own task writes.
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, trailers: &[u8]) -> Poll<Result<(), Reason>> {
        if let Some(send) = self.send.as_mut().filter(|_| !self.ended) {
            self.ended = true;
            let fields = trailer_fields(trailers);
            let sent = match fields.is_empty() {
                true => send.send_data(Bytes::new(), true),
                false => send.send_trailers(fields),
            };
            return Poll::Ready(sent.map_err(|_| Reason::ClientClosed));
        }
        Poll::Ready(Ok(()))
    }

    fn has_begun(&self) -> bool {
        self.send.is_some()
    }

    fn takes_interim(&self) -> bool {
        true
    }

    fn body_bytes(&self) -> u64 {
        self.bytes
    }

    fn tunnel(&mut self) -> Option<(&mut Stream, &mut Buffer)> {
        None
    }
}

fn response(head: &Outgoing<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = response.headers_mut();
    fields.reserve(head.fields.len() + 1);
    for (name, value) in head.fields {
        // Both were checked when they were parsed; the library has rules of its own on top.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    if let Some(length) = head.content_length {
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn trailer_fields(lines: &[u8]) -> http::HeaderMap {
    let mut fields = http::HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}

/// A stream of which the first bytes were read already.
#[derive(Debug)]
struct Replay {
    input: Buffer,
    stream: Stream,
}

impl tokio::io::AsyncRead for Replay {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.input.is_empty() {
            let n = room.remaining().min(self.input.len());
            room.put_slice(&self.input.filled()[..n]);
            self.input.consume(n);
            self.input.release();
            return Poll::Ready(Ok(()));
        }
        std::pin::Pin::new(&mut self.stream).poll_read(cx, room)
    }
}

impl tokio::io::AsyncWrite for Replay {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
