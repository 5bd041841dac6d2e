//! Who may ask for what.

use std::net::{IpAddr, SocketAddr};

use hyper::Method;

/// From where the admin socket can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// By those who may open the socket's file.
    File,
    /// By every process and browser on this machine.
    Loopback,
    /// By other hosts.
    Network,
}

impl Reach {
    /// Of a TCP address.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() {
            Self::Loopback
        } else {
            Self::Network
        }
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// Why it may not.
    pub fn permit(self, method: &Method, host: Option<&str>) -> Result<(), &'static str> {
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::File => Ok(()),
            Self::Loopback if host.is_some_and(names_loopback) => Ok(()),
            Self::Loopback => Err("the Host field must name this machine's loopback address"),
            Self::Network if changes => Err(
                "changes are accepted on a loopback address or a Unix socket only: \
                     set admin.listen to \"127.0.0.1:9900\" or \"unix:/run/pointsman/admin.sock\"",
            ),
            Self::Network => Ok(()),
        }
    }
}

fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_loopback_hosts_are_served() {
        let good = [
            "localhost",
            "LOCALHOST:9900",
            "127.0.0.1:9900",
            "127.1.2.3",
            "[::1]:9900",
        ];
        for host in good {
            assert_eq!(
                Reach::Loopback.permit(&Method::GET, Some(host)),
                Ok(()),
                "{host}"
            );
            assert_eq!(
                Reach::Loopback.permit(&Method::POST, Some(host)),
                Ok(()),
                "{host}"
            );
        }
        let bad = [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "",
            "[::1",
        ];
        for host in bad {
            assert!(
                Reach::Loopback.permit(&Method::GET, Some(host)).is_err(),
                "{host}"
            );
        }
        assert!(Reach::Loopback.permit(&Method::GET, None).is_err());
    }

    #[test]
    fn other_hosts_may_read_and_not_change() {
        assert_eq!(
            Reach::Network.permit(&Method::GET, Some("lb1:9900")),
            Ok(())
        );
        assert!(
            Reach::Network
                .permit(&Method::POST, Some("127.0.0.1"))
                .is_err()
        );
        assert!(Reach::Network.permit(&Method::DELETE, None).is_err());
    }

    #[test]
    fn an_ipv4_loopback_written_as_ipv6_is_loopback() {
        let mapped = "[::ffff:127.0.0.1]:9900".parse().expect("an address");
        assert_eq!(Reach::of(mapped), Reach::Loopback);
        assert_eq!(
            Reach::of("[::]:9900".parse().expect("an address")),
            Reach::Network
        );
    }
}
