//! /proc/net/tcp and tcp6 (proc(5)), for kernels without socket diagnosis. The kernel writes out
//! all connections of the host: it is several times slower.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::State;

/// Connections to these addresses and ports.
///
/// # Errors
/// There is no such file.
pub fn count(addresses: &BTreeSet<IpAddr>, ports: &BTreeSet<u16>) -> io::Result<usize> {
    let counts = |line: &str| {
        connection(line).is_some_and(|(ip, port, state, inode)| {
            addresses.contains(&ip) && ports.contains(&port) && state.counts(inode)
        })
    };
    let mut count = 0;
    for (name, needed) in [("tcp", true), ("tcp6", false)] {
        let file = match File::open(format!("/proc/self/net/{name}")) {
            Ok(file) => file,
            Err(_) if !needed => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).lines() {
            count += usize::from(counts(&line?));
        }
    }
    Ok(count)
}

/// Local address, port, state and inode of a line.
fn connection(line: &str) -> Option<(IpAddr, u16, State, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (ip, port) = words.next()?.split_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    Some((
        address(ip)?.to_canonical(),
        u16::from_str_radix(port, 16).ok()?,
        State(u8::from_str_radix(state, 16).ok()?),
        inode,
    ))
}

/// Words of 32 bits, each in the byte order of the machine.
fn address(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 16];
    let words = text.as_bytes().chunks(8);
    for (place, word) in octets.chunks_mut(4).zip(words) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        place.copy_from_slice(&word.to_ne_bytes());
    }
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(*octets.first_chunk::<4>()?))),
        32 => Some(IpAddr::V6(Ipv6Addr::from(octets))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_each_family_is_understood_and_the_heading_is_none() {
        let v4 = "   0: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000 \
                  1000        0 12345 1 0000000000000000 20 4 30 10 -1";
        let v6 = "   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 \
                  05 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000";
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if cfg!(target_endian = "little") {
            let first = Some((loopback, 8080, State::ESTABLISHED, 12345));
            assert_eq!(connection(v4), first);
            assert_eq!(connection(v6), Some((loopback, 80, State::FIN_WAIT2, 0)));
        }
        for line in [
            heading,
            "",
            "0: 0100007F:XX 0:0 01",
            "0: é 0 01 0 0 0 0 0 0",
        ] {
            assert_eq!(connection(line), None, "{line}");
        }
    }
}
