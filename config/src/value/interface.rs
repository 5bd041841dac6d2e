use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Unfit;
use crate::suggest::quoted;

/// The longest name of a network interface on Linux, in bytes (`IFNAMSIZ` without its final zero).
const MAX_INTERFACE: usize = 15;

/// Reads an address as an interface has it, `192.0.2.10/24` or `2001:db8::10/64`: one host's own,
/// with the length of its network's prefix.
pub fn parse_interface_address(text: &str) -> Result<IpNet, Unfit> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let (usual, alone) = match address {
            IpAddr::V4(_) => (24, 32),
            IpAddr::V6(_) => (64, 128),
        };
        let message = format!("{} has no prefix length", quoted(text));
        return Err(Unfit::new(message).help(format!(
            "write the prefix length of the network that it is in, such as \"{address}/{usual}\", \
             or \"{address}/{alone}\" for the address alone"
        )));
    }
    let address: IpNet = text
        .parse()
        .map_err(|_| unfit(text).help("write \"192.0.2.10/24\" or \"2001:db8::10/64\""))?;
    refuse_special(text, address.addr())?;
    if address.prefix_len() == 0 {
        return Err(Unfit::new(format!("{} has an empty prefix", quoted(text)))
            .help("write the prefix length of the network that it is in"));
    }
    refuse_shared(text, address)?;
    Ok(address)
}

/// Reads the address of one host: neither unspecified nor multicast nor broadcast.
pub fn parse_ip(text: &str) -> Result<IpAddr, Unfit> {
    let address = text.parse().map_err(|_| {
        let found = unfit(text);
        match text.parse::<IpNet>() {
            Ok(network) => found.help(format!("write \"{}\", without a prefix", network.addr())),
            Err(_) => found.help("write an IP address: \"10.0.0.11\", \"fd00::11\""),
        }
    })?;
    if !IpAddr::is_loopback(&address) {
        refuse_special(text, address)?;
    }
    Ok(address)
}

/// Reads the name of a network interface: 1 to 15 bytes, and what Linux allows in it.
pub fn parse_interface(text: &str) -> Result<String, Unfit> {
    let unfit = || {
        let message = format!("{} is not the name of a network interface", quoted(text));
        Unfit::new(message)
    };
    if let Some((interface, _)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) {
        let help = format!("write the interface itself: {}", quoted(interface));
        return Err(unfit().help(help));
    }
    let refused = |c: char| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control();
    let fits = (1..=MAX_INTERFACE).contains(&text.len()) && !matches!(text, "." | "..");
    if fits && !text.contains(refused) {
        return Ok(text.to_owned());
    }
    Err(unfit().help(format!(
        "write it as `ip link` shows it, such as \"eth0\": {MAX_INTERFACE} bytes at most, no spaces \
         or slashes"
    )))
}

/// Addresses that no single host on a network can have for others.
fn refuse_special(text: &str, address: IpAddr) -> Result<(), Unfit> {
    let (kind, help) = match address {
        _ if address.is_unspecified() => ("unspecified", None),
        _ if address.is_loopback() => ("a loopback address", None),
        _ if address.is_multicast() => ("a multicast address", None),
        IpAddr::V4(Ipv4Addr::BROADCAST) => ("the broadcast address", None),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => ("an IPv4 address within IPv6", Some(format!("write {v4}"))),
            None => return Ok(()),
        },
        IpAddr::V4(_) => return Ok(()),
    };
    let help = help.unwrap_or_else(|| "write an address of one host's own".to_owned());
    Err(Unfit::new(format!("{} is {kind}", quoted(text))).help(help))
}

/// The first and the last address of an IPv4 network (RFC 3021 excepts the smallest ones), and the
/// first of an IPv6 network, which every router has (RFC 4291, 2.6.1; RFC 6164 excepts /127).
fn refuse_shared(text: &str, address: IpNet) -> Result<(), Unfit> {
    if address.prefix_len() + 1 >= address.max_prefix_len() {
        return Ok(());
    }
    let kind = if address.addr() == address.network() {
        "the network itself"
    } else if matches!(address, IpNet::V4(_)) && address.addr() == address.broadcast() {
        "the broadcast address of its network"
    } else {
        return Ok(());
    };
    let example = match address.hosts().nth(1) {
        Some(host) => format!("such as \"{host}/{}\"", address.prefix_len()),
        None => "of one host".to_owned(),
    };
    Err(Unfit::new(format!("{} is {kind}", quoted(text)))
        .help(format!("write an address in it, {example}")))
}

fn unfit(text: &str) -> Unfit {
    Unfit::new(format!("{} is not an address", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_an_interface_keeps_its_host_bits() {
        for text in [
            "192.0.2.10/24",
            "192.0.2.10/32",
            "192.0.2.0/31",
            "2001:db8::10/64",
            "2001:db8::/127",
            "fe80::1/64",
        ] {
            assert_eq!(parse_interface_address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_missing_prefix_length_gets_a_hint() {
        let help = |text| parse_interface_address(text).unwrap_err().help.unwrap();
        let v4 = help("192.0.2.10");
        assert!(v4.contains("\"192.0.2.10/24\"") && v4.contains("\"192.0.2.10/32\""));
        let v6 = help("2001:db8::10");
        assert!(v6.contains("\"2001:db8::10/64\"") && v6.contains("\"2001:db8::10/128\""));
    }

    #[test]
    fn what_no_host_can_have_for_its_own_is_refused() {
        for text in [
            "",
            "192.0.2.10/33",
            "192.0.2.10/-1",
            "192.0.2.10/0",
            "eth0",
            "127.0.0.1/8",
            "::1/128",
            "0.0.0.0/32",
            "::/128",
            "224.0.0.18/32",
            "ff02::12/128",
            "255.255.255.255/32",
            "::ffff:192.0.2.10/128",
            "192.0.2.0/24",
            "192.0.2.255/24",
            "2001:db8::/64",
            "fe80::1%eth0/64",
        ] {
            assert!(parse_interface_address(text).is_err(), "{text:?}");
        }
        let help = parse_interface_address("192.0.2.0/24").unwrap_err().help;
        assert!(help.unwrap().contains("\"192.0.2.2/24\""));
    }

    #[test]
    fn a_peer_is_one_host() {
        assert!(parse_ip("10.0.0.11").is_ok() && parse_ip("127.0.0.1").is_ok());
        assert!(parse_ip("fd00::11").is_ok() && parse_ip("::1").is_ok());
        for text in ["", "a", "0.0.0.0", "224.0.0.1", "10.0.0.11:80", "[::1]"] {
            assert!(parse_ip(text).is_err(), "{text:?}");
        }
        let help = parse_ip("10.0.0.11/24").unwrap_err().help.unwrap();
        assert_eq!(help, "write \"10.0.0.11\", without a prefix");
    }

    #[test]
    fn names_of_interfaces_are_what_linux_allows() {
        for text in ["eth0", "br-lan.100", "enp0s31f6", "123456789012345"] {
            assert_eq!(parse_interface(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "tun%d",
            "1234567890123456",
            "a\0",
        ] {
            assert!(parse_interface(text).is_err(), "{text:?}");
        }
        let help = parse_interface("eth0:1").unwrap_err().help.unwrap();
        assert_eq!(help, "write the interface itself: `eth0`");
    }
}
