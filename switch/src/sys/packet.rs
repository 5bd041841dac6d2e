//! Packet sockets, by which frames go to the wire as they are (packet(7)), and what raw sockets of
//! IP need beyond the libraries: to choose a packet's source, and to learn its hop limit.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io::{self, Read as _};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Room for the control messages of one packet: IPV6_PKTINFO takes 40 bytes, IPV6_HOPLIMIT 24.
const CONTROL: usize = 128;

/// A packet socket on one interface. It is worth keeping: to close one takes about 10 ms.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// One that sends alone, on the interface of this index.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, which the text explains, or there is no such interface.
    pub fn sender(index: u32) -> io::Result<Self> {
        let socket = packet_socket()?;
        bind(&socket, index, 0)?;
        Ok(Self(socket))
    }

    /// One that receives the frames of this EtherType that the filter (classic BPF) lets through.
    ///
    /// # Errors
    /// As of [`PacketSocket::sender`]; the kernel refuses the filter.
    pub fn receiver(index: u32, ethertype: u16, filter: &[SockFilter]) -> io::Result<Self> {
        let socket = packet_socket()?;
        socket.attach_filter(filter)?;
        bind(&socket, index, ethertype)?;
        Ok(Self(socket))
    }

    /// Replaces the filter. What was let through before may still be waiting.
    ///
    /// # Errors
    /// The kernel refuses it: longer than 4096 instructions, or none.
    pub fn set_filter(&self, filter: &[SockFilter]) -> io::Result<()> {
        self.0.attach_filter(filter)
    }

    /// Sends a frame, from its destination's address to its last byte. Never waits.
    ///
    /// # Errors
    /// The interface is down or gone; its queue is full.
    pub fn send_frame(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }

    /// The length of the next frame, which fills the buffer as far as both go; `None` when none is
    /// there. An interface that went down has none; when it is up again they come again.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn receive_frame(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A packet that a raw socket of IPv6 received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatagramV6 {
    /// Bytes of it in the buffer.
    pub length: usize,
    /// Who says that it sent it.
    pub source: Ipv6Addr,
    /// To whom; unspecified unless [`tell_destination_v6`] was called.
    pub destination: Ipv6Addr,
    /// Hops that were left; 0 unless IPV6_RECVHOPLIMIT is set.
    pub hop_limit: u8,
}

/// Says what to do where the error is that raw sockets are not permitted.
pub fn explain(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "raw and packet sockets need the capability CAP_NET_RAW: AmbientCapabilities=CAP_NET_RAW \
         in the systemd unit, or `setcap cap_net_raw+ep` on the program",
    )
}

/// [`DatagramV6::destination`] is told from now on (RFC 3542, 6.2).
///
/// # Errors
/// It is no socket of IPv6.
pub fn tell_destination_v6(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: the descriptor is open, and the option is read from `on`, which has the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_RECVPKTINFO,
            (&raw const on).cast(),
            size_of::<c_int>() as u32,
        )
    };
    succeeded(result as isize).map(drop)
}

/// Sends a packet by a raw socket of IP through the interface of this index, from this source and
/// no other (ip(7), IP_PKTINFO; RFC 3542, 6.2). Never waits.
///
/// # Errors
/// The source is not an address of this host, source and destination are not of one family, and
/// those of sendmsg(2).
pub fn send_from(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    source: IpAddr,
    destination: IpAddr,
    index: u32,
) -> io::Result<()> {
    let index_int = interface_index(index)?;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // SAFETY: a plain C struct of integers, for which zeros are a value.
            let mut name: libc::sockaddr_in = unsafe { zeroed() };
            name.sin_family = libc::AF_INET as u16;
            name.sin_addr.s_addr = u32::from(destination).to_be();
            let info = libc::in_pktinfo {
                ipi_ifindex: index_int,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(source).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            send(
                socket,
                packet,
                name,
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                info,
            )
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            // SAFETY: a plain C struct of integers, for which zeros are a value.
            let mut name: libc::sockaddr_in6 = unsafe { zeroed() };
            name.sin6_family = libc::AF_INET6 as u16;
            name.sin6_addr.s6_addr = destination.octets();
            name.sin6_scope_id = index;
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: source.octets(),
                },
                ipi6_ifindex: index,
            };
            let (level, kind) = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
            send(socket, packet, name, level, kind, info)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{source} and {destination} are not of one family"),
        )),
    }
}

