//! Packets that nobody should send.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pointsman::control::contact::vrrp::{Advert, Checksum};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket, sockopt};

use crate::stage::{GROUP, SHARED};

pub const VRRP: u8 = 112;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// RST and FIN.
pub const FLAGS: [u8; 2] = [0x04, 0x11];

/// Sends whatever it is told to, from whatever address. To be made inside of the host.
pub struct Forger(OwnedFd);

impl Forger {
    pub fn new() -> Self {
        let raw = Protocol::from_raw(std::num::NonZeroU32::new(255).unwrap());
        let socket = socket(AddressFamily::INET, SocketType::RAW, Some(raw)).unwrap();
        sockopt::set_socket_broadcast(&socket, true).unwrap();
        Self(socket)
    }

    /// Sends this between these addresses, as this protocol. The kernel adds the header's checksum.
    pub fn send(&self, from: Ipv4Addr, to: Ipv4Addr, protocol: u8, ttl: u8, payload: &[u8]) {
        let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![
            0x45, 0, length[0], length[1], 0, 0, 0, 0, ttl, protocol, 0, 0,
        ];
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(payload);
        // There may be no room for a moment.
        while let Err(Errno::NOBUFS) = sendto(
            &self.0,
            &packet,
            SendFlags::empty(),
            &SocketAddrV4::new(to, 0),
        ) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// An advert of the group and its address, right in everything.
pub fn advert(priority: u8) -> Advert {
    Advert {
        group: GROUP,
        priority,
        interval: Duration::from_millis(100),
        addresses: vec![SHARED.parse().unwrap()],
    }
}

/// Adverts of the highest priority that are wrong in one thing each: the reason by which they are
/// dropped, the TTL, and the bytes. Adverts of other groups are dropped without being counted.
pub fn wrong_adverts(from: Ipv4Addr, to: Ipv4Addr) -> Vec<(Option<&'static str>, u8, Vec<u8>)> {
    let encoded = |advert: &Advert| advert.encode(Checksum::PseudoHeader, from.into(), to.into());
    let right = encoded(&advert(255));
    let mut damaged = right.clone();
    damaged[6] ^= 0x55;
    let mut longer = right.clone();
    longer.extend([0; 4]);
    let other_group = Advert {
        group: GROUP + 1,
        ..advert(255)
    };
    let of = |addresses: &[&str]| Advert {
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        ..advert(255)
    };
    vec![
        (Some("ttl"), 254, right.clone()),
        (Some("checksum"), 255, damaged),
        (None, 255, encoded(&other_group)),
        (Some("addresses"), 255, encoded(&of(&["10.77.0.101"]))),
        (
            Some("addresses"),
            255,
            encoded(&of(&[SHARED, "10.77.0.101"])),
        ),
        (Some("length"), 255, longer),
        (Some("length"), 255, right[..10].to_vec()),
        (Some("length"), 255, right[..3].to_vec()),
        (Some("length"), 255, Vec::new()),
    ]
}

/// A datagram, without a checksum, which UDP over IPv4 allows.
pub fn datagram(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let head = [from, to, length, 0].map(u16::to_be_bytes);
    [head.as_flattened(), payload].concat()
}

/// A segment without payload.
pub fn segment(
    from: SocketAddrV4,
    to: SocketAddrV4,
    flags: u8,
    sequence: u32,
    ack: u32,
) -> Vec<u8> {
    let mut bytes = [from.port(), to.port()].map(u16::to_be_bytes).concat();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    let mut pseudo = [from.ip().octets(), to.ip().octets()].concat();
    pseudo.extend([0, TCP, 0, 20]);
    let sum = checksum(&[pseudo.as_slice(), &bytes].concat());
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Of RFC 1071; the length is even.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0;
    let mut sum: u32 = words
        .iter()
        .map(|two| u32::from(u16::from_be_bytes(*two)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// Bytes without a meaning, always the same for the same number.
pub fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// What a frame of a capture carries: both ends and the payload of its datagram or segment.
pub fn unpacked(frame: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4, &[u8])> {
    let packet = frame.get(14..)?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address = |at: usize| -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(
            <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
        ))
    };
    let inner = packet.get(header..)?;
    let port = |at: usize| -> Option<u16> {
        Some(u16::from_be_bytes(inner.get(at..at + 2)?.try_into().ok()?))
    };
    let (from, to) = (
        SocketAddrV4::new(address(12)?, port(0)?),
        SocketAddrV4::new(address(16)?, port(2)?),
    );
    let skip = if packet.get(9)? == &TCP { 20 } else { 8 };
    Some((from, to, inner.get(skip..)?))
}
