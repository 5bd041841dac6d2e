//! How programs and maps get into the kernel, and what is read and written there.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use aya::maps::{Array, HashMap, IterableMap as _, Map, MapData, MapError, PerCpuArray};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};

use super::layout::{
    BackendBytes, BackendCounts, FRONT, FlowBytes, FlowEntry, FlowKeyBytes, FrontBytes, Index,
    KeyBytes, RingBytes, Service, ServiceBytes, ServiceCounts, Settings, SettingsBytes, StateWord,
    TotalCounts, decode_front, decode_key, encode_flow_key, encode_front, encode_key, front_of,
};
use super::ring::{self, Ring};
use super::{Capacity, Key, pins};
use crate::control::bpf::{self, BPF, NET_ADMIN, PERFMON};
use crate::sys::bpf::read_large;

/// Built by `switch/bpf/build`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../bpf/direct.bpf.o");

/// As in `direct.bpf.c`.
const XDP: &str = "pointsman_direct_xdp";
/// The same for tc; filters of clsact carry it.
pub const TC: &str = "pointsman_direct_tc";
const CHECKS: &str = "pointsman_direct_checks";

/// A CPU learns its whole part of the table in so many units of time at least.
const UNITS_PER_TABLE: u32 = 8;
/// And so many flows per unit in any case.
const LEARNS_LEAST: u32 = 64;
/// A table without common lists has a part for each CPU that the machine could have; so many times
/// the capacity are made at most to make up for those that it has not.
const MOST_SPARE: u32 = 4;

/// How often a program is loaded at most while signals end it.
const TRIES: u32 = 20;

/// Programs that are not loaded yet but for that of tc, and maps; whether the maps were there.
pub fn load(pins: Option<&Path>, capacity: Capacity) -> io::Result<(Ebpf, Maps, bool)> {
    bpf::demand("direct return", &[BPF, NET_ADMIN, PERFMON])?;
    let sizes = sizes(capacity)?;
    let adopted = match pins {
        Some(pins) => pins::prepare(pins, &sizes)?,
        None => false,
    };
    let mut loader = EbpfLoader::new();
    // The object has no fields to relocate by the kernel's types, which take long to read. What a kernel
    // refuses is tried once more with a log, and without a level that is invalid whatever the reason was.
    loader.btf(None).verifier_log_level(VerifierLogLevel::STATS);
    for (name, size) in &sizes {
        loader.map_max_entries(name, *size);
        if let Some(pins) = pins {
            loader.map_pin_path(name, pins.join(name));
        }
    }
    let loaded = loader.load(OBJECT);
    let mut programs = loaded.map_err(|error| explained("load the programs", &error))?;
    // What this kernel refuses is to be known before anything depends on it.
    tc(&mut programs)?;
    let mut maps = Maps::take(&mut programs)?;
    maps.set_learns(capacity.connections)?;
    Ok((programs, maps, adopted))
}

/// The number of elements of each map that is pinned.
fn sizes(capacity: Capacity) -> io::Result<Vec<(&'static str, u32)>> {
    let usable = capacity.services > 0 && capacity.rings > 1;
    if !usable || !(2..=65_535).contains(&capacity.backends) {
        let text = format!("{capacity:?} is no capacity");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(vec![
        ("settings", 1),
        ("services", capacity.services),
        ("front", FRONT),
        ("rings", capacity.rings),
        ("states", capacity.backends),
        ("backends", 2 * capacity.backends),
        ("flows", flows(capacity.connections)),
        ("service_counters", capacity.services),
        ("backend_counters", capacity.backends),
        ("totals", 1),
    ])
}

fn flows(connections: u32) -> u32 {
    let spare = (cpus_possible() / cpus()).clamp(1, MOST_SPARE);
    connections.max(1).saturating_mul(spare)
}

fn cpus() -> u32 {
    let online = aya::util::online_cpus().map_or(1, |cpus| cpus.len());
    u32::try_from(online).unwrap_or(u32::MAX).max(1)
}

fn cpus_possible() -> u32 {
    let possible = aya::util::nr_cpus().unwrap_or(1);
    u32::try_from(possible).unwrap_or(u32::MAX)
}

/// The program of tc, in the kernel.
pub fn tc(programs: &mut Ebpf) -> io::Result<&mut SchedClassifier> {
    by_name(programs, TC)
}

fn by_name<'programs>(
    programs: &'programs mut Ebpf,
    name: &str,
) -> io::Result<&'programs mut SchedClassifier> {
    let program: &mut SchedClassifier = find(programs, name)?.try_into().map_err(refused)?;
    if program.fd().is_err() {
        patiently(|| program.load())?;
    }
    Ok(program)
}

