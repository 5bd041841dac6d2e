//! What direct return speaks of.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How much the maps hold. Maps are made once: with another capacity the next process cannot take
/// over those of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Services at once, 1 and more.
    pub services: u32,
    /// Different lists of members at once, and one more while one changes: 131 KB each.
    pub rings: u32,
    /// Numbers of backends end below it: 2 to 65535.
    pub backends: u32,
    /// Flows that the table of connections holds, of all CPUs together: about 110 bytes each. 0: there
    /// is no table, and every flow goes by the ring.
    pub connections: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            services: 512,
            rings: 128,
            backends: 4096,
            connections: 262_144,
        }
    }
}

/// A protocol of the transport layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Protocol {
    /// As in headers of IP.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// For messages and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What tells a service: where its clients send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The switch's and every backend's.
    pub address: IpAddr,
    /// The same at the backends.
    pub port: u16,
    /// Over IPv4 or IPv6, as the address says.
    pub protocol: Protocol,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = std::net::SocketAddr::new(self.address, self.port);
        write!(f, "{} {address}", self.protocol.word())
    }
}

/// A backend's part in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The backend's number.
    pub id: u16,
    /// What switches of one group call it alike, and no other member of the service: its place in
    /// the ring comes from it.
    pub name: String,
    /// Its share of the slots; 0: no new flows.
    pub weight: u32,
}

/// What a backend may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Active,
    /// What belongs to flows that it has already.
    Draining,
    /// Nothing: its flows go elsewhere, and are reset there.
    Dead,
}

/// The way to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// It is on the same segment: packets get other link-layer addresses.
    Neighbour {
        /// Index of the interface that packets leave through.
        interface: u32,
        /// That interface's link-layer address.
        source_mac: [u8; 6],
        /// The backend's.
        mac: [u8; 6],
    },
    /// It is in another subnet: packets get an outer header of IP, which its agent takes off.
    Tunnel {
        /// Index of the interface that packets leave through.
        interface: u32,
        /// That interface's link-layer address.
        source_mac: [u8; 6],
        /// The next hop's.
        mac: [u8; 6],
        /// The switch's address in the outer header, of the same family as the backend's.
        source: IpAddr,
        /// Bytes of the longest packet on the way, with the outer header. Clients whose packets are
        /// longer are told so.
        mtu: u16,
    },
}

/// A server behind the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Its own, where the outer header of a tunnel goes to.
    pub address: IpAddr,
    /// The way to it.
    pub hop: Hop,
    /// What it may get.
    pub state: State,
    /// The caller's, kept for the process that adopts the maps.
    pub identity: u64,
}

/// How it came that a backend gets a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The table of connections knows the flow.
    Table,
    /// By the service's ring.
    Ring,
}

/// What a program has made of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its word: an action of XDP or tc.
    pub verdict: i32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// On the average of all runs.
    pub duration: Duration,
}
