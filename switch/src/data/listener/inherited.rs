//! Listening sockets that this process has not opened itself: the process before it did, or the
//! service manager.

use std::io;
use std::net::IpAddr;

use pointsman_config::policy::BindAddr;
use socket2::{Socket, Type};

use super::{How, bind_tcp, local_address};

/// A listening socket from elsewhere.
#[derive(Debug)]
pub struct Inherited {
    /// What it was opened for; `None` where only the socket itself tells.
    pub origin: Option<Origin>,
    /// The socket.
    pub socket: Socket,
}

/// What a socket of the process before was opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The listener's name.
    pub listener: String,
    /// Where the policy had it listen; the port may be 0.
    pub bind: BindAddr,
    /// The inode of a Unix socket's file that is to be removed with the socket.
    pub file: Option<u64>,
}

impl Inherited {
    /// Takes over a socket that the service manager has opened.
    ///
    /// # Errors
    /// It is not one that stream connections can be accepted from.
    pub fn activated(socket: Socket) -> io::Result<Self> {
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no listening stream socket (ListenStream= and Accept=no make one)",
            ));
        }
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.as_socket().is_some() {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self {
            origin: None,
            socket,
        })
    }

    /// Whether a listener of that name that is to listen there can accept from it.
    pub fn fits(&self, listener: &str, wanted: &BindAddr) -> bool {
        match &self.origin {
            // Every port 0 is a port of its own.
            Some(origin) => {
                origin.bind == *wanted && (!has_port_0(wanted) || origin.listener == listener)
            }
            None => self.listens_at(wanted),
        }
    }

    fn listens_at(&self, wanted: &BindAddr) -> bool {
        let Ok(local) = self.socket.local_addr() else {
            return false;
        };
        match (wanted, local.as_socket()) {
            (BindAddr::Unix(path), _) => local.as_pathname() == Some(path),
            (BindAddr::Socket(addr), Some(local)) => *addr == local,
            (BindAddr::Any(port), Some(local)) => {
                let takes_all = local.is_ipv4() || self.socket.only_v6().is_ok_and(|only| !only);
                local.ip().is_unspecified() && local.port() == *port && takes_all
            }
            (_, None) => false,
        }
    }

    /// Where it listens, in words.
    pub fn place(&self) -> String {
        match self.socket.local_addr() {
            Ok(addr) => match (addr.as_socket(), addr.as_pathname()) {
                (Some(socket), _) => socket.to_string(),
                (_, Some(path)) => format!("unix:{}", path.display()),
                (None, None) => "an unnamed socket".to_owned(),
            },
            Err(error) => error.to_string(),
        }
    }
}

fn has_port_0(addr: &BindAddr) -> bool {
    match addr {
        BindAddr::Any(port) => *port == 0,
        BindAddr::Socket(addr) => addr.port() == 0,
        BindAddr::Unix(_) => false,
    }
}

/// Completes inherited sockets of one address to one per worker at least: by further SO_REUSEPORT
/// sockets, or, where the inherited ones do not allow it, by copies that accept from the same
/// queues. `contacts`: see [`bind`](super::bind). Surplus sockets stay: to close them would reset what waits in their queues.
///
/// # Errors
/// The system has no more descriptors.
pub fn complete(
    wanted: &BindAddr,
    mut sockets: Vec<Socket>,
    workers: usize,
    contacts: &[IpAddr],
) -> io::Result<Vec<Socket>> {
    let Some(first) = sockets.first() else {
        return Ok(sockets);
    };
    let missing = workers.saturating_sub(sockets.len());
    let local = local_address(first);
    if let (Ok(addr), 1..) = (local, missing) {
        let how = match wanted {
            BindAddr::Any(_) => How::ANY,
            _ => How::of(addr, contacts),
        };
        sockets.extend(bind_tcp(addr, missing, how).unwrap_or_default());
    }
    let own = sockets.len();
    while sockets.len() < workers {
        let copy = sockets[sockets.len() % own].try_clone()?;
        sockets.push(copy);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::super::bind;
    use super::*;

    fn loopback() -> BindAddr {
        BindAddr::Socket("127.0.0.1:0".parse().expect("an address"))
    }

    fn inherited(listener: &str, bind_to: &BindAddr) -> Inherited {
        let socket = bind(bind_to, 1, &[]).expect("loopback").remove(0);
        let origin = Origin {
            listener: listener.to_owned(),
            bind: bind_to.clone(),
            file: None,
        };
        Inherited {
            origin: Some(origin),
            socket,
        }
    }

    #[test]
    fn a_socket_of_the_process_before_fits_its_policys_words() {
        let socket = inherited("web", &loopback());
        assert!(socket.fits("web", &loopback()));
        assert!(!socket.fits("other", &loopback()), "another port 0");
        let resolved = local_address(&socket.socket).expect("a TCP socket");
        assert!(!socket.fits("web", &BindAddr::Socket(resolved)));
    }

    #[test]
    fn an_activated_socket_fits_by_its_address() {
        let socket = bind(&loopback(), 1, &[]).expect("loopback").remove(0);
        let addr = local_address(&socket).expect("a TCP socket");
        let socket = Inherited::activated(socket).expect("it listens");
        assert!(socket.fits("whatever", &BindAddr::Socket(addr)));
        assert!(!socket.fits("whatever", &BindAddr::Any(addr.port())));
        assert_eq!(socket.place(), addr.to_string());

        let socket = bind(&BindAddr::Any(0), 1, &[])
            .expect("any address")
            .remove(0);
        let port = local_address(&socket).expect("a TCP socket").port();
        let socket = Inherited::activated(socket).expect("it listens");
        assert!(socket.fits("whatever", &BindAddr::Any(port)));
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let socket = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert!(Inherited::activated(socket).is_err());
    }

    #[test]
    fn fewer_sockets_than_workers_are_completed_and_surplus_ones_stay() {
        let sockets = bind(&loopback(), 2, &[]).expect("loopback");
        let addr = local_address(&sockets[0]).expect("a TCP socket");
        let wanted = BindAddr::Socket(addr);
        let four = complete(&wanted, sockets, 4, &[]).expect("descriptors");
        assert_eq!(four.len(), 4);
        assert!(
            four.iter()
                .all(|socket| local_address(socket).ok() == Some(addr))
        );
        let still_four = complete(&wanted, four, 1, &[]).expect("descriptors");
        assert_eq!(still_four.len(), 4);
    }

    #[test]
    fn a_socket_that_allows_no_second_one_is_copied() {
        let only = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = only.local_addr().expect("bound");
        let three =
            complete(&BindAddr::Socket(addr), vec![only.into()], 3, &[]).expect("descriptors");
        assert_eq!(three.len(), 3);
    }
}
