//! The layouts that the programs and this side have in common: `switch/bpf/direct.h`, word by word.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Backend, Hop, Key, Protocol, State};

/// Of everything here. To be raised with any change of it: maps of another version are not taken
/// over from a former process.
pub const VERSION: u32 = 1;

/// Slots of a ring.
pub const SLOTS: usize = 65_537;
/// Link-layer addresses that `xdp` takes frames for.
pub const OWN_MACS: usize = 8;
/// Places where services are found without a search.
pub const FRONT: u32 = 1024;
/// Nanoseconds of CLOCK_MONOTONIC, as a power of two, in a unit of time.
pub const UNIT_SHIFT: u32 = 30;

/// An array's key.
pub type Index = u32;
/// `struct settings`.
pub type SettingsBytes = [u8; 72];
/// `struct service_key`.
pub type KeyBytes = [u8; 20];
/// `struct service`.
pub type ServiceBytes = [u8; 24];
/// `struct front`.
pub type FrontBytes = [u8; 48];
/// `struct ring`.
pub type RingBytes = [u8; RING];
/// `struct backend`.
pub type BackendBytes = [u8; 64];
/// `struct flow_key`.
pub type FlowKeyBytes = [u8; 24];
/// `struct flow`.
pub type FlowBytes = [u8; 16];
/// `struct service_counters`.
pub type ServiceCounts = [u64; 12];
/// `struct backend_counters`.
pub type BackendCounts = [u64; 4];
/// `struct totals`.
pub type TotalCounts = [u64; 18];

/// Bytes of `struct ring`.
pub const RING: usize = 8 + 2 * SLOTS + 6;
/// Where the slots of `struct ring` begin.
pub const RING_SLOTS: usize = 8;

/// Words of `enum reason`, from 0 on, for what passes.
pub const PASSED: [&str; 7] = [
    "other-protocol",
    "other-host",
    "vlan",
    "malformed",
    "fragment",
    "extension",
    "no-service",
];
/// Index of the first reason of a drop.
pub const FIRST_DROPPED: usize = 8;
/// Words of `enum reason`, from [`FIRST_DROPPED`] on.
pub const DROPPED: [&str; 7] = [
    "malformed",
    "spoofed",
    "hops",
    "loop",
    "no-backend",
    "too-big",
    "failed",
];
/// Index in `struct totals` of the flows that were not learnt.
pub const UNLEARNT: usize = 16;
/// Index of the first drop in `struct service_counters`.
pub const SERVICE_DROPPED: usize = 4;

/// Where the members of the structures stand, for the comparison with the object's own word.
pub const MEMBERS: &[(&str, &str, usize)] = &[
    ("settings", "version", 0),
    ("settings", "learns", 4),
    ("settings", "own", 8),
    ("service_key", "address", 0),
    ("service_key", "port", 16),
    ("service_key", "protocol", 18),
    ("service", "tag", 0),
    ("service", "index", 4),
    ("service", "ring", 8),
    ("service", "generation", 12),
    ("service", "changed", 16),
    ("service", "previous", 20),
    ("front", "key", 0),
    ("front", "service", 20),
    ("ring", "digest", 0),
    ("ring", "slots", RING_SLOTS),
    ("backend", "mac", 0),
    ("backend", "source_mac", 6),
    ("backend", "interface", 12),
    ("backend", "address", 16),
    ("backend", "source", 32),
    ("backend", "identity", 48),
    ("backend", "mtu", 56),
    ("backend", "way", 58),
    ("flow_key", "client", 0),
    ("flow_key", "service", 16),
    ("flow_key", "port", 20),
    ("flow", "seen", 0),
    ("flow", "began", 4),
    ("flow", "pending", 8),
    ("flow", "backend", 10),
    ("flow", "closed", 12),
    ("service_counters", "dropped", 8 * SERVICE_DROPPED),
    ("totals", "unlearnt", 8 * UNLEARNT),
];

/// The same for whole structures, in bytes.
pub const SIZES: &[(&str, usize)] = &[
    ("settings", size_of::<SettingsBytes>()),
    ("service_key", size_of::<KeyBytes>()),
    ("service", size_of::<ServiceBytes>()),
    ("front", size_of::<FrontBytes>()),
    ("ring", RING),
    ("backend", size_of::<BackendBytes>()),
    ("flow_key", size_of::<FlowKeyBytes>()),
    ("flow", size_of::<FlowBytes>()),
    ("service_counters", size_of::<ServiceCounts>()),
    ("backend_counters", size_of::<BackendCounts>()),
    ("totals", size_of::<TotalCounts>()),
];

