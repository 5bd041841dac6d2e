use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::host::is_dns_name;
use super::{Unfit, split_number};
use crate::policy::{BackendAddr, BindAddr};
use crate::suggest::quoted;

/// The longest path of a Unix socket on Linux, in bytes (`sun_path` without its final zero).
const MAX_UNIX_PATH: usize = 107;

/// Reads an address to listen on: `:8080`, `127.0.0.1:80`, `[::1]:80`, `unix:/run/x.sock`. Port 0
/// lets the system choose.
pub fn parse_bind(text: &str) -> Result<BindAddr, Unfit> {
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_unix(text, path).map(BindAddr::Unix);
    }
    if let Some(port) = text.strip_prefix(':').and_then(parse_port) {
        return Ok(BindAddr::Any(port));
    }
    if let Ok(address) = text.parse() {
        return Ok(BindAddr::Socket(address));
    }
    Err(match hint(text, 8080) {
        Some(hint) => unfit(text).help(hint),
        None => unfit(text)
            .help("write \":8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/run/x.sock\""),
    })
}

/// Reads a backend's address: `10.0.0.1:8080`, `[fd00::1]:8080`, `app.internal:8080`,
/// `unix:/run/app.sock`.
pub fn parse_backend(text: &str) -> Result<BackendAddr, Unfit> {
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_unix(text, path).map(BackendAddr::Unix);
    }
    let general = "write \"10.0.0.1:8080\", \"[fd00::1]:8080\", \"app.internal:8080\" or \
                   \"unix:/run/app.sock\"";
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.port() == 0 {
            return Err(unfit(text).help("a backend's port cannot be 0"));
        }
        return Ok(BackendAddr::Socket(address));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && let Some(port) = parse_port(port).filter(|port| *port != 0)
        && is_dns_name(name)
        && !looks_like_ipv4(name)
    {
        return Ok(BackendAddr::Name(name.to_ascii_lowercase(), port));
    }
    Err(unfit(text).help(hint(text, 8080).unwrap_or_else(|| general.to_owned())))
}

/// Reads the address of a name server; without a port it is 53.
pub fn parse_resolver(text: &str) -> Result<SocketAddr, Unfit> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(unfit(text).help(
            "write \"10.0.0.2\", \"127.0.0.1:8600\" or \"[fd00::2]:53\"; a name server has no \
                   name",
        )),
    }
}

/// Reads a service that has SRV records, in lower case: `_http._tcp.app.internal`.
pub fn parse_service(text: &str) -> Result<String, Unfit> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    if is_dns_name(name) && !looks_like_ipv4(name) {
        return Ok(name.to_owned());
    }
    let unfit = Unfit::new(format!("{} is not the name of a service", quoted(text)));
    Err(match name.rsplit_once(':') {
        Some((name, _)) if is_dns_name(name) => {
            unfit.help(format!("write {}: SRV records hold the port", quoted(name)))
        }
        _ => unfit.help("write \"_http._tcp.app.internal\""),
    })
}

/// Reads a network, `10.0.0.0/8` or `fd00::/8`, or a single address.
pub fn parse_network(text: &str) -> Result<IpNet, Unfit> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        Unfit::new(format!("{} is not a network", quoted(text)))
            .help("write \"10.0.0.0/8\", \"fd00::/8\" or a single address")
    })?;
    if network.addr() != network.network() {
        return Err(
            Unfit::new(format!("{} has bits set behind its prefix", quoted(text)))
                .help(format!("write \"{}\"", network.trunc())),
        );
    }
    Ok(network)
}

fn unfit(text: &str) -> Unfit {
    Unfit::new(format!("{} is not an address", quoted(text)))
}

