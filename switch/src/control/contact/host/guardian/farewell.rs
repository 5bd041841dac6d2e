//! A VRRP packet or datagram whose socket is open before it is needed.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Farewell;

/// VRRP's number (RFC 9568, 5.1.1.4).
const VRRP: i32 = 112;
/// As far as a receiver believes it (RFC 9568, 5.1.1.3).
const TTL: u32 = 255;
/// Network control (RFC 4594, 3.1).
const CS6: u32 = 0xc0;

/// Sends it through the socket of [`open`].
pub(super) fn send(socket: &Socket, farewell: &Farewell) -> io::Result<()> {
    let to = address(
        farewell.destination,
        farewell.port.unwrap_or(0),
        farewell.index,
    );
    socket.send_to(&farewell.packet, &to).map(|_| ())
}

/// A socket that sends from the farewell's source: through its interface if it is VRRP.
pub(super) fn open(farewell: &Farewell) -> io::Result<Socket> {
    let domain = match farewell.source {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = match farewell.port {
        Some(_) => datagram(domain)?,
        None => raw(domain, farewell)?,
    };
    // What arrives is not wanted.
    socket.set_recv_buffer_size(0)?;
    socket.bind(&address(farewell.source, 0, farewell.index))?;
    Ok(socket)
}

fn datagram(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn raw(domain: Domain, farewell: &Farewell) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(VRRP)))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(farewell.interface.as_bytes()))?;
    if domain == Domain::IPV4 {
        socket.set_ttl_v4(TTL)?;
        socket.set_multicast_ttl_v4(TTL)?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_tos_v4(CS6)?;
    } else {
        socket.set_unicast_hops_v6(TTL)?;
        socket.set_multicast_hops_v6(TTL)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_if_v6(farewell.index)?;
    }
    Ok(socket)
}

fn address(ip: IpAddr, port: u16, index: u32) -> SockAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port).into(),
        // A link-local address means nothing without its link.
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, index).into(),
    }
}