/// What all packets need to be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Flows that a CPU learns per unit of time.
    pub learns: u32,
    /// Whom frames are for; zeros: nobody.
    pub own: [[u8; 6]; OWN_MACS],
}

impl Settings {
    /// Of this version.
    pub fn encode(&self) -> SettingsBytes {
        let mut bytes = [0; 72];
        bytes[..4].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.learns.to_ne_bytes());
        for (word, mac) in bytes[8..].chunks_exact_mut(8).zip(self.own) {
            word.copy_from_slice(&mac_word(mac).to_ne_bytes());
        }
        bytes
    }

    /// `None` if they are of another version.
    pub fn decode(bytes: &SettingsBytes) -> Option<Self> {
        let mut own = [[0; 6]; OWN_MACS];
        for (mac, word) in own.iter_mut().zip(bytes[8..].chunks_exact(8)) {
            mac.copy_from_slice(&word[..6]);
        }
        (number(bytes, 0) == VERSION).then_some(Self {
            learns: number(bytes, 4),
            own,
        })
    }
}

/// As the program reads it: in the first six bytes of a word.
fn mac_word(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// No other one has had it.
    pub tag: u32,
    /// Of its counters.
    pub index: u32,
    /// Which ring is its own.
    pub ring: u32,
    /// How often that has changed.
    pub generation: u32,
    /// When it has changed last, in units of time.
    pub changed: u32,
    /// Which one was its own before; the same, if there was none.
    pub previous: u32,
}

impl Service {
    /// As `struct service`.
    pub fn encode(self) -> ServiceBytes {
        let mut bytes = [0; 24];
        let words = [
            self.tag,
            self.index,
            self.ring,
            self.generation,
            self.changed,
            self.previous,
        ];
        for (at, word) in bytes.chunks_exact_mut(4).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// From `struct service`.
    pub fn decode(bytes: &ServiceBytes) -> Self {
        Self {
            tag: number(bytes, 0),
            index: number(bytes, 4),
            ring: number(bytes, 8),
            generation: number(bytes, 12),
            changed: number(bytes, 16),
            previous: number(bytes, 20),
        }
    }
}

/// `struct service_key`.
pub fn encode_key(key: Key) -> KeyBytes {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&encode_address(key.address));
    bytes[16..18].copy_from_slice(&key.port.to_be_bytes());
    bytes[18] = key.protocol.number();
    bytes
}

/// `None`: the program knows a protocol that this side does not.
pub fn decode_key(bytes: &KeyBytes) -> Option<Key> {
    Some(Key {
        address: decode_address(bytes, 0),
        port: u16::from_be_bytes([bytes[16], bytes[17]]),
        protocol: Protocol::from_number(bytes[18])?,
    })
}

/// The service's place in `front`, as `front_of` of `direct_pick.h`.
pub fn front_of(key: Key) -> Index {
    let bytes = encode_key(key);
    let words = bytes[..16].chunks_exact(4);
    let folded = words.fold(0, |folded, word| folded ^ number(word, 0));
    let port = u16::from_ne_bytes([bytes[16], bytes[17]]);
    let folded = folded ^ u32::from(bytes[18]) << 16 ^ u32::from(port);
    folded.wrapping_mul(0x9e37_79b1) >> (u32::BITS - FRONT.ilog2())
}

/// `struct front`; without a key, it is nobody's.
pub fn encode_front(key: Option<Key>, service: Option<Service>) -> FrontBytes {
    let mut bytes = [0; 48];
    if let Some(key) = key {
        bytes[..20].copy_from_slice(&encode_key(key));
    }
    if let Some(service) = service {
        bytes[20..44].copy_from_slice(&service.encode());
    }
    bytes
}

/// Whose place it is.
pub fn decode_front(bytes: &FrontBytes) -> Option<Key> {
    decode_key(bytes.first_chunk()?)
}