/// The next packet of a raw socket of IPv6, cut off where the buffer ends. Never waits.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when none is there, and those of recvmsg(2).
pub fn receive_v6(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<DatagramV6> {
    // SAFETY: a plain C struct of integers, for which zeros are a value.
    let mut name: libc::sockaddr_in6 = unsafe { zeroed() };
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a plain C struct of integers and pointers, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL as _;
    // SAFETY: the descriptor is open. Name, control and the one part of the buffer are written
    // within the lengths given; all of them outlive the call, and `buffer` is borrowed mutably.
    let length = succeeded(unsafe {
        libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT)
    })?;
    let mut datagram = DatagramV6 {
        length,
        source: Ipv6Addr::from(name.sin6_addr.s6_addr),
        destination: Ipv6Addr::UNSPECIFIED,
        hop_limit: 0,
    };
    // SAFETY: recvmsg has filled `message`, and what it points to is still there.
    unsafe { read_control(&message, &mut datagram) };
    Ok(datagram)
}

/// Aligned as control messages have to be.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// # Safety
/// `message` is as recvmsg has left it, and its control buffer is alive and aligned.
unsafe fn read_control(message: &libc::msghdr, datagram: &mut DatagramV6) {
    // SAFETY: of the caller.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header within the buffer.
        let (head, data) = unsafe { (header.read(), libc::CMSG_DATA(header)) };
        // SAFETY: CMSG_LEN computes alone.
        let holds = |size: usize| head.cmsg_len >= unsafe { libc::CMSG_LEN(size as u32) } as _;
        match (head.cmsg_level, head.cmsg_type) {
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) if holds(size_of::<c_int>()) => {
                // SAFETY: the message is long enough for one, as was just seen.
                let hops = unsafe { data.cast::<c_int>().read_unaligned() };
                datagram.hop_limit = u8::try_from(hops).unwrap_or(0);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                // SAFETY: the message is long enough for one, as was just seen.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                datagram.destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            }
            _ => {}
        }
        // SAFETY: of the caller; `header` is one of the message's.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
}

/// Sends with one control message. `Name` and `Info` are the C structs that the kernel expects for
/// the socket's family and for this kind of message.
fn send<Name, Info>(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    mut name: Name,
    level: c_int,
    kind: c_int,
    info: Info,
) -> io::Result<()> {
    const { assert!(size_of::<Info>() + 2 * size_of::<libc::cmsghdr>() <= CONTROL) };
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec {
        iov_base: packet.as_ptr().cast_mut().cast(),
        iov_len: packet.len(),
    };
    // SAFETY: a plain C struct of integers and pointers, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of::<Name>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    let size = size_of::<Info>() as u32;
    // SAFETY: CMSG_SPACE and CMSG_LEN compute alone. The control buffer is aligned and has room for
    // the header and `Info`, as is asserted above, so that CMSG_FIRSTHDR gives its beginning.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header).cast::<Info>().write_unaligned(info);
    }
    // SAFETY: the descriptor is open; name, control and packet have the lengths given, outlive the
    // call and are read alone.
    let sent = unsafe {
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    succeeded(sent).map(drop)
}

fn packet_socket() -> io::Result<Socket> {
    // Of no protocol: it receives nothing before it is bound to one.
    Socket::new(
        Domain::PACKET,
        Type::RAW.nonblocking(),
        Some(Protocol::from(0)),
    )
    .map_err(explain)
}

fn bind(socket: &Socket, index: u32, ethertype: u16) -> io::Result<()> {
    // SAFETY: a plain C struct of integers, for which zeros are a value.
    let mut name: libc::sockaddr_ll = unsafe { zeroed() };
    name.sll_family = libc::AF_PACKET as u16;
    name.sll_protocol = ethertype.to_be();
    name.sll_ifindex = interface_index(index)?;
    // SAFETY: the descriptor is open, and `name` has the length given.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const name).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    };
    succeeded(result as isize).map(drop)
}

/// 0 would mean all of them.
fn interface_index(index: u32) -> io::Result<c_int> {
    let index = c_int::try_from(index).ok().filter(|index| *index > 0);
    index.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NetworkDown, WouldBlock};
    matches!(error.kind(), Interrupted | NetworkDown | WouldBlock)
}

fn succeeded(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
