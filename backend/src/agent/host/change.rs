//! One thing that an agent changes on its host.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A change, with what it takes to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Change {
    /// An address on the loopback interface.
    Address {
        /// Which.
        ip: IpAddr,
    },
    /// A setting of the kernel.
    Setting {
        /// Such as `net/ipv4/conf/all/arp_ignore`.
        name: String,
        /// What it was.
        before: String,
        /// What it is now.
        value: String,
    },
    /// An endpoint of MPTCP.
    Endpoint {
        /// Its number.
        id: u8,
        /// Its address.
        ip: IpAddr,
        /// Clients are told of it; otherwise it is the one that they are to leave.
        signal: bool,
    },
    /// How many further paths a connection of MPTCP may have.
    Limits {
        /// What it was: addresses that are taken, and paths.
        before: (u32, u32),
        /// What it is now.
        value: (u32, u32),
    },
    /// A program that takes packets out of their tunnel.
    Tunnel {
        /// At the ingress of this interface.
        interface: String,
        /// The folder that holds it in the kernel.
        pins: PathBuf,
    },
    /// The segment size that a route advertises.
    Mss {
        /// The route, as the kernel has told it, in hexadecimal.
        route: String,
        /// What it was.
        before: Option<u32>,
        /// What it is now.
        value: u32,
    },
}

impl Change {
    /// The address that is put on the loopback interface, if it is that.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { ip } => Some(*ip),
            _ => None,
        }
    }

    /// Whether both change the same thing.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address { ip }, Self::Address { ip: other }) => ip == other,
            (Self::Setting { name, .. }, Self::Setting { name: other, .. }) => name == other,
            (Self::Endpoint { ip, .. }, Self::Endpoint { ip: other, .. }) => ip == other,
            (Self::Limits { .. }, Self::Limits { .. }) => true,
            (Self::Tunnel { pins, .. }, Self::Tunnel { pins: other, .. }) => pins == other,
            (Self::Mss { route, .. }, Self::Mss { route: other, .. }) => route == other,
            _ => false,
        }
    }
}

/// For the operator.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { ip } => write!(f, "put {ip} on lo"),
            Self::Setting {
                name,
                before,
                value,
            } => {
                write!(f, "set {} = {value} (now {before})", name.replace('/', "."))
            }
            Self::Endpoint {
                ip, signal: true, ..
            } => write!(f, "tell clients of MPTCP of {ip}"),
            Self::Endpoint { ip, .. } => {
                write!(f, "have clients of MPTCP use {ip} as a backup alone")
            }
            Self::Limits { value, .. } => {
                write!(f, "let connections of MPTCP have {} further paths", value.1)
            }
            Self::Tunnel { interface, .. } => {
                write!(
                    f,
                    "take packets of the switches out of their tunnel at {interface}"
                )
            }
            Self::Mss { value, .. } => {
                write!(
                    f,
                    "advertise segments of {value} bytes on a route with a router"
                )
            }
        }
    }
}
