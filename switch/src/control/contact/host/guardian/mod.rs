//! The guardian: a process beside the switch that takes the contact addresses off the network when
//! the switch dies without a word. The kernel would leave them there, and the host would go on
//! answering for them.
//!
//! The switch writes orders into the guardian's standard input. Its standard output is the lifeline:
//! when the other end is closed without [`Order::Dismiss`], the switch has died. If both are killed
//! together, nobody cleans up.

mod farewell;
mod keeper;
mod watch;

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use keeper::Guardian;
pub use watch::{Outcome, watch};

/// Bytes of an order at most: 64 groups of 255 addresses, each with a farewell, take 3 MiB.
const MAX_ORDER: usize = 4 << 20;

/// What is to be done when the switch has died; nothing else is touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Taken away first.
    pub addresses: Vec<Held>,
    /// Sent next.
    pub farewells: Vec<Farewell>,
    /// The indexes of interfaces that are removed at last.
    pub links: Vec<u32>,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The interface.
    pub index: u32,
    /// The address, with the length of its prefix as it was added.
    pub net: IpNet,
}

/// What says that the switch is gone: a VRRP advertisement of priority 0 (RFC 9568, 5.2.4), sent
/// with a TTL or hop limit of 255 and as traffic of network control (CS6), or a last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// Where it goes out.
    pub interface: String,
    /// The same by its index.
    pub index: u32,
    /// An address of the interface, and none of those that are taken away.
    pub source: IpAddr,
    /// A multicast group or another switch.
    pub destination: IpAddr,
    /// A UDP port there; `None`: it is VRRP.
    #[serde(default)]
    pub port: Option<u16>,
    /// What follows the header of UDP, or the packet from the VRRP header on, its checksum
    /// included.
    pub packet: Vec<u8>,
}

/// What the switch tells its guardian.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// In place of everything before.
    Charge(Charge),
    /// The switch needs no guardian any more.
    Dismiss,
}

impl Order {
    /// Its length as four bytes, the highest first, and JSON.
    fn encode(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let length = u32::try_from(json.len())
            .ok()
            .filter(|_| json.len() <= MAX_ORDER)
            .ok_or_else(too_long)?;
        Ok([&length.to_be_bytes(), json.as_slice()].concat())
    }

    /// Takes the first one out of what has arrived; `None`: not all of one has.
    fn take(arrived: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let Some((length, rest)) = arrived.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| too_long())?;
        if length > MAX_ORDER {
            return Err(too_long());
        }
        let Some(json) = rest.get(..length) else {
            return Ok(None);
        };
        let order = serde_json::from_slice(json)?;
        arrived.drain(..4 + length);
        Ok(Some(order))
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an order is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge() -> Charge {
        Charge {
            addresses: vec![Held {
                index: 3,
                net: "2001:db8::1/64".parse().expect("an address"),
            }],
            farewells: vec![Farewell {
                interface: "eth0".to_owned(),
                index: 3,
                source: "10.0.0.1".parse().expect("an address"),
                destination: "224.0.0.18".parse().expect("an address"),
                port: None,
                packet: vec![0x31, 51, 0],
            }],
            links: vec![9],
        }
    }

    #[test]
    fn orders_are_taken_as_they_were_written_and_only_whole() {
        let bytes = Order::Charge(charge()).encode().expect("short");
        for end in 0..bytes.len() {
            let cut = Order::take(&mut bytes[..end].to_vec()).expect("no nonsense");
            assert!(cut.is_none(), "{end}");
        }
        let mut arrived = [bytes.clone(), bytes[..9].to_vec()].concat();
        match Order::take(&mut arrived).expect("no nonsense") {
            Some(Order::Charge(found)) => assert_eq!(found, charge()),
            other => panic!("{other:?}"),
        }
        assert_eq!(arrived, bytes[..9]);
    }

    #[test]
    fn nonsense_and_too_long_orders_are_errors() {
        let take = |bytes: &[u8]| Order::take(&mut bytes.to_vec()).expect_err("nonsense");
        assert_eq!(take(b"\xff\xff\xff\xff").kind(), io::ErrorKind::InvalidData);
        assert_eq!(take(b"\0\0\0\x02{]").kind(), io::ErrorKind::InvalidData);
    }
}
