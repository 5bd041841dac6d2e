//! VRRP version 3 (RFC 9568) on the wire: adverts, their checksums, the raw sockets.

pub mod advert;
pub(in crate::control::contact) mod checksum;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod ipv4;
pub mod socket;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::control::contact::group::Family;

pub use advert::{Advert, Checksum, Discard};
pub use socket::{Received, VrrpSocket};

/// The number of the protocol above IP (RFC 9568, 5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// The TTL or hop limit of every advert: one that a router has passed on has less.
pub const TTL: u8 = 255;
/// Where adverts of IPv4 go unless peers are named (RFC 9568, 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where adverts of IPv6 go unless peers are named (RFC 9568, 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Where adverts of this family go unless peers are named.
pub fn multicast_group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => GROUP_V4.into(),
        Family::Ipv6 => GROUP_V6.into(),
    }
}