/// The program that puts checks into tunnels, in the kernel.
pub fn checks(programs: &mut Ebpf) -> io::Result<&mut SchedClassifier> {
    by_name(programs, CHECKS)
}

/// The program of XDP, in the kernel.
pub fn xdp(programs: &mut Ebpf) -> io::Result<&mut Xdp> {
    let program: &mut Xdp = find(programs, XDP)?.try_into().map_err(refused)?;
    if program.fd().is_err() {
        patiently(|| program.load())?;
    }
    Ok(program)
}

/// A signal to the process ends the verifier's work.
fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> io::Result<()> {
    let mut tries = 0;
    loop {
        let result = load().map_err(refused);
        let kind = result.as_ref().map_err(io::Error::kind).err();
        tries += 1;
        if kind != Some(io::ErrorKind::WouldBlock) || tries == TRIES {
            return result;
        }
    }
}

fn find<'programs>(
    programs: &'programs mut Ebpf,
    name: &str,
) -> io::Result<&'programs mut Program> {
    let missing = || io::Error::other(format!("the BPF object has no program {name:?}"));
    programs.program_mut(name).ok_or_else(missing)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: ProgramError) -> io::Error {
    explained("load a program", &error)
}

/// The error with its causes.
pub fn explained(what: &str, error: &(dyn Error + 'static)) -> io::Error {
    bpf::explained(&format!("{what} of direct return"), error)
}

/// The maps that programs and this side share.
pub struct Maps {
    settings: Array<MapData, SettingsBytes>,
    services: HashMap<MapData, KeyBytes, ServiceBytes>,
    front: Array<MapData, FrontBytes>,
    rings: Array<MapData, RingBytes>,
    states: Array<MapData, u32>,
    backends: Array<MapData, BackendBytes>,
    pub(super) flows: HashMap<MapData, FlowKeyBytes, FlowBytes>,
    pub(super) service_counters: PerCpuArray<MapData, ServiceCounts>,
    pub(super) backend_counters: PerCpuArray<MapData, BackendCounts>,
    pub(super) totals: PerCpuArray<MapData, TotalCounts>,
}

impl Maps {
    fn take(programs: &mut Ebpf) -> io::Result<Self> {
        Ok(Self {
            settings: take(programs, "settings")?,
            services: take(programs, "services")?,
            front: take(programs, "front")?,
            rings: take(programs, "rings")?,
            states: take(programs, "states")?,
            backends: take(programs, "backends")?,
            flows: take(programs, "flows")?,
            service_counters: take(programs, "service_counters")?,
            backend_counters: take(programs, "backend_counters")?,
            totals: take(programs, "totals")?,
        })
    }

    fn set_learns(&mut self, connections: u32) -> io::Result<()> {
        let mut settings = self.settings()?;
        settings.learns = match connections {
            0 => 0,
            _ => (connections / cpus() / UNITS_PER_TABLE).max(LEARNS_LEAST),
        };
        self.set_settings(&settings)
    }

    /// Those of nobody, if none have been set.
    pub fn settings(&self) -> io::Result<Settings> {
        let bytes = self.settings.get(&0, 0).map_err(plain)?;
        Ok(Settings::decode(&bytes).unwrap_or_default())
    }

    pub fn set_settings(&mut self, settings: &Settings) -> io::Result<()> {
        self.settings.set(0, settings.encode(), 0).map_err(plain)
    }

    /// All that are there.
    pub fn read_services(&self) -> io::Result<BTreeMap<Key, Service>> {
        let mut found = BTreeMap::new();
        for entry in self.services.iter() {
            let (key, value) = entry.map_err(plain)?;
            if let Some(key) = decode_key(&key) {
                found.insert(key, Service::decode(&value));
            }
        }
        Ok(found)
    }

    pub fn set_service(&mut self, key: Key, service: Service) -> io::Result<()> {
        let inserted = self.services.insert(encode_key(key), service.encode(), 0);
        inserted.map_err(plain)?;
        let owner = self.owner_of_front(key)?;
        if owner.is_some_and(|owner| owner != key) {
            return Ok(());
        }
        // A packet may look at it meanwhile: first nobody's, last with its key.
        self.set_front(key, encode_front(None, None))?;
        self.set_front(key, encode_front(None, Some(service)))?;
        self.set_front(key, encode_front(Some(key), Some(service)))
    }

    pub fn remove_service(&mut self, key: Key) -> io::Result<()> {
        if self.owner_of_front(key)? == Some(key) {
            self.set_front(key, encode_front(None, None))?;
        }
        match self.services.remove(&encode_key(key)) {
            Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            result => result.map_err(plain),
        }
    }

    fn owner_of_front(&self, key: Key) -> io::Result<Option<Key>> {
        let bytes = self.front.get(&front_of(key), 0).map_err(plain)?;
        Ok(decode_front(&bytes))
    }

    fn set_front(&mut self, key: Key, bytes: FrontBytes) -> io::Result<()> {
        self.front.set(front_of(key), bytes, 0).map_err(plain)
    }

    pub fn ring(&self, number: Index) -> io::Result<Ring> {
        let bytes = self.ring_bytes(number)?;
        Ok(Ring::decode(&bytes))
    }

    pub fn ring_digest(&self, number: Index) -> io::Result<u64> {
        let bytes = self.ring_bytes(number)?;
        Ok(ring::decode_digest(&bytes))
    }

    fn ring_bytes(&self, number: Index) -> io::Result<Box<RingBytes>> {
        let bytes = read_large(self.rings.map(), number);
        bytes.map_err(|error| explained("read a ring", &error))
    }

    pub fn set_ring(&mut self, number: Index, ring: &Ring) -> io::Result<()> {
        self.rings.set(number, ring.encode(), 0).map_err(plain)
    }

    pub fn state(&self, id: u16) -> io::Result<StateWord> {
        let word = self.states.get(&u32::from(id), 0).map_err(plain)?;
        Ok(StateWord::decode(word))
    }

    pub fn set_state(&mut self, id: u16, word: StateWord) -> io::Result<()> {
        let set = self.states.set(u32::from(id), word.encode(), 0);
        set.map_err(plain)
    }

    pub fn backend(&self, id: u16, copy: u32) -> io::Result<BackendBytes> {
        let index = 2 * u32::from(id) + copy;
        self.backends.get(&index, 0).map_err(plain)
    }

    pub fn set_backend(&mut self, id: u16, copy: u32, bytes: &BackendBytes) -> io::Result<()> {
        let index = 2 * u32::from(id) + copy;
        self.backends.set(index, bytes, 0).map_err(plain)
    }

    /// What the table knows of this client's flow to the service with this tag.
    pub fn flow(&self, client: SocketAddr, tag: u32) -> io::Result<Option<FlowEntry>> {
        match self.flows.get(&encode_flow_key(client, tag), 0) {
            Ok(bytes) => Ok(Some(FlowEntry::decode(&bytes))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(plain(error)),
        }
    }
}

fn take<T>(programs: &mut Ebpf, name: &str) -> io::Result<T>
where
    T: TryFrom<Map, Error = MapError>,
{
    let missing = || io::Error::other(format!("the BPF object has no map {name:?}"));
    let map = programs.take_map(name).ok_or_else(missing)?;
    map.try_into().map_err(plain)
}

/// Of a map.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn plain(error: MapError) -> io::Error {
    explained("use a map", &error)
}
