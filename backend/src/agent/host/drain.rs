//! Connections that this host has at some addresses.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

/// States that are no connection any more, or not yet one (`net/tcp_states.h`): TIME_WAIT, CLOSE,
/// LISTEN.
const IDLE: [&str; 3] = ["06", "07", "0A"];

/// How many there are.
pub(super) fn connections(addresses: &BTreeSet<IpAddr>) -> usize {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok());
    texts.map(|text| count(&text, addresses)).sum()
}

/// In a table as in proc_net_tcp: number, local address, remote address, state.
fn count(table: &str, addresses: &BTreeSet<IpAddr>) -> usize {
    let open = |line: &&str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = words.next().and_then(address);
        let state = words.nth(1);
        local.is_some_and(|local| addresses.contains(&local))
            && state.is_some_and(|state| !IDLE.contains(&state))
    };
    table.lines().skip(1).filter(open).count()
}

/// Words of 32 bits in the machine's order, then the port.
fn address(text: &str) -> Option<IpAddr> {
    let digits = text.split_once(':')?.0;
    let words = digits.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let words: Vec<[u8; 4]> = words.collect::<Option<_>>()?;
    match words.as_slice() {
        [v4] => Some(IpAddr::from(*v4)),
        v6 => {
            let octets: [u8; 16] = v6.concat().try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_at_the_addresses_count_and_listeners_do_not() {
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let (vip, other) = (word([192, 0, 2, 10]), word([10, 0, 0, 1]));
        let table = format!(
            "  sl  local_address rem_address   st\n   0: {vip}:0050 00000000:0000 0A 0\n   \
             1: {vip}:0050 {other}:1234 01 0\n   2: {other}:0050 {other}:1234 01 0\n   \
             3: {vip}:0050 {other}:1235 06 0\n   4: {vip}:0050 {other}:1236 08 0\n"
        );
        let addresses = BTreeSet::from([IpAddr::from([192, 0, 2, 10])]);
        assert_eq!(count(&table, &addresses), 2);
        let mapped = format!(
            "{}{}{}{vip}:0050",
            word([0; 4]),
            word([0; 4]),
            word([0, 0, 255, 255])
        );
        assert_eq!(address(&mapped), Some(IpAddr::from([192, 0, 2, 10])));
        assert_eq!(address("nothing"), None);
    }
}
