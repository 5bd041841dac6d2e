//! The raw socket that adverts leave and arrive by: one per interface and family.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::ipv4::Header;
use super::{GROUP_V4, GROUP_V6, PROTOCOL, TTL, advert, multicast_group};
use crate::control::contact::group::Family;
use crate::sys::packet;

/// For what is received: the longest advert behind the longest header, and a byte more, so that
/// what is cut off here is too long for an advert in any case.
pub const BUFFER: usize = 60 + advert::HEAD + advert::MAX_ADDRESSES * 16 + 1;

/// Internetwork control (RFC 2474, 4.2.2), as the first bits of TOS or traffic class.
const CONTROL: u32 = 0xc0;
/// TC_PRIO_INTERACTIVE, the highest that needs no further privilege.
const PRIORITY: u32 = 6;
/// Some hundred adverts; the kernel may hold it to `net.core.rmem_max`.
const QUEUE: usize = 256 * 1024;
/// Packets that one call of `receive` passes over.
const PASSED_OVER: usize = 64;

/// A raw socket of protocol 112 on one interface.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    interface: String,
    index: u32,
    source: IpAddr,
    multicast: bool,
}

/// A packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'b> {
    /// Who says that it sent it.
    pub source: IpAddr,
    /// To whom: an address of this host, or the multicast group.
    pub destination: IpAddr,
    /// Its TTL or hop limit when it came: 255 unless a router has passed it on.
    pub ttl: u8,
    /// What follows the header of IP, cut off where the buffer ended.
    pub payload: &'b [u8],
}

impl VrrpSocket {
    /// Opens it for adverts from `source`, an address of the interface, of the family of `source`.
    /// The address may come later and may go. With `multicast`, what is sent to 224.0.0.18 or
    /// ff02::12 is received, too.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, which the text explains, or there is no such interface.
    pub fn open(interface: &str, index: u32, source: IpAddr, multicast: bool) -> io::Result<Self> {
        let socket = match source {
            IpAddr::V4(_) => raw(Domain::IPV4)?,
            IpAddr::V6(_) => raw(Domain::IPV6)?,
        };
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_recv_buffer_size(QUEUE)?;
        match source {
            IpAddr::V4(_) => prepare_v4(&socket, index, multicast)?,
            IpAddr::V6(_) => prepare_v6(&socket, index, multicast)?,
        }
        // Behind the TOS, which sets a priority of its own.
        socket.set_priority(PRIORITY)?;
        Ok(Self {
            socket,
            interface: interface.to_owned(),
            index,
            source,
            multicast,
        })
    }

    /// Sends what [`super::Advert::encode`] made for the same addresses: the kernel leaves its
    /// checksum alone. Never waits.
    ///
    /// # Errors
    /// The interface is down, its queue is full ([`io::ErrorKind::WouldBlock`]), or the source is
    /// not, or not yet, an address of this host.
    pub fn send(&self, packet: &[u8], destination: IpAddr) -> io::Result<()> {
        packet::send_from(
            self.socket.as_fd(),
            packet,
            self.source,
            destination,
            self.index,
        )
        .map_err(|error| self.explain(destination, error))
    }

    /// The next packet, if one is there; our own and those to multicast groups that were not joined
    /// are passed over. `buffer` has [`BUFFER`] bytes. A
    /// stranger can send anything, so that one call reads a bounded number of packets: `None` does
    /// not mean that nothing is left, which poll(2) knows.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        for _ in 0..PASSED_OVER {
            let packet = match self.read(buffer) {
                Ok(packet) => packet,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(packet) = packet else { continue };
            if self.concerns(&packet) {
                return Ok(Some(Received {
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    payload: buffer.get(packet.payload).unwrap_or_default(),
                }));
            }
        }
        Ok(None)
    }

    /// The address that it sends from.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// One packet; `None` of one whose header makes no sense.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Option<Packet>> {
        match self.source {
            IpAddr::V4(_) => {
                let length = (&self.socket).read(buffer)?;
                Ok(Header::parse(&buffer[..length]).map(|header| Packet::v4(header, length)))
            }
            IpAddr::V6(_) => {
                let datagram = packet::receive_v6(self.socket.as_fd(), buffer)?;
                Ok(Some(Packet::v6(datagram)))
            }
        }
    }

    /// A raw socket of IPv6 hears what others on this host have joined, whatever
    /// IPV6_MULTICAST_ALL says.
    fn concerns(&self, packet: &Packet) -> bool {
        let destination = packet.destination;
        let joined = self.multicast && destination == multicast_group(Family::of(destination));
        packet.source != self.source && (joined || !destination.is_multicast())
    }

    fn explain(&self, destination: IpAddr, error: io::Error) -> io::Error {
        use io::ErrorKind::{AddrNotAvailable, InvalidInput, NetworkUnreachable, WouldBlock};
        let (source, interface) = (self.source, &self.interface);
        match error.kind() {
            WouldBlock => error,
            AddrNotAvailable | InvalidInput | NetworkUnreachable => io::Error::new(
                error.kind(),
                format!(
                    "nothing can be sent from {source} on {interface} to {destination}: {error} \
                     (does `ip address show {interface}` list {source}?)"
                ),
            ),
            kind => io::Error::new(
                kind,
                format!("sending from {source} on {interface} to {destination}: {error}"),
            ),
        }
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A [`Received`] that does not hold the buffer.
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    payload: std::ops::Range<usize>,
}

impl Packet {
    fn v4(header: Header, length: usize) -> Self {
        Self {
            source: header.source.into(),
            destination: header.destination.into(),
            ttl: header.ttl,
            payload: header.length..length,
        }
    }

    fn v6(datagram: packet::DatagramV6) -> Self {
        Self {
            source: datagram.source.into(),
            destination: datagram.destination.into(),
            ttl: datagram.hop_limit,
            payload: 0..datagram.length,
        }
    }
}

fn raw(domain: Domain) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(PROTOCOL));
    Socket::new(domain, Type::RAW.nonblocking(), Some(protocol)).map_err(packet::explain)
}

fn prepare_v4(socket: &Socket, index: u32, multicast: bool) -> io::Result<()> {
    socket.set_ttl_v4(u32::from(TTL))?;
    socket.set_multicast_ttl_v4(u32::from(TTL))?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_tos_v4(CONTROL)?;
    // Otherwise it hears what others on this host have joined.
    socket.set_multicast_all_v4(false)?;
    if multicast {
        socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    }
    Ok(())
}

/// The kernel computes no checksum: for protocols other than ICMPv6 it does so only when told to
/// (RFC 3542, 3.1).
fn prepare_v6(socket: &Socket, index: u32, multicast: bool) -> io::Result<()> {
    socket.set_unicast_hops_v6(u32::from(TTL))?;
    socket.set_multicast_hops_v6(u32::from(TTL))?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_tclass_v6(CONTROL)?;
    socket.set_recv_hoplimit_v6(true)?;
    packet::tell_destination_v6(socket.as_fd())?;
    if multicast {
        socket.join_multicast_v6(&GROUP_V6, index)?;
    }
    Ok(())
}
