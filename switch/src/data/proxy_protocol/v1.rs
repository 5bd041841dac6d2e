//! Version 1: a line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Addresses, Header, Invalid, begins};

const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line with its CRLF.
const MAX_LINE: usize = 107;

/// The line for a connection between `addresses`; `UNKNOWN` without addresses, or where they are
/// of two families.
pub fn encode(addresses: Option<&Addresses>) -> Vec<u8> {
    let Some(Addresses {
        source,
        destination,
    }) = addresses
    else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let family = match (source, destination) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return encode(None),
    };
    // `SocketAddr::ip` leaves scope identifiers out, which have no place here.
    let (from, to) = (source.ip(), destination.ip());
    format!(
        "PROXY {family} {from} {to} {} {}\r\n",
        source.port(),
        destination.port()
    )
    .into_bytes()
}

pub(super) fn may_begin(bytes: &[u8]) -> bool {
    begins(bytes, SIGNATURE)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < MAX_LINE {
            Ok(None)
        } else {
            Err(Invalid::TooLong)
        };
    };
    let line = std::str::from_utf8(&window[..end]).map_err(|_| Invalid::Grammar)?;
    let addresses = parse(line)?;
    Ok(Some(Header {
        len: end + 2,
        addresses,
    }))
}

fn parse(line: &str) -> Result<Option<Addresses>, Invalid> {
    let mut words = line.split(' ');
    let (Some("PROXY"), Some(family)) = (words.next(), words.next()) else {
        return Err(Invalid::Grammar);
    };
    // Whatever follows UNKNOWN is to be ignored.
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let rest: [Option<&str>; 5] = std::array::from_fn(|_| words.next());
    let [Some(source), Some(destination), Some(from), Some(to), None] = rest else {
        return Err(Invalid::Grammar);
    };
    let ip: fn(&str) -> Result<IpAddr, Invalid> = match family {
        "TCP4" => address::<Ipv4Addr>,
        "TCP6" => address::<Ipv6Addr>,
        _ => return Err(Invalid::Grammar),
    };
    Ok(Some(Addresses {
        source: SocketAddr::new(ip(source)?, port(from)?),
        destination: SocketAddr::new(ip(destination)?, port(to)?),
    }))
}

fn address<A: FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, Invalid> {
    word.parse::<A>()
        .map(Into::into)
        .map_err(|_| Invalid::Address)
}

fn port(word: &str) -> Result<u16, Invalid> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = word.len() > 1 && word.starts_with('0');
    if !plain || leading_zero {
        return Err(Invalid::Port);
    }
    word.parse().map_err(|_| Invalid::Port)
}
