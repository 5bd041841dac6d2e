//! Opens the sockets that clients connect to: one per worker, so that the kernel spreads new
//! connections over the workers and no worker takes another one's lock.

mod inherited;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use pointsman_config::policy::BindAddr;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use self::inherited::{Inherited, Origin, complete};

/// Connections that may wait to be accepted, per socket; the kernel lowers it to
/// net.core.somaxconn.
pub const BACKLOG: i32 = 8192;

/// Opens `workers` listening sockets at `addr` (at least one), non-blocking and closed on exec.
///
/// TCP: SO_REUSEPORT sockets of one address; where the port is 0, the first one's choice holds for
/// all. Accepted connections inherit TCP_NODELAY. [`BindAddr::Any`] takes IPv6 and IPv4, or IPv4
/// alone where there is no IPv6. Unix: one socket, duplicated; a socket file that nobody listens on
/// is replaced.
///
/// `contacts` are addresses that this host may not have now and may get later: they can be listened
/// on all the same (IP_FREEBIND, ip(7)), so that nothing is left to be opened in a takeover.
///
/// # Errors
/// [`BindError`] names the address, the cause and what can be done about it.
pub fn bind(
    addr: &BindAddr,
    workers: usize,
    contacts: &[IpAddr],
) -> Result<Vec<Socket>, BindError> {
    let sockets = match addr {
        BindAddr::Any(port) => bind_any(*port, workers),
        BindAddr::Socket(addr) => bind_tcp(*addr, workers, How::of(*addr, contacts)),
        BindAddr::Unix(path) => bind_unix(path, workers),
    };
    sockets.map_err(|source| BindError {
        addr: addr.clone(),
        source,
    })
}

/// Accepts all connections that wait, until there is none. Those that come back block no caller.
///
/// To close one socket of a SO_REUSEPORT group resets the connections in its queue (the kernel
/// hands them to the others only where net.ipv4.tcp_migrate_req is set). So a listener that goes
/// away must empty its queue right before it closes the socket, and serve what came out. What
/// arrives between this call and the close is lost: shutdown(2) would not help, it resets too.
///
/// # Errors
/// What accept(2) says, apart from connections that ended while they waited.
pub fn drain_queue(socket: &Socket) -> io::Result<Vec<Socket>> {
    let mut waiting = Vec::new();
    // More than the queue holds cannot have waited: the rest came meanwhile, and may come forever.
    while waiting.len() <= BACKLOG as usize {
        match socket.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(true)?;
                waiting.push(connection);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(waiting)
}

fn bind_any(port: u16, workers: usize) -> io::Result<Vec<Socket>> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind_tcp(v6, workers, How::ANY) {
        Err(error) if lacks_ipv6(&error) => {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            bind_tcp(v4, workers, How::ANY)
        }
        other => other,
    }
}

/// No IPv6 in the kernel, or switched off by sysctl.
fn lacks_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// How a TCP socket is bound.
#[derive(Debug, Clone, Copy)]
struct How {
    /// IPv4 does not come in.
    v6_only: bool,
    /// The host need not have the address.
    free: bool,
}

impl How {
    const ANY: Self = Self {
        v6_only: false,
        free: false,
    };

    fn of(addr: SocketAddr, contacts: &[IpAddr]) -> Self {
        Self {
            v6_only: true,
            free: contacts.contains(&addr.ip()),
        }
    }
}

fn bind_tcp(mut addr: SocketAddr, workers: usize, how: How) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers.max(1) {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(how.v6_only)?;
        }
        match how.free {
            true if addr.is_ipv6() => socket.set_freebind_v6(true)?,
            true => socket.set_freebind_v4(true)?,
            false => {}
        }
        socket.bind(&addr.into())?;
        if addr.port() == 0 {
            addr = local_address(&socket)?;
        }
        sockets.push(socket);
    }
    // Only once all are bound: a failure must not reset connections that came in meanwhile.
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<Socket>> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    let mut sockets = vec![socket];
    while sockets.len() < workers {
        let copy = sockets[0].try_clone()?;
        sockets.push(copy);
    }
    Ok(sockets)
}

/// Removes a socket file that its process left behind; nothing else, and no socket in use.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_socket(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_socket {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file of that name is there and is not a socket",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        // Anything else means that somebody may be listening: a full queue is not a stale file.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// An address could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// Where.
    pub addr: BindAddr,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    /// What the operator can do, if this is known.
    pub fn remedy(&self) -> Option<String> {
        Some(match (self.source.kind(), &self.addr) {
            (io::ErrorKind::AddrInUse, BindAddr::Unix(path)) => format!(
                "another process listens there (`ss -xlp src {}` tells which): stop it or choose \
                 another path",
                path.display(),
            ),
            (io::ErrorKind::AddrInUse, _) => format!(
                "another process listens there (`ss -tlnp 'sport = :{}'` tells which): stop it or \
                 choose another port",
                self.port(),
            ),
            (io::ErrorKind::AddrNotAvailable, _) => {
                "this machine does not have that address (`ip address` lists those that it has); \
                 to listen on all of them, write only \":PORT\""
                    .into()
            }
            (io::ErrorKind::PermissionDenied, BindAddr::Unix(_)) => {
                "the directory must be writable for the user that the switch runs as".into()
            }
            (io::ErrorKind::PermissionDenied, _) if self.port() < 1024 => format!(
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE: \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or \
                 `setcap cap_net_bind_service+ep` on the program, or \
                 `sysctl net.ipv4.ip_unprivileged_port_start={}`",
                self.port(),
            ),
            (io::ErrorKind::NotFound, BindAddr::Unix(_)) => {
                "the directory does not exist: create it first".into()
            }
            (io::ErrorKind::AlreadyExists, _) => "remove the file or choose another path".into(),
            _ => return None,
        })
    }

    fn port(&self) -> u16 {
        match &self.addr {
            BindAddr::Any(port) => *port,
            BindAddr::Socket(addr) => addr.port(),
            BindAddr::Unix(_) => 0,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot listen on ")?;
        match &self.addr {
            BindAddr::Any(port) => write!(f, ":{port}")?,
            BindAddr::Socket(addr) => write!(f, "{addr}")?,
            BindAddr::Unix(path) => write!(f, "unix:{}", path.display())?,
        }
        write!(f, ": {}", self.source)?;
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests;
