//! Version 2: binary (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Header, Invalid, MAX_LEN, begins};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

const VERSION: u8 = 0x20;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;

const UNSPEC: u8 = 0;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;

const STREAM: u8 = 1;
const DGRAM: u8 = 2;

/// Source and destination of a Unix socket, 108 bytes each.
const UNIX_LEN: usize = 216;

/// The header for a connection between `addresses`; `LOCAL` without addresses, or where they are of
/// two families.
pub fn encode(addresses: Option<&Addresses>) -> Vec<u8> {
    match addresses.map(|both| (both.source, both.destination)) {
        Some((SocketAddr::V4(source), SocketAddr::V4(destination))) => {
            let ips = [source.ip().octets(), destination.ip().octets()];
            header(
                PROXY,
                INET << 4 | STREAM,
                ips.as_flattened(),
                [source.port(), destination.port()],
            )
        }
        Some((SocketAddr::V6(source), SocketAddr::V6(destination))) => {
            let ips = [source.ip().octets(), destination.ip().octets()];
            let ports = [source.port(), destination.port()];
            header(PROXY, INET6 << 4 | STREAM, ips.as_flattened(), ports)
        }
        _ => {
            let mut local = fixed(LOCAL, UNSPEC);
            local.extend([0, 0]);
            local
        }
    }
}

fn fixed(command: u8, family: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED + 36);
    bytes.extend(SIGNATURE);
    bytes.extend([VERSION | command, family]);
    bytes
}

fn header(command: u8, family: u8, ips: &[u8], ports: [u16; 2]) -> Vec<u8> {
    let mut bytes = fixed(command, family);
    // 12 or 36: the addresses of two sockets.
    bytes.extend([0, ips.len() as u8 + 4]);
    bytes.extend(ips);
    bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    bytes
}

pub(super) fn may_begin(bytes: &[u8]) -> bool {
    begins(bytes, SIGNATURE)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    if fixed[12] & 0xf0 != VERSION {
        return Err(Invalid::Version);
    }
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + len > MAX_LEN {
        return Err(Invalid::Length);
    }
    let Some(body) = rest.get(..len) else {
        return Ok(None);
    };
    let addresses = match fixed[12] & 0x0f {
        // The family and all that follows is to be ignored.
        LOCAL => None,
        PROXY => proxied(fixed[13], body)?,
        _ => return Err(Invalid::Command),
    };
    Ok(Some(Header {
        len: FIXED + len,
        addresses,
    }))
}

fn proxied(family: u8, body: &[u8]) -> Result<Option<Addresses>, Invalid> {
    let protocol = family & 0x0f;
    let known = matches!(protocol, UNSPEC | STREAM | DGRAM);
    let (addresses, tlvs) = match family >> 4 {
        _ if !known => return Err(Invalid::Family),
        // The receiver shall use the connection's own addresses; what follows has no known form.
        UNSPEC => return Ok(None),
        INET => sockets::<4>(body).ok_or(Invalid::Length)?,
        INET6 => sockets::<16>(body).ok_or(Invalid::Length)?,
        UNIX => (None, body.get(UNIX_LEN..).ok_or(Invalid::Length)?),
        _ => return Err(Invalid::Family),
    };
    check_tlvs(tlvs)?;
    Ok(addresses.filter(|_| protocol != UNSPEC))
}

/// Two addresses of `N` bytes and two ports; then the additional fields.
fn sockets<const N: usize>(body: &[u8]) -> Option<(Option<Addresses>, &[u8])>
where
    [u8; N]: ToIp,
{
    let (source, body) = body.split_first_chunk::<N>()?;
    let (destination, body) = body.split_first_chunk::<N>()?;
    let (from, body) = body.split_first_chunk::<2>()?;
    let (to, tlvs) = body.split_first_chunk::<2>()?;
    let addresses = Addresses {
        source: SocketAddr::new(source.to_ip(), u16::from_be_bytes(*from)),
        destination: SocketAddr::new(destination.to_ip(), u16::from_be_bytes(*to)),
    };
    Some((Some(addresses), tlvs))
}

trait ToIp {
    fn to_ip(&self) -> IpAddr;
}

impl ToIp for [u8; 4] {
    fn to_ip(&self) -> IpAddr {
        Ipv4Addr::from(*self).into()
    }
}

impl ToIp for [u8; 16] {
    fn to_ip(&self) -> IpAddr {
        Ipv6Addr::from(*self).into()
    }
}

/// Additional fields (section 2.2.1..) are of no use here, but must fill the header exactly: a
/// sender whose lengths are wrong may mean another end of the header, too.
fn check_tlvs(mut rest: &[u8]) -> Result<(), Invalid> {
    while !rest.is_empty() {
        let ([_kind, high, low], value) = rest.split_first_chunk::<3>().ok_or(Invalid::Tlv)?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        rest = value.get(len..).ok_or(Invalid::Tlv)?;
    }
    Ok(())
}
