//! Listening sockets of the control plane: of agents, and of the other switches.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Binds an address; another process of the same user may have it as well, so that the next one of an
/// upgrade can. Nobody can connect before somebody listens. With `both_families`, an address of IPv6
/// takes IPv4, too.
///
/// # Errors
/// Those of socket(2), setsockopt(2) and bind(2).
pub fn bind(address: SocketAddr, both_families: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Has a connection end by a reset: the system, too, is to keep nothing of it. Where that cannot be
/// asked for, it is closed like any other.
pub fn show_out(stream: &impl AsFd) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_address_is_had_by_two_and_a_connection_is_reset() {
        let first = bind(([127, 0, 0, 1], 0).into(), false).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        let _second = bind(address, false).unwrap();
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
        first.listen(1).unwrap();
        first.set_nonblocking(false).unwrap();
        let listener: TcpListener = first.into();
        let mut client = TcpStream::connect(address).unwrap();
        let (stream, _) = listener.accept().unwrap();
        show_out(&stream);
        drop(stream);
        let end = io::Read::read(&mut client, &mut [0]).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn ipv4_comes_in_where_both_families_are_asked_for_alone() {
        for both in [true, false] {
            let Ok(socket) = bind((Ipv6Addr::UNSPECIFIED, 0).into(), both) else {
                // A host without IPv6.
                return;
            };
            assert_eq!(socket.only_v6().unwrap(), !both);
        }
    }
}
