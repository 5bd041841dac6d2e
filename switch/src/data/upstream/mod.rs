//! Connections to backends. Each worker keeps its own, and lends one to one request at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};

use super::buffer::Buffer;
use super::stream::Stream;
use super::timer::Alarm;
use crate::endpoint::{Address, Endpoint, EndpointId};
use crate::error::Reason;

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
    /// Whether it has served a request before.
    pub reused: bool,
}

/// The unused connections of one worker.
#[derive(Debug, Default)]
pub struct Pools {
    idle: RefCell<HashMap<EndpointId, Vec<Idle>, foldhash::fast::FixedState>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

impl Pools {
    /// An unused connection that shows no sign of having ended, the last used first. With `certain`
    /// the kernel is asked rather than what is known already.
    pub fn take(&self, endpoint: EndpointId, certain: bool) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&endpoint)?;
        while let Some(Idle { connection, .. }) = kept.pop() {
            let stream = &connection.stream;
            if !(stream.has_news() || certain && stream.has_news_now()) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange ended as it should.
    pub fn put(&self, endpoint: EndpointId, mut connection: Connection, keep: Duration) {
        connection.input.release();
        connection.output.release();
        connection.reused = true;
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(endpoint).or_default();
        if kept.len() < KEPT {
            kept.push(Idle {
                connection,
                until: Instant::now() + keep,
            });
        }
    }

    /// Drops connections that ended or were unused for too long.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain(|idle| idle.until > now && !idle.connection.stream.has_news());
            !kept.is_empty()
        });
    }

    /// Drops every unused connection.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
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
    let stream = match &endpoint.address {
        Address::Tcp(address) => alarm
            .within(limit, TcpStream::connect(address))
            .await
            .map(|connected| connected.map(Stream::Tcp)),
        Address::Unix(path) => alarm
            .within(limit, UnixStream::connect(path))
            .await
            .map(|connected| connected.map(Stream::Unix)),
    };
    let stream = stream
        .map_err(|_| Reason::ConnectTimeout)?
        .map_err(|error| refusal(&error))?;
    if let Stream::Tcp(tcp) = &stream {
        // Without it small requests may wait for an acknowledgement; a failure only costs time.
        let _ = tcp.set_nodelay(true);
    }
    Ok(Connection {
        stream,
        input: Buffer::new(),
        output: Buffer::new(),
        reused: false,
    })
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