/// What was probably meant.
fn hint(text: &str, port: u16) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let address = rest.split('/').next().unwrap_or_default();
        return matches!(scheme, "http" | "https" | "tcp" | "h2c")
            .then(|| format!("write the address alone: {}", quoted(address)));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(format!(
            "add a port: \"{}\"",
            SocketAddr::new(address, port)
        ));
    }
    if let Some(rest) = text.strip_prefix("*:") {
        return parse_port(rest).map(|port| format!("write \":{port}\""));
    }
    if parse_port(text).is_some() {
        return Some(format!("write \":{text}\""));
    }
    if text.starts_with('/') {
        return Some(format!(
            "for a Unix socket write {}",
            quoted(&format!("unix:{text}"))
        ));
    }
    let (name, number) = text.rsplit_once(':').unwrap_or((text, ""));
    if !number.is_empty() && split_number(number).1.is_empty() && parse_port(number).is_none() {
        return Some("a port is a number from 1 to 65535".to_owned());
    }
    let lacks_port = number.is_empty() && is_dns_name(name) && !looks_like_ipv4(name);
    lacks_port.then(|| format!("add a port: \"{name}:{port}\""))
}

fn parse_unix(text: &str, path: &str) -> Result<PathBuf, Unfit> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(unfit(text).help("a Unix socket is a whole path: \"unix:/run/x.sock\""));
    }
    if path.len() > MAX_UNIX_PATH || path.contains('\0') {
        return Err(unfit(text).help(format!(
            "the path of a Unix socket has {MAX_UNIX_PATH} bytes at most"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Digits only, where `u16::from_str` would take a plus sign.
fn parse_port(text: &str) -> Option<u16> {
    let (digits, rest) = split_number(text);
    (rest.is_empty()).then(|| digits.parse().ok()).flatten()
}

fn looks_like_ipv4(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_are_read() {
        assert_eq!(parse_bind(":80"), Ok(BindAddr::Any(80)));
        assert_eq!(parse_bind(":0"), Ok(BindAddr::Any(0)));
        assert_eq!(
            parse_bind("[::1]:80"),
            Ok(BindAddr::Socket("[::1]:80".parse().unwrap()))
        );
        assert_eq!(
            parse_bind("unix:/run/x"),
            Ok(BindAddr::Unix("/run/x".into()))
        );
    }

    #[test]
    fn addresses_of_backends_may_be_names() {
        let name = BackendAddr::Name("app-1.internal".to_owned(), 80);
        assert_eq!(parse_backend("App-1.internal:80"), Ok(name));
        let socket = BackendAddr::Socket("10.0.0.1:80".parse().unwrap());
        assert_eq!(parse_backend("10.0.0.1:80"), Ok(socket));
    }

    #[test]
    fn hints_name_what_was_probably_meant() {
        let help = |text| parse_bind(text).unwrap_err().help.unwrap();
        assert_eq!(help("8080"), "write \":8080\"");
        assert_eq!(help("*:80"), "write \":80\"");
        assert_eq!(help("127.0.0.1"), "add a port: \"127.0.0.1:8080\"");
        assert_eq!(help("/run/x"), "for a Unix socket write `unix:/run/x`");
        assert_eq!(
            help("127.0.0.1:99999"),
            "a port is a number from 1 to 65535"
        );
        let help = parse_backend("http://10.0.0.1:80/x")
            .unwrap_err()
            .help
            .unwrap();
        assert_eq!(help, "write the address alone: `10.0.0.1:80`");
        assert_eq!(
            parse_backend("app").unwrap_err().help.unwrap(),
            "add a port: \"app:8080\""
        );
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            ":",
            "a b:80",
            "10.0.0.1:0",
            "10.0.0:80",
            "::1:80",
            "a:+80",
            "unix:x",
        ] {
            assert!(parse_backend(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            ":",
            ":x",
            ":65536",
            "app:80",
            "unix:",
            &format!("unix:/{:107}", ""),
        ] {
            assert!(parse_bind(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_network_has_no_bits_behind_its_prefix() {
        assert_eq!(
            parse_network("10.0.0.0/8").unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(parse_network("::1").unwrap().to_string(), "::1/128");
        let help = parse_network("10.1.0.0/8").unwrap_err().help.unwrap();
        assert_eq!(help, "write \"10.0.0.0/8\"");
        assert!(parse_network("10.0.0.0/33").is_err());
    }
}
