//! From a listening socket to a connection in service: limits, TLS, and which protocol is spoken.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use pointsman_config::policy::Protocol;
use socket2::Socket;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::buffer::{Buffer, SMALL};
use super::guard::guard;
use super::l7::{self, ConnInfo, PREFACE, Secured};
use super::proxy_protocol::{self, Addresses, Decoded};
use super::stream::Stream;
use super::worker::{Full, Place, Worker};
use super::{l4, listener};
use crate::metrics::Delta;
use crate::snapshot::{ListenerSettings, Terminator};
use crate::sys::local_task;

/// How long accepting rests when the system has no more descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// How soon a PROXY protocol header that came in part is looked at again.
const PEEK_AGAIN: Duration = Duration::from_millis(10);

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr()?.is_unix() {
            return Ok(Self::Unix(UnixListener::from_std(socket.into())?));
        }
        Ok(Self::Tcp(TcpListener::from_std(socket.into())?))
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listening::Tcp(tcp) => tcp
                .accept()
                .await
                .map(|(stream, peer)| (Stream::Tcp(stream), peer.ip().to_canonical())),
            Listening::Unix(unix) => unix
                .accept()
                .await
                .map(|(stream, _)| (Stream::Unix(stream), LOCAL)),
        }
    }

    /// What waits in the queue when the socket is about to be closed.
    fn rest(self) -> io::Result<Vec<Accepted>> {
        let (socket, is_unix): (Socket, bool) = match self {
            Listening::Tcp(tcp) => (tcp.into_std()?.into(), false),
            Listening::Unix(unix) => (unix.into_std()?.into(), true),
        };
        let waiting = listener::drain_queue(&socket)?;
        drop(socket);
        let accepted = |socket: Socket| match is_unix {
            true => Ok((Stream::Unix(UnixStream::from_std(socket.into())?), LOCAL)),
            false => of_tcp(socket),
        };
        // A client that has gone meanwhile must not take the others with it.
        Ok(waiting.into_iter().flat_map(accepted).collect())
    }
}

fn of_tcp(socket: Socket) -> io::Result<Accepted> {
    let peer = socket
        .peer_addr()?
        .as_socket()
        .map_or(LOCAL, |peer| peer.ip().to_canonical());
    Ok((Stream::Tcp(TcpStream::from_std(socket.into())?), peer))
}

type Accepted = (Stream, IpAddr);

/// What stands for the address of a client on a Unix socket.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Accepts until told to stop; connections that waited by then are still served.
pub async fn accept(
    worker: Rc<Worker>,
    id: u32,
    socket: Socket,
    mut stopped: oneshot::Receiver<()>,
) {
    // Counted by whoever spawned this task.
    let _open = Open(worker.clone());
    let Ok(listening) = Listening::new(socket) else {
        return;
    };
    loop {
        let next = tokio::select! {
            biased;
            _ = &mut stopped => break,
            next = listening.accept() => next,
        };
        match next {
            Ok(accepted) => admit(&worker, id, accepted),
            Err(error) if is_of_one_connection(&error) => (),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                tokio::time::sleep(REST).await;
            }
        }
    }
    for accepted in listening.rest().unwrap_or_default() {
        admit(&worker, id, accepted);
    }
}

