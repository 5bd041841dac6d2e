//! Packets that no decent client sends.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sendto, socket_with,
};

use super::Host;

/// Of IPv4 with a header of the sender's own (raw(7), IPPROTO_RAW).
const RAW: u32 = 255;
const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Of both headers.
const IP: usize = 20;
const HEADER: usize = 20;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forged {
    /// A segment that asks for a connection.
    Syn,
    /// One of a connection that nobody has.
    Ack,
    /// A part of TCP's header.
    Truncated,
    /// A header that says to be longer than the segment.
    Oversize,
    /// A segment from the service's own address.
    Reflected,
}

/// Sends so many of these from a host to an address and port, each from another source, as fast as
/// it can; how many the host's kernel has taken.
///
/// # Panics
///
/// When the host may not send what it likes.
pub fn flood(host: &Host, target: SocketAddrV4, forged: Forged, count: u32) -> u32 {
    host.enter(|| {
        let protocol = std::num::NonZeroU32::new(RAW).map(Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol)
            .unwrap_or_else(|why| panic!("no raw socket: {why}"));
        (0..count)
            .filter(|number| send(&socket, target, forged, *number))
            .count() as u32
    })
}

fn send(socket: &OwnedFd, target: SocketAddrV4, forged: Forged, number: u32) -> bool {
    let packet = packet(target, forged, number);
    sendto(socket, &packet, SendFlags::empty(), &target).is_ok()
}

/// Sources are spread over 16 million addresses of no network that anybody here has.
fn packet(target: SocketAddrV4, forged: Forged, number: u32) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    let source = match forged {
        Forged::Reflected => *target.ip(),
        _ => Ipv4Addr::from(0x0b00_0000 | mixed >> 8),
    };
    let port = 1024 + (mixed & 0x7fff) as u16;
    let length = match forged {
        Forged::Truncated => 10,
        _ => HEADER,
    };
    let mut packet = vec![0; IP + length];
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = TCP;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&target.ip().octets());
    let mut tcp = [0; HEADER];
    tcp[..2].copy_from_slice(&port.to_be_bytes());
    tcp[2..4].copy_from_slice(&target.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&mixed.to_be_bytes());
    tcp[12] = match forged {
        Forged::Oversize => 0xf0,
        _ => 0x50,
    };
    tcp[13] = match forged {
        Forged::Ack => ACK,
        _ => SYN,
    };
    tcp[14..16].copy_from_slice(&1024_u16.to_be_bytes());
    let sum = checksum(source, *target.ip(), &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    packet[IP..].copy_from_slice(&tcp[..length]);
    packet
}

/// RFC 9293, 3.1, of a header without a payload.
fn checksum(source: Ipv4Addr, destination: Ipv4Addr, tcp: &[u8; HEADER]) -> u16 {
    let pseudo = [source.octets(), destination.octets()].concat();
    let words = pseudo.chunks_exact(2).chain(tcp.chunks_exact(2));
    let words = words.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + u32::from(TCP) + HEADER as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
