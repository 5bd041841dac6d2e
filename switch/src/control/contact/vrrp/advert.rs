//! The advert, the one packet of VRRP version 3 (RFC 9568, 5.2):
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |Version| Type  |     Group     |   Priority    |     Count     |
//! |(reserved)| Interval in 1/100 s|           Checksum            |
//! |                     addresses, 4 or 16 bytes each             |
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::checksum::Sum;
use super::{GROUP_V4, PROTOCOL};

/// Bytes before the addresses.
pub const HEAD: usize = 8;
/// Addresses that one advert can hold.
pub const MAX_ADDRESSES: usize = 255;
/// The longest interval that the wire can tell of.
pub const MAX_INTERVAL: Duration = Duration::from_millis(40_950);

const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;
/// Of the wire's unit of time.
const CENTISECOND: Duration = Duration::from_millis(10);

/// What the active switch of a group tells the others, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// The group's number, 1 to 255.
    pub group: u8,
    /// 1 to 254; 255: it owns the addresses; 0: it gives them up.
    pub priority: u8,
    /// Between two adverts, in whole centiseconds, 1 to 4095.
    pub interval: Duration,
    /// 1 to 255, all of one family. Of IPv6, the first one is link-local.
    pub addresses: Vec<IpAddr>,
}

/// What an advert of IPv4 has been added up over. RFC 5798 was read in both ways before RFC 9568
/// decided for [`Checksum::Plain`]; keepalived 2.2 takes [`Checksum::PseudoHeader`] alone. For IPv6
/// it is always the latter (RFC 9568, 5.2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The advert and the addresses that it travels between.
    PseudoHeader,
    /// The advert alone.
    Plain,
}

impl Advert {
    /// The advert as it travels from `source` to `destination`, both of the addresses' family. What
    /// does not fit is left out: addresses of another family and those beyond the 255th; the
    /// interval is held to its range.
    pub fn encode(&self, checksum: Checksum, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let fits = |ip: &&IpAddr| ip.is_ipv4() == source.is_ipv4();
        let addresses = self.addresses.iter().filter(fits).take(MAX_ADDRESSES);
        let mut bytes = vec![VERSION << 4 | ADVERTISEMENT, self.group, self.priority, 0];
        bytes.extend(centiseconds(self.interval).to_be_bytes());
        bytes.extend([0, 0]);
        for ip in addresses {
            match ip {
                IpAddr::V4(ip) => bytes.extend(ip.octets()),
                IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
            bytes[3] += 1;
        }
        let pseudo_header = checksum == Checksum::PseudoHeader || source.is_ipv6();
        let sum = match pseudo_header {
            true => Sum::of_pseudo_header(source, destination, PROTOCOL, bytes.len()),
            false => Sum::new(),
        };
        let sum = sum.bytes(&bytes).checksum();
        bytes[6..HEAD].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The advert that came from `source` to `destination`, and what its checksum is over. With
    /// `multicast_fallback`, the checksum of one of IPv4 may also be over a pseudo-header with
    /// 224.0.0.18: old releases of keepalived send that to single peers, too. The reserved bits are
    /// ignored (RFC 9568, 5.2.6).
    ///
    /// # Errors
    /// Why it must be discarded (RFC 9568, 7.1). TTL, source, and whether this switch is a member of
    /// the group are the caller's to check.
    pub fn decode(
        bytes: &[u8],
        source: IpAddr,
        destination: IpAddr,
        multicast_fallback: bool,
    ) -> Result<(Self, Checksum), Discard> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(Discard::Length)?;
        let [first, group, priority, count, high, low, _, _] = *head;
        if first >> 4 != VERSION {
            return Err(Discard::Version);
        }
        if first & 0x0f != ADVERTISEMENT {
            return Err(Discard::Type);
        }
        if count == 0 {
            return Err(Discard::Count);
        }
        let size = if source.is_ipv4() { 4 } else { 16 };
        if rest.len() != usize::from(count) * size {
            return Err(Discard::Length);
        }
        let checksum = checked(bytes, source, destination, multicast_fallback)?;
        let interval = u16::from_be_bytes([high & 0x0f, low]);
        if group == 0 {
            return Err(Discard::Group);
        }
        if interval == 0 {
            return Err(Discard::Interval);
        }
        let advert = Self {
            group,
            priority,
            interval: CENTISECOND * u32::from(interval),
            addresses: addresses(rest, source),
        };
        Ok((advert, checksum))
    }
}

/// Why an advert is not heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discard {
    /// It is not of version 3.
    Version,
    /// It is no advert.
    Type,
    /// It was damaged on the way, or is over what nobody should add up.
    Checksum,
    /// It is shorter or longer than its count of addresses says.
    Length,
    /// A router has passed it on, so that it can be from anywhere.
    Ttl,
    /// This switch is not a member of its group.
    Group,
    /// An interval of nothing.
    Interval,
    /// It names no address.
    Count,
    /// It is from none of the peers.
    Source,
    /// It names other addresses than the group has here.
    Addresses,
}

impl Discard {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Version,
        Self::Type,
        Self::Checksum,
        Self::Length,
        Self::Ttl,
        Self::Group,
        Self::Interval,
        Self::Count,
        Self::Source,
        Self::Addresses,
    ];

    /// For metrics and log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Type => "type",
            Self::Checksum => "checksum",
            Self::Length => "length",
            Self::Ttl => "ttl",
            Self::Group => "group",
            Self::Interval => "interval",
            Self::Count => "count",
            Self::Source => "source",
            Self::Addresses => "addresses",
        }
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "it is not of VRRP version 3",
            Self::Type => "it is no advert",
            Self::Checksum => "its checksum is wrong",
            Self::Length => "it is shorter or longer than its count of addresses says",
            Self::Ttl => "it came through a router: its TTL is not 255",
            Self::Group => "this switch is not a member of its group",
            Self::Interval => "its interval is 0",
            Self::Count => "it names no address",
            Self::Source => "it is from none of the peers",
            Self::Addresses => "it names other addresses than the group has here",
        })
    }
}

impl std::error::Error for Discard {}

fn centiseconds(interval: Duration) -> u16 {
    let whole = interval.as_millis() / CENTISECOND.as_millis();
    whole.clamp(1, 4095) as u16
}

fn checked(
    bytes: &[u8],
    source: IpAddr,
    destination: IpAddr,
    multicast_fallback: bool,
) -> Result<Checksum, Discard> {
    let is_whole = |sum: Sum| sum.bytes(bytes).is_whole();
    let with = |destination| Sum::of_pseudo_header(source, destination, PROTOCOL, bytes.len());
    let is_v4 = source.is_ipv4();
    if is_whole(with(destination)) || is_v4 && multicast_fallback && is_whole(with(GROUP_V4.into()))
    {
        Ok(Checksum::PseudoHeader)
    } else if is_v4 && is_whole(Sum::new()) {
        Ok(Checksum::Plain)
    } else {
        Err(Discard::Checksum)
    }
}

fn addresses(bytes: &[u8], source: IpAddr) -> Vec<IpAddr> {
    let v4 = |octets: &[u8; 4]| IpAddr::from(Ipv4Addr::from(*octets));
    let v6 = |octets: &[u8; 16]| IpAddr::from(Ipv6Addr::from(*octets));
    match source {
        IpAddr::V4(_) => bytes.as_chunks().0.iter().map(v4).collect(),
        IpAddr::V6(_) => bytes.as_chunks().0.iter().map(v6).collect(),
    }
}

#[cfg(test)]
mod tests;
