//! Where the peers' sessions come in.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::initiates;
use crate::control::listen;

/// Sessions of one peer that may be in their handshake at the same time: one that the peer has given
/// up, and the one that it tries now.
pub const MAX_PENDING: usize = 2;

/// Connections that one call looks at, per listening socket.
const MAX_STRANGERS: usize = 16;
const BACKLOG: i32 = 32;

/// Listening sockets that let in known peers alone.
#[derive(Debug)]
pub struct Door {
    listeners: Vec<TcpListener>,
    peers: Vec<IpAddr>,
    /// Given up for a moment when there are no descriptors left: a connection that nobody can
    /// accept would wake the loop forever.
    spare: Option<OwnedFd>,
    strangers: u64,
}

impl Door {
    /// Listens at each of the own addresses. The next process of an upgrade can do so at the same
    /// time, if it is of the same user.
    ///
    /// # Errors
    /// An address that cannot be listened at, and why.
    pub fn open(addresses: &[IpAddr], port: u16, peers: &[IpAddr]) -> io::Result<Self> {
        let listeners: Vec<_> = addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, port))
            .map(|address| {
                open(address)
                    .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
            })
            .collect::<io::Result<_>>()?;
        let mut door = Self {
            listeners,
            peers: vec![],
            spare: None,
            strangers: 0,
        };
        door.set_peers(peers);
        door.keep_spare();
        Ok(door)
    }

    /// Whom to let in from now on.
    pub fn set_peers(&mut self, peers: &[IpAddr]) {
        self.peers = peers.iter().map(IpAddr::to_canonical).collect();
    }

    /// What the loop watches for input.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(AsFd::as_fd)
    }

    /// The next connection of a peer, if one has come; ask until there is none. `pending` tells how
    /// many sessions that this peer has opened are not open yet. Strangers, peers with more than
    /// [`MAX_PENDING`] of them, and those that have to wait for us ([`initiates`]) are shown out.
    pub fn accept(&mut self, pending: impl Fn(IpAddr) -> usize) -> Option<(TcpStream, SocketAddr)> {
        for index in 0..self.listeners.len() {
            for _ in 0..MAX_STRANGERS {
                match self.listeners[index].accept() {
                    Ok((stream, peer)) if self.lets_in(&stream, peer, &pending) => {
                        return Some((stream, peer));
                    }
                    Ok((stream, peer)) => {
                        self.strangers += u64::from(!self.knows(peer));
                        listen::show_out(&stream);
                    }
                    Err(error) => match Errno::from_io_error(&error) {
                        Some(Errno::AGAIN) => break,
                        Some(Errno::MFILE | Errno::NFILE) if self.turn_away(index) => {}
                        Some(Errno::MFILE | Errno::NFILE) => break,
                        // Of the connection, not of the socket (accept(2)).
                        _ => {}
                    },
                }
            }
        }
        None
    }

    /// How many that are no peers were shown out since the last time.
    pub fn strangers(&mut self) -> u64 {
        std::mem::take(&mut self.strangers)
    }

    fn knows(&self, peer: SocketAddr) -> bool {
        self.peers.contains(&peer.ip().to_canonical())
    }

    fn lets_in(
        &self,
        stream: &TcpStream,
        peer: SocketAddr,
        pending: impl Fn(IpAddr) -> usize,
    ) -> bool {
        let ip = peer.ip().to_canonical();
        let waits = |own: SocketAddr| !initiates(own.ip(), ip);
        self.knows(peer) && pending(ip) < MAX_PENDING && stream.local_addr().is_ok_and(waits)
    }

    /// Whether a connection was accepted and closed with the spare descriptor.
    fn turn_away(&mut self, index: usize) -> bool {
        let had = self.spare.take().is_some();
        let stream = self.listeners[index].accept();
        let turned = stream.is_ok();
        if let Ok((stream, _)) = stream {
            listen::show_out(&stream);
        }
        self.keep_spare();
        had && turned
    }

    fn keep_spare(&mut self) {
        let first = self.listeners.first();
        self.spare = first.and_then(|listener| listener.as_fd().try_clone_to_owned().ok());
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = listen::bind(address, false)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
