//! Passes segments of connections that this switch does not know on to the switch that held the
//! contact address before, so that a planned handover breaks no connection.
//!
//! On the new holder, a small program at the interface's ingress ([`Relay`], `switch/bpf/`) sends
//! such segments on to the old holder's link-layer address; on the old one, [`soft::SoftRelease`]
//! lets the address go without closing what it serves. Answers go to the clients directly.

mod hook;
pub mod soft;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::{fmt, io};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};

pub use self::hook::Hook;
use crate::control::bpf;

/// Built by `switch/bpf/build`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../bpf/relay.bpf.o");

/// The program at the ingress of one interface. Where the kernel has TCX (6.6), it goes with this
/// process however that ends.
///
/// To load it takes some ten milliseconds, so it is attached when the switch starts, not when it
/// takes an address over. As long as nothing is [`set`](Self::set), every packet passes.
pub struct Relay {
    relays: HashMap<MapData, [u8; 16], [u8; 16]>,
    count: Array<MapData, u32>,
    relayed: PerCpuArray<MapData, u64>,
    addresses: BTreeSet<IpAddr>,
    index: u32,
    own_mac: [u8; 6],
    hook: Hook,
    /// Owns the program: it leaves the interface when this is dropped.
    _program: Ebpf,
}

impl Relay {
    /// Loads the program and attaches it to the interface of this name, by whichever [`Hook`] the
    /// kernel has. Segments leave by the interface of this index, whose link-layer address is
    /// `own_mac`: the same one, or the one that a macvlan stands on.
    ///
    /// # Errors
    /// `PermissionDenied` tells which capabilities are missing. Others are the kernel's: it has no
    /// BPF, or there is no such interface. The switch can do without: then connections that the old
    /// holder still serves are reset.
    pub fn attach(interface: &str, index: u32, own_mac: [u8; 6]) -> io::Result<Self> {
        match Self::attach_by(Hook::Tcx, interface, index, own_mac) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                Self::attach_by(Hook::Clsact, interface, index, own_mac)
            }
            result => result,
        }
    }

    /// The same by this hook.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach); `Unsupported` where the kernel does not have this hook.
    pub fn attach_by(
        hook: Hook,
        interface: &str,
        index: u32,
        own_mac: [u8; 6],
    ) -> io::Result<Self> {
        let mut program = hook::load(OBJECT)?;
        hook.attach(&mut program, interface)?;
        let mut map = |name| {
            let map = program.take_map(name);
            map.ok_or_else(|| io::Error::other(format!("the BPF object has no map {name:?}")))
        };
        Ok(Self {
            relays: HashMap::try_from(map("relays")?).map_err(plain)?,
            count: Array::try_from(map("count")?).map_err(plain)?,
            relayed: PerCpuArray::try_from(map("relayed")?).map_err(plain)?,
            addresses: BTreeSet::new(),
            index,
            own_mac,
            hook,
            _program: program,
        })
    }

    /// From now on, segments to this address of connections that this host does not know go to
    /// `old_mac`. To be called before neighbours learn that the address is here.
    ///
    /// # Errors
    /// More than 1024 addresses are relayed.
    pub fn set(&mut self, address: IpAddr, old_mac: [u8; 6]) -> io::Result<()> {
        let value = encode(old_mac, self.own_mac, self.index);
        self.relays.insert(key(address), value, 0).map_err(plain)?;
        self.addresses.insert(address);
        self.tell_count()
    }

    /// Ends [`set`](Self::set) for this address: such segments are reset again. Nothing happens if
    /// the address is not relayed.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn clear(&mut self, address: IpAddr) -> io::Result<()> {
        if !self.addresses.contains(&address) {
            return Ok(());
        }
        self.relays.remove(&key(address)).map_err(plain)?;
        self.addresses.remove(&address);
        self.tell_count()
    }

    /// Packets that were passed on since the program was attached; what the interface has merged
    /// counts as one.
    pub fn relayed(&self) -> u64 {
        let per_cpu = self.relayed.get(&0, 0);
        per_cpu.map_or(0, |values| values.iter().sum())
    }

    /// How it is attached.
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// With none, the program does not even look at the packets.
    fn tell_count(&mut self) -> io::Result<()> {
        let count = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        self.count.set(0, count, 0).map_err(plain)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("index", &self.index)
            .field("hook", &self.hook)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// `struct address` of `relay.bpf.c`.
fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// `struct relay` of `relay.bpf.c`.
fn encode(old_mac: [u8; 6], own_mac: [u8; 6], index: u32) -> [u8; 16] {
    let mut value = [0; 16];
    value[..6].copy_from_slice(&old_mac);
    value[6..12].copy_from_slice(&own_mac);
    value[12..].copy_from_slice(&index.to_ne_bytes());
    value
}

fn plain(error: MapError) -> io::Error {
    bpf::explained("a map of the relay", &error)
}