/// One listening socket of this worker.
struct Open(Rc<Worker>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.listening.set(self.0.listening.get() - 1);
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Takes a connection in, unless a limit forbids it. At the process's limit idle connections make
/// room: a client that waits for nothing loses least.
fn admit(worker: &Rc<Worker>, id: u32, (stream, peer): Accepted) {
    let snapshot = worker.snapshots.load();
    let Some(listener) = snapshot.listener(id).cloned() else {
        return;
    };
    let connections = &worker.connections;
    let place = match connections.enter(&listener, peer, false) {
        Err(Full::Process) if worker.timer.shed_idle() => connections.enter(&listener, peer, true),
        outcome => outcome,
    };
    let place = match place {
        Ok(place) => place,
        Err(full) => return worker.shard.connection_refused(id, full == Full::Process),
    };
    let (held, asked) = (Held::new(worker, id, place), worker.asked());
    let worker = worker.clone();
    local_task::spawn(guard(async move {
        let _held = held;
        serve(worker, listener, stream, peer, asked).await;
    }));
}

/// One connection of this worker.
struct Held {
    worker: Rc<Worker>,
    listener: u32,
    _place: Place,
}

impl Held {
    fn new(worker: &Rc<Worker>, listener: u32, place: Place) -> Self {
        worker.held.set(worker.held.get() + 1);
        worker.shard.connection(listener, Delta::Opened);
        Self {
            worker: worker.clone(),
            listener,
            _place: place,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.worker.held.set(self.worker.held.get() - 1);
        self.worker.shard.connection(self.listener, Delta::Closed);
    }
}

async fn serve(
    worker: Rc<Worker>,
    listener: Arc<ListenerSettings>,
    stream: Stream,
    peer: IpAddr,
    asked: u64,
) {
    let since = Instant::now();
    let Some(peer) = introduced(&worker, &listener, &stream, peer).await else {
        return;
    };
    let stream = match &listener.tls {
        None => stream,
        Some(terminator) => match Box::pin(handshake(&worker, &listener, terminator, stream)).await
        {
            Some(stream) => stream,
            None => return,
        },
    };
    if listener.policy.protocol != Protocol::Http {
        return l4::serve(worker, listener, stream, peer).await;
    }
    let conn = ConnInfo {
        peer,
        peer_text: peer.to_string(),
        since,
        scheme: stream.scheme(),
        secured: Secured::of(&stream, &listener),
        asked,
        listener,
    };
    http(worker, conn, stream).await;
}

/// The client's address: the peer's, or what a trusted peer says in a PROXY protocol header.
/// `None` when the header that must come does not.
async fn introduced(
    worker: &Worker,
    listener: &ListenerSettings,
    stream: &Stream,
    peer: IpAddr,
) -> Option<IpAddr> {
    let policy = &listener.policy;
    let (true, Stream::Tcp(tcp)) = (policy.proxy_protocol, stream) else {
        return Some(peer);
    };
    if !policy.trusted.iter().any(|net| net.contains(&peer)) {
        return Some(peer);
    }
    let alarm = worker.timer.alarm();
    let header = Box::pin(alarm.within(policy.timeouts.handshake, proxy_header(tcp)));
    let addresses = header.await.ok()??;
    Some(addresses.map_or(peer, |addresses| addresses.source.ip().to_canonical()))
}

/// Takes the header off the connection and nothing behind it: TLS may follow.
async fn proxy_header(tcp: &TcpStream) -> Option<Option<Addresses>> {
    let mut bytes = [0; proxy_protocol::MAX_LEN];
    loop {
        let n = tcp.peek(&mut bytes).await.ok()?;
        match proxy_protocol::decode(&bytes[..n]) {
            Decoded::Parsed(header) => {
                let mut left = header.len;
                while left > 0 {
                    tcp.readable().await.ok()?;
                    match tcp.try_read(&mut bytes[..left]) {
                        Ok(0) => return None,
                        Ok(n) => left -= n,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                        Err(_) => return None,
                    }
                }
                return Some(header.addresses);
            }
            // What was peeked at stays readable, so readiness tells nothing of what is missing.
            Decoded::NeedMore if n > 0 => tokio::time::sleep(PEEK_AGAIN).await,
            Decoded::NeedMore | Decoded::Invalid(_) => return None,
        }
    }
}

async fn handshake(
    worker: &Worker,
    listener: &ListenerSettings,
    terminator: &Terminator,
    stream: Stream,
) -> Option<Stream> {
    let Stream::Tcp(tcp) = stream else {
        return None;
    };
    let alarm = worker.timer.alarm();
    let config = match listener.policy.protocol {
        Protocol::Http => &terminator.http,
        Protocol::Tcp { .. } | Protocol::Udp { .. } => &terminator.stream,
    };
    let accepting = tokio_rustls::TlsAcceptor::from(config.clone()).accept(tcp);
    let done = alarm
        .within(listener.policy.timeouts.handshake, accepting)
        .await;
    let tls = done.ok().and_then(Result::ok);
    let version = tls
        .as_ref()
        .and_then(|tls| tls.get_ref().1.protocol_version());
    worker.shard.tls_handshake(
        listener.id,
        tls.is_some(),
        version.and_then(|version| version.as_str()),
    );
    tls.map(|tls| Stream::Tls(Box::new(tls.into())))
}

/// HTTP/2 where ALPN or the preface says so, HTTP/1.1 otherwise.
async fn http(worker: Rc<Worker>, conn: ConnInfo, mut stream: Stream) {
    if let Stream::Tls(tls) = &stream {
        return match tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            true => Box::pin(l7::serve_h2(worker, conn, stream, Buffer::new())).await,
            false => l7::serve_h1(worker, conn, stream, Buffer::new()).await,
        };
    }
    let mut input = Buffer::new();
    match is_h2(&worker, &conn, &mut stream, &mut input).await {
        Some(true) => Box::pin(l7::serve_h2(worker, conn, stream, input)).await,
        Some(false) => l7::serve_h1(worker, conn, stream, input).await,
        None => (),
    }
}

/// Reads until the first bytes tell the protocol; `None` when none came in time.
async fn is_h2(
    worker: &Worker,
    conn: &ConnInfo,
    stream: &mut Stream,
    input: &mut Buffer,
) -> Option<bool> {
    let alarm = worker.timer.alarm();
    let limit = worker.idle_limit(conn.listener.policy.timeouts.idle, conn.asked);
    alarm.set_idle(Instant::now(), limit);
    let known = poll_fn(|cx| {
        loop {
            let seen = input.len().min(PREFACE.len());
            if seen > 0 && input.filled()[..seen] != PREFACE[..seen] {
                return Poll::Ready(Some(false));
            }
            if seen == PREFACE.len() {
                return Poll::Ready(Some(true));
            }
            if alarm.poll_fired(cx).is_ready() {
                return Poll::Ready(None);
            }
            match ready!(input.poll_read_from(cx, stream, SMALL)) {
                Ok(n) if n > 0 => alarm.set(Instant::now(), conn.listener.policy.timeouts.head),
                _ => return Poll::Ready(None),
            }
        }
    });
    known.await
}
