//! The header in front of what a raw socket of IPv4 receives (RFC 791, 3.1; raw(7)).

use std::net::Ipv4Addr;

/// What an advert's receiver needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes, with its options.
    pub length: usize,
    /// Hops that were left.
    pub ttl: u8,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
}

const SHORTEST: usize = 20;

impl Header {
    /// The header at the beginning of a packet; `None` where there is no whole one.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<SHORTEST>()?;
        let length = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || length < SHORTEST || length > packet.len() {
            return None;
        }
        Some(Self {
            length,
            ttl: fixed[8],
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As keepalived 2.2.7 sent it.
    const PACKET: [u8; 20] = [
        0x45, 0xc0, 0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x90, 10, 9, 0, 1, 224,
        0, 0, 18,
    ];

    #[test]
    fn a_header_is_read() {
        let expected = Header {
            length: 20,
            ttl: 255,
            source: Ipv4Addr::new(10, 9, 0, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
        };
        assert_eq!(Header::parse(&PACKET), Some(expected));
    }

    #[test]
    fn options_belong_to_the_header() {
        let mut packet = PACKET.to_vec();
        packet[0] = 0x46;
        assert_eq!(Header::parse(&packet), None);
        packet.extend([1, 1, 1, 0]);
        assert_eq!(Header::parse(&packet).unwrap().length, 24);
    }

    #[test]
    fn what_is_no_header_is_none() {
        assert_eq!(Header::parse(&PACKET[..19]), None);
        for first in [0x44, 0x40, 0x65, 0x00] {
            let mut packet = PACKET;
            packet[0] = first;
            assert_eq!(Header::parse(&packet), None, "{first:#x}");
        }
    }
}
