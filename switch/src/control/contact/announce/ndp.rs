//! Frames of neighbour discovery for IPv6 (RFC 4861).

use std::net::Ipv6Addr;

use super::Mac;
use crate::control::contact::vrrp::checksum::Sum;

/// An unsolicited advertisement: 14 bytes of Ethernet, 40 of IPv6, 24 of ICMPv6, 8 of the option.
pub const FRAME: usize = 86;
/// The Ethernet address of ff02::1 (RFC 2464, 7).
pub const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
/// The option of the target's link-layer address, in units of 8 bytes.
const OPTION: [u8; 2] = [2, 1];
/// Of Ethernet, and of that and IPv6.
const ETHERNET: usize = 14;
const HEADERS: usize = 54;

/// "`ip` is at `mac`", unasked, to all nodes in one frame to `to` (RFC 4861, 7.2.6). The source is
/// the address itself, as keepalived has it.
pub fn advertisement(ip: Ipv6Addr, mac: Mac, to: Mac, router: bool) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&mac);
    frame[12..ETHERNET].copy_from_slice(&[0x86, 0xdd]);
    frame[ETHERNET] = 0x60;
    frame[19] = (FRAME - HEADERS) as u8;
    frame[20] = ICMPV6;
    // RFC 4861, 7.1.2: neighbours take no other hop limit.
    frame[21] = 255;
    frame[22..38].copy_from_slice(&ip.octets());
    frame[38..HEADERS].copy_from_slice(&ALL_NODES.octets());
    frame[HEADERS] = NEIGHBOUR_ADVERTISEMENT;
    frame[58] = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    frame[62..78].copy_from_slice(&ip.octets());
    frame[78..80].copy_from_slice(&OPTION);
    frame[80..].copy_from_slice(&mac);
    let message = &frame[HEADERS..];
    let sum = Sum::of_pseudo_header(ip.into(), ALL_NODES.into(), ICMPV6, message.len());
    let checksum = sum.bytes(message).checksum();
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 0x0a];
    const IP: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0x100);

    #[test]
    fn an_advertisement_is_the_one_of_keepalived() {
        // As keepalived 2.2.7 sent it.
        let captured = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x86, 0xdd,
            0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0xfd, 0x00, 0x00, 0x09, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0xff, 0x02, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x88, 0x00,
            0x58, 0x82, 0x20, 0x00, 0x00, 0x00, 0xfd, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00,
            0x00, 0x0a,
        ];
        assert_eq!(advertisement(IP, MAC, ALL_NODES_MAC, false), captured);
    }

    #[test]
    fn a_router_says_so() {
        let host = advertisement(IP, MAC, ALL_NODES_MAC, false);
        let router = advertisement(IP, MAC, ALL_NODES_MAC, true);
        assert_eq!(router[58], 0xa0);
        // The flag is worth 0x8000 in the sum.
        let checksum = |frame: &[u8]| u16::from_be_bytes([frame[56], frame[57]]);
        assert_eq!(checksum(&router), 0xd881);
        assert_eq!(checksum(&host), 0x5882);
    }

    #[test]
    fn one_neighbour_gets_the_same_in_a_frame_of_its_own() {
        let all = advertisement(IP, MAC, ALL_NODES_MAC, false);
        let one = advertisement(IP, MAC, [2, 0, 0, 0, 0, 0x0b], false);
        assert_eq!(one[..6], [2, 0, 0, 0, 0, 0x0b]);
        assert_eq!(one[6..], all[6..]);
    }
}
