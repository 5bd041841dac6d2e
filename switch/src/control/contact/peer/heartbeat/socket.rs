//! The socket of the heartbeats.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

/// The class of routing protocols (RFC 4594, 3.2: CS6), which networks serve first.
const CLASS: u32 = 0xc0;
/// The highest one that needs no privilege (socket(7), SO_PRIORITY).
const PRIORITY: u32 = 6;

/// A UDP socket that never blocks.
///
/// The next process of an upgrade, if it is of the same user, can open one at the same address. Then
/// the system gives all datagrams of a sender to one of the two, whichever its hash of the addresses
/// says: neither process must conclude anything from silence while both have one.
#[derive(Debug)]
pub struct HeartbeatSocket(UdpSocket);

impl HeartbeatSocket {
    /// At one of the own addresses.
    ///
    /// # Errors
    /// The address cannot be used, and why.
    pub fn open(own: IpAddr, port: u16) -> io::Result<Self> {
        let address = SocketAddr::new(own, port);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking(),
            Some(Protocol::UDP),
        )?;
        // Not SO_REUSEADDR: with it, processes of other users could take the datagrams away.
        socket.set_reuse_port(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(CLASS)?;
        } else {
            socket.set_tos_v4(CLASS)?;
        }
        // After the class, which changes it (ip(7), IP_TOS).
        socket.set_priority(PRIORITY)?;
        socket
            .bind(&address.into())
            .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
        Ok(Self(socket.into()))
    }

    /// Where it is.
    ///
    /// # Errors
    /// Of getsockname(2).
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends a heartbeat, or loses it: where there is no room, the next one comes soon.
    ///
    /// # Errors
    /// There is no way to the peer, for example.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.0.send_to(bytes, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// The next datagram that has come, if there is one, its length and its sender. A longer one than
    /// the buffer is cut: with [`MAX_HEARTBEAT`](super::MAX_HEARTBEAT) + 1 bytes, no heartbeat is.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        // The system may tell of an earlier datagram's trouble instead, once for each.
        for _ in 0..4 {
            match self.0.recv_from(buffer) {
                Ok(received) => return Some(received),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {}
            }
        }
        None
    }
}

impl AsFd for HeartbeatSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
