//! Connections to backends. Each worker keeps its own, and lends one to one request at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::buffer::Buffer;
use super::stream::Stream;
use super::timer::Alarm;
use crate::endpoint::{Address, Endpoint, EndpointId, Opened, TlsSide};
use crate::error::Reason;
use crate::sys::local_task;

/// Unused connections that a worker keeps per backend.
const KEPT: usize = 1024;

/// A connection to a backend.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// What came and was not used yet.
    pub input: Buffer,
    /// What is still to be sent.
    pub output: Buffer,
    /// How TLS is spoken on it, if it is.
    pub side: Option<Arc<TlsSide>>,
    /// Whether it has served a request before.
    pub reused: bool,
    /// Last of all, so that it is closed before it counts no more.
    pub opened: Opened,
}

/// The unused connections of one worker.
#[derive(Debug, Default)]
pub struct Pools {
    kept: Rc<RefCell<Kept>>,
}

type Kept = HashMap<EndpointId, Idles, foldhash::fast::FixedState>;

/// The unused connections to one backend, the last used last.
#[derive(Debug, Default)]
struct Idles {
    idle: Vec<Idle>,
    /// Ends the task that gives them up when another worker may open no more.
    watch: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

impl Pools {
    /// An unused connection that shows no sign of having ended, the last used first. With `certain`
    /// the kernel is asked rather than what is known already.
    pub fn take(&self, endpoint: &Endpoint, certain: bool) -> Option<Connection> {
        let mut kept = self.kept.borrow_mut();
        let kept = kept.get_mut(&endpoint.id)?;
        while let Some(Idle { connection, .. }) = kept.idle.pop() {
            let stream = &connection.stream;
            if !endpoint.tls.is_side(connection.side.as_ref()) {
                continue;
            }
            if !(stream.has_news() || certain && stream.has_news_now()) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange ended as it should.
    pub fn put(&self, endpoint: &Arc<Endpoint>, mut connection: Connection, keep: Duration) {
        if endpoint.open.is_short() {
            return;
        }
        connection.input.release();
        connection.output.release();
        connection.reused = true;
        let mut kept = self.kept.borrow_mut();
        let kept = kept.entry(endpoint.id).or_default();
        if kept.watch.is_none() && endpoint.open.is_limited() {
            kept.watch = Some(self.give_up_when_short(endpoint));
        }
        if kept.idle.len() < KEPT {
            kept.idle.push(Idle {
                connection,
                until: Instant::now() + keep,
            });
        }
    }

    /// Drops connections that ended or were unused for too long.
    pub fn sweep(&self, now: Instant) {
        self.kept.borrow_mut().retain(|_, kept| {
            let idle = &mut kept.idle;
            idle.retain(|idle| idle.until > now && !idle.connection.stream.has_news());
            !idle.is_empty()
        });
    }

    /// Drops every unused connection.
    pub fn clear(&self) {
        self.kept.borrow_mut().clear();
    }

    fn give_up_when_short(&self, endpoint: &Arc<Endpoint>) -> oneshot::Sender<()> {
        let (watch, ended) = oneshot::channel();
        let (kept, endpoint) = (Rc::downgrade(&self.kept), endpoint.clone());
        local_task::spawn(async move {
            tokio::select! {
                _ = ended => (),
                () = endpoint.open.on_shortage(|| give_up(&kept, endpoint.id)) => (),
            }
        });
        watch
    }
}

fn give_up(kept: &Weak<RefCell<Kept>>, endpoint: EndpointId) {
    let Some(kept) = kept.upgrade() else { return };
    if let Some(kept) = kept.borrow_mut().get_mut(&endpoint) {
        kept.idle.clear();
    }
}

/// Opens a new connection.
///
/// # Errors
/// The reason for which there is none.
pub async fn connect(
    endpoint: &Arc<Endpoint>,
    limit: Duration,
    alarm: &Alarm,
) -> Result<Connection, Reason> {
    let side = endpoint.tls.side();
    let (opened, stream) = alarm
        .within(limit, open(endpoint, side.as_deref()))
        .await
        .map_err(|_| Reason::ConnectTimeout)??;
    Ok(Connection {
        stream,
        input: Buffer::new(),
        output: Buffer::new(),
        side,
        reused: false,
        opened,
    })
}

async fn open(
    endpoint: &Arc<Endpoint>,
    side: Option<&TlsSide>,
) -> Result<(Opened, Stream), Reason> {
    let opened = Opened::count(endpoint).await;
    let stream = match &endpoint.address {
        Address::Tcp(address) => {
            let tcp = TcpStream::connect(address).await;
            let tcp = tcp.map_err(|error| refusal(&error))?;
            // Without it small requests may wait for an acknowledgement; a failure only costs time.
            let _ = tcp.set_nodelay(true);
            match side {
                None => Stream::Tcp(tcp),
                Some(side) => secure(tcp, side).await?,
            }
        }
        Address::Unix(path) => {
            let unix = UnixStream::connect(path).await;
            Stream::Unix(unix.map_err(|error| refusal(&error))?)
        }
    };
    Ok((opened, stream))
}

async fn secure(tcp: TcpStream, side: &TlsSide) -> Result<Stream, Reason> {
    let connector = TlsConnector::from(side.config.clone());
    match Box::pin(connector.connect(side.name.clone(), tcp)).await {
        Ok(tls) => Ok(Stream::Tls(Box::new(tls.into()))),
        Err(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            match inner {
                Some(rustls::Error::InvalidCertificate(_)) => Err(Reason::TlsCertificate),
                Some(_) => Err(Reason::TlsFailed),
                None => Err(Reason::Reset),
            }
        }
    }
}

fn refusal(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Reason::ConnectRefused,
        io::ErrorKind::TimedOut => Reason::ConnectTimeout,
        // No descriptor, port or memory is left here: no backend is to blame for that.
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => Reason::Overload,
        _ if is_out_of_descriptors(error) => Reason::Overload,
        _ => Reason::ConnectFailed,
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}
