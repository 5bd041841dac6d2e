//! Frames of ARP over Ethernet for IPv4 (RFC 826).

use std::net::Ipv4Addr;

use super::{BROADCAST, Mac};

/// A frame of ARP as it is built here: 14 bytes of Ethernet, 28 of ARP.
pub const FRAME: usize = 42;
/// The EtherType.
pub const ETHERTYPE: u16 = 0x0806;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// Hardware Ethernet, protocol IPv4, the lengths of their addresses.
const KINDS: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];

/// "Who has `ip`? Tell `ip`", which is at `mac`: RFC 5227's announcement, with the target's
/// hardware address as keepalived fills it.
pub fn gratuitous_request(ip: Ipv4Addr, mac: Mac, to: Mac) -> [u8; FRAME] {
    frame(REQUEST, ip, mac, BROADCAST, to)
}

/// "`ip` is at `mac`", unasked. The target's hardware address is the sender's (RFC 5944, 4.6): Linux
/// heeds no other.
pub fn gratuitous_reply(ip: Ipv4Addr, mac: Mac, to: Mac) -> [u8; FRAME] {
    frame(REPLY, ip, mac, mac, to)
}

/// Who the sender of a frame says that it is: every request and reply claims its sender's address.
/// `None` of what is no whole frame of ARP over Ethernet for IPv4, and of a probe, which claims
/// nothing (RFC 5227, 1.1).
pub fn sender(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let (head, arp) = frame.split_at_checked(14)?;
    let (kinds, rest) = arp.first_chunk::<28>()?.split_first_chunk::<6>()?;
    let [0, operation, rest @ ..] = rest else {
        return None;
    };
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
    let known = head.ends_with(&ETHERTYPE.to_be_bytes())
        && *kinds == KINDS
        && [REQUEST, REPLY].contains(operation);
    (known && !ip.is_unspecified()).then_some((ip, *mac))
}

fn frame(operation: u8, ip: Ipv4Addr, mac: Mac, target: Mac, to: Mac) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
    frame[14..20].copy_from_slice(&KINDS);
    frame[21] = operation;
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&ip.octets());
    frame[32..38].copy_from_slice(&target);
    frame[38..].copy_from_slice(&ip.octets());
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 0x0a];
    const IP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);

    #[test]
    fn a_gratuitous_request_is_the_one_of_keepalived() {
        // As keepalived 2.2.7 sent it.
        let captured = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a,
            0x0a, 0x09, 0x00, 0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x09, 0x00, 0x64,
        ];
        assert_eq!(gratuitous_request(IP, MAC, BROADCAST), captured);
    }

    #[test]
    fn a_gratuitous_reply_targets_its_sender() {
        let expected = [
            0x02, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a,
            0x0a, 0x09, 0x00, 0x64, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x0a, 0x09, 0x00, 0x64,
        ];
        assert_eq!(gratuitous_reply(IP, MAC, [2, 0, 0, 0, 0, 0x0b]), expected);
    }

    #[test]
    fn requests_and_replies_tell_their_sender() {
        for frame in [
            gratuitous_request(IP, MAC, BROADCAST),
            gratuitous_reply(IP, MAC, BROADCAST),
        ] {
            assert_eq!(sender(&frame), Some((IP, MAC)));
            assert_eq!(sender(&[&frame[..], &[0; 18]].concat()), Some((IP, MAC)));
            assert_eq!(sender(&frame[..41]), None);
        }
    }

    #[test]
    fn what_claims_no_address_of_ipv4_tells_nothing() {
        for (at, value) in [
            (12, 0x86),
            (15, 6),
            (17, 1),
            (18, 8),
            (19, 16),
            (20, 1),
            (21, 3),
        ] {
            let mut frame = gratuitous_request(IP, MAC, BROADCAST);
            frame[at] = value;
            assert_eq!(sender(&frame), None, "byte {at}");
        }
        let mut probe = gratuitous_request(IP, MAC, BROADCAST);
        probe[28..32].fill(0);
        assert_eq!(sender(&probe), None);
    }

    proptest! {
        #[test]
        fn random_frames_are_read_or_passed_over(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            sender(&bytes);
        }
    }
}
