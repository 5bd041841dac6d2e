//! The checksum of the Internet protocols (RFC 1071): the ones' complement of a ones' complement
//! sum of 16 bits.

use std::net::IpAddr;

/// A sum under way. The parts may be added in any order; each but the last has an even length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u32);

impl Sum {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the pseudo-header of IPv6 (RFC 8200, 8.1) or, with addresses of IPv4, of TCP's (RFC 9293,
    /// 3.1): both add up to the same.
    pub fn of_pseudo_header(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: usize,
    ) -> Self {
        Self::new()
            .address(source)
            .address(destination)
            .word(u32::from(protocol))
            .word(length as u32)
    }

    /// With these bytes; an odd last one is followed by a zero.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        let sum = words.iter().fold(self, |sum, word| {
            sum.word(u32::from(u16::from_be_bytes(*word)))
        });
        match rest {
            [last] => sum.word(u32::from(*last) << 8),
            _ => sum,
        }
    }

    /// What goes into the packet's field, which was zero while it was added up.
    pub fn checksum(self) -> u16 {
        !self.folded()
    }

    /// Whether a packet that was added up with its checksum came whole.
    pub fn is_whole(self) -> bool {
        self.folded() == u16::MAX
    }

    fn address(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
    }

    fn word(self, word: u32) -> Self {
        let sum = self.0 + (word & 0xffff) + (word >> 16);
        Self((sum & 0xffff) + (sum >> 16))
    }

    fn folded(self) -> u16 {
        ((self.0 & 0xffff) + (self.0 >> 16)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_adds_up() {
        let sum = Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    #[test]
    fn many_large_words_do_not_overflow() {
        let sum = Sum::new().bytes(&[0xff; 200_000]);
        assert_eq!(sum.checksum(), 0);
        assert!(sum.is_whole());
    }

    #[test]
    fn an_odd_byte_counts_as_the_high_half() {
        assert_eq!(Sum::new().bytes(&[0x12]).checksum(), !0x1200);
    }
}