/// `struct backend`, without its state.
pub fn encode_backend(backend: &Backend) -> BackendBytes {
    let mut bytes = [0; 64];
    let (interface, source_mac, mac) = match backend.hop {
        Hop::Neighbour {
            interface,
            source_mac,
            mac,
        } => (interface, source_mac, mac),
        Hop::Tunnel {
            interface,
            source_mac,
            mac,
            source,
            mtu,
        } => {
            bytes[32..48].copy_from_slice(&encode_address(source));
            bytes[56..58].copy_from_slice(&mtu.to_ne_bytes());
            bytes[58] = if backend.address.is_ipv4() { 1 } else { 2 };
            (interface, source_mac, mac)
        }
    };
    bytes[..6].copy_from_slice(&mac);
    bytes[6..12].copy_from_slice(&source_mac);
    bytes[12..16].copy_from_slice(&interface.to_ne_bytes());
    bytes[16..32].copy_from_slice(&encode_address(backend.address));
    bytes[48..56].copy_from_slice(&backend.identity.to_ne_bytes());
    bytes
}

/// From `struct backend`.
pub fn decode_backend(bytes: &BackendBytes, state: State) -> Backend {
    let mac = |at: usize| std::array::from_fn(|place| bytes[at + place]);
    let (interface, source_mac, mac) = (number(bytes, 12), mac(6), mac(0));
    let hop = match bytes[58] {
        0 => Hop::Neighbour {
            interface,
            source_mac,
            mac,
        },
        _ => Hop::Tunnel {
            interface,
            source_mac,
            mac,
            source: decode_address(bytes, 32),
            mtu: u16::from_ne_bytes([bytes[56], bytes[57]]),
        },
    };
    Backend {
        address: decode_address(bytes, 16),
        hop,
        state,
        identity: u64::from_ne_bytes(std::array::from_fn(|place| bytes[48 + place])),
    }
}

/// One of `states`: 0 is a backend that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateWord {
    /// `None`: it is not there.
    pub state: Option<State>,
    /// Which of its two copies counts.
    pub copy: u32,
}

impl StateWord {
    /// As the program reads it.
    pub fn encode(self) -> u32 {
        let state = match self.state {
            None => 0,
            Some(State::Active) => 1,
            Some(State::Draining) => 2,
            Some(State::Dead) => 3,
        };
        state | (self.copy & 1) << 16
    }

    /// What is no state is none.
    pub fn decode(word: u32) -> Self {
        let state = match word & 0xffff {
            1 => Some(State::Active),
            2 => Some(State::Draining),
            3 => Some(State::Dead),
            _ => None,
        };
        Self {
            state,
            copy: word >> 16 & 1,
        }
    }
}

/// `struct flow_key`, of the service with this tag.
pub fn encode_flow_key(client: SocketAddr, tag: u32) -> FlowKeyBytes {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&encode_address(client.ip()));
    bytes[16..20].copy_from_slice(&tag.to_ne_bytes());
    bytes[20..22].copy_from_slice(&client.port().to_be_bytes());
    bytes
}

/// The client, and the tag of the service.
pub fn decode_flow_key(bytes: &FlowKeyBytes) -> (SocketAddr, u32) {
    let port = u16::from_be_bytes([bytes[20], bytes[21]]);
    (
        SocketAddr::new(decode_address(bytes, 0), port),
        number(bytes, 16),
    )
}

/// What the table knows of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowEntry {
    /// In units of time, when a packet of it came last.
    pub seen: u32,
    /// Where it goes.
    pub backend: u16,
    /// The client has ended it.
    pub closed: bool,
}

impl FlowEntry {
    /// As `struct flow`, with no connection that begins anew.
    pub fn encode(self) -> FlowBytes {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.seen.to_ne_bytes());
        bytes[10..12].copy_from_slice(&self.backend.to_ne_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.closed).to_ne_bytes());
        bytes
    }

    /// Something of it was seen at this time; all else stays.
    pub fn refresh(bytes: &mut FlowBytes, seen: u32) {
        bytes[..4].copy_from_slice(&seen.to_ne_bytes());
    }

    /// From `struct flow`.
    pub fn decode(bytes: &FlowBytes) -> Self {
        Self {
            seen: number(bytes, 0),
            backend: u16::from_ne_bytes([bytes[10], bytes[11]]),
            closed: number(bytes, 12) != 0,
        }
    }
}

fn encode_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn decode_address(bytes: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 16] = std::array::from_fn(|place| bytes[at + place]);
    Ipv6Addr::from(octets).to_canonical()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|place| bytes[at + place]))
}

#[cfg(test)]
mod tests;
