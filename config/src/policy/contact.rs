use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// `[contact]`: addresses that the switches of a group hold between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The addresses with the prefix lengths of their networks, at least one: IPv4, then IPv6, each
    /// family in the operator's order and with 20 at most. With [`Announce::Vrrp`] the first IPv6
    /// address is link-local (RFC 9568, 5.2.9).
    pub addresses: Vec<IpNet>,
    /// How the network learns where they are.
    pub announce: Announce,
    /// The interface that holds them; with [`Announce::Bgp`] the device that is made for them.
    pub interface: String,
    /// The virtual router's identifier, 1 to 255; 0 with [`Announce::Bgp`].
    pub group: u8,
    /// 1 to 255; 255 is the owner's.
    pub priority: u8,
    /// From one advertisement to the next: 10 ms to 40 s in whole hundredths of a second.
    pub interval: Duration,
    /// Whether a switch of a higher priority takes over from one that serves.
    pub preempt: bool,
    /// How long it waits before it does.
    pub preempt_delay: Duration,
    /// What the checksum of VRRP over IPv4 covers.
    pub checksum: Checksum,
    /// Whether the addresses have the group's own link-layer address.
    pub virtual_mac: bool,
    /// The address to speak from; `None`: the interface's first of the family.
    pub source: Option<IpAddr>,
    /// The switches of the group, 32 at most, perhaps this one among them.
    pub peers: Vec<IpAddr>,
    /// What the switches authenticate each other with; `None`: they keep no sessions.
    pub secret: Option<Secret>,
    /// Of the switches among themselves, TCP and UDP.
    pub port: u16,
    /// From one heartbeat to the next: 1 ms to 1 s.
    pub heartbeat: Duration,
    /// Heartbeats missed in a row until a switch counts as dead: 2 to 100.
    pub misses: u32,
}

/// `contact.announce`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Announce {
    /// One switch is elected and answers ARP and neighbour discovery.
    Vrrp,
    /// Every switch holds the addresses; a routing daemon announces them.
    Bgp,
}

/// `contact.checksum`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// As `PseudoHeader`, but to a unicast peer as that peer sends.
    Auto,
    /// With an IPv4 pseudo-header (RFC 5798 as keepalived reads it).
    PseudoHeader,
    /// Over the VRRP message alone (RFC 9568, 5.2.8).
    Rfc9568,
}

/// What switches authenticate each other with, or an operator shows. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that uses it: never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("correct horse battery staple");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
        assert_eq!(secret.expose(), "correct horse battery staple");
    }
}
