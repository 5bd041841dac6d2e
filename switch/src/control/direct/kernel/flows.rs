//! What the table of connections knows, for other switches that should know it, too.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aya::maps::{IterableMap as _, MapError};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::layout::{FlowEntry, FlowKeyBytes, UNIT_SHIFT, decode_flow_key, encode_flow_key};
use super::load::plain;
use super::{Datapath, Key};
use crate::sys::bpf::MapReader;

/// Entries that are read at a time.
const BATCH: usize = 4096;
/// `BPF_NOEXIST`.
const UNLESS_KNOWN: u64 = 1;
/// `BPF_EXIST`.
const IF_KNOWN: u64 = 2;
/// Fewer than this are not worth the way to another CPU.
const LEAST_PART: usize = 32;
/// Times are rounded on both switches, in the programs' units.
const MOMENT: u32 = 2;

/// A flow that the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Its client's end.
    pub client: SocketAddr,
    /// Its other end.
    pub service: Key,
    /// Since its last packet, to about a second.
    pub idle: Duration,
    /// The client has sent FIN or RST.
    pub closed: bool,
}

impl Datapath {
    /// The flows of a backend that the table knows, as many as `limit` at most, in no order. To read
    /// a table takes some ten nanoseconds per entry, whoever's it is.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn flows(&self, id: u16, limit: usize) -> io::Result<Vec<Flow>> {
        let now = now();
        let services = self.services.iter();
        let services: std::collections::HashMap<u32, Key> =
            services.map(|(key, service)| (service.tag, *key)).collect();
        let mut found = Vec::new();
        let mut reader = MapReader::<24, 16>::new(self.maps.flows.map(), BATCH)?;
        while let Some(entries) = reader.next_batch()? {
            for (key, value) in entries {
                let entry = FlowEntry::decode(value);
                let (client, tag) = decode_flow_key(key);
                let Some(service) = services.get(&tag).filter(|_| entry.backend == id) else {
                    continue;
                };
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(Flow {
                    client,
                    service: *service,
                    idle: units(now.saturating_sub(entry.seen)),
                    closed: entry.closed,
                });
            }
        }
        Ok(found)
    }

    /// Puts flows of another switch into the table, each with the number that its backend has here:
    /// how many. Those that it knows already keep their backends, and are as fresh as the fresher of
    /// both; those of unknown services are left out. The thread goes round all of its CPUs.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn insert_flows(&mut self, flows: &[(Flow, u16)]) -> io::Result<usize> {
        let Ok(before) = sched_getaffinity(None) else {
            return self.insert_here(flows);
        };
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| before.is_set(*cpu))
            .collect();
        let part = flows.len().div_ceil(cpus.len().max(1)).max(LEAST_PART);
        let mut inserted = Ok(0);
        for (cpu, part) in cpus.iter().zip(flows.chunks(part)) {
            let mut only = CpuSet::new();
            only.set(*cpu);
            // Where that is refused, the part of another CPU is filled.
            let _ = sched_setaffinity(None, &only);
            inserted = inserted.and_then(|count| Ok(count + self.insert_here(part)?));
        }
        let _ = sched_setaffinity(None, &before);
        inserted
    }

    /// An entry takes its place from the CPU that it is written on: each has a part of the table.
    fn insert_here(&mut self, flows: &[(Flow, u16)]) -> io::Result<usize> {
        let (now, mut inserted) = (now(), 0);
        for (flow, id) in flows {
            let Some(service) = self.services.get(&flow.service) else {
                continue;
            };
            let entry = FlowEntry {
                seen: now.saturating_sub(count(flow.idle)),
                backend: *id,
                closed: flow.closed,
            };
            let key = encode_flow_key(flow.client, service.tag);
            match self.maps.flows.insert(key, entry.encode(), UNLESS_KNOWN) {
                Ok(()) => inserted += 1,
                Err(MapError::SyscallError(error))
                    if error.io_error.kind() == io::ErrorKind::AlreadyExists =>
                {
                    self.refresh(key, entry)?;
                }
                Err(error) => return Err(plain(error)),
            }
        }
        Ok(inserted)
    }

    /// Takes flows out of the table that are still of this backend and of which nothing has come for
    /// as long as [`Flow::idle`] says, less a moment: how many.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn forget_flows(&mut self, id: u16, flows: &[Flow]) -> io::Result<usize> {
        let (now, mut forgotten) = (now(), 0);
        for flow in flows {
            let Some(service) = self.services.get(&flow.service) else {
                continue;
            };
            let key = encode_flow_key(flow.client, service.tag);
            let Some(entry) = found(self.maps.flows.get(&key, 0))?.map(|b| FlowEntry::decode(&b))
            else {
                continue;
            };
            let idle = now.saturating_sub(entry.seen).saturating_add(MOMENT);
            if entry.backend == id && idle >= count(flow.idle) {
                forgotten += usize::from(found(self.maps.flows.remove(&key))?.is_some());
            }
        }
        Ok(forgotten)
    }

    /// Who sends packets of it meanwhile is not waited for: one of them may count as a moment older.
    fn refresh(&mut self, key: FlowKeyBytes, told: FlowEntry) -> io::Result<()> {
        let Some(mut bytes) = found(self.maps.flows.get(&key, 0))? else {
            return Ok(());
        };
        let known = FlowEntry::decode(&bytes);
        if known.backend != told.backend || known.seen >= told.seen {
            return Ok(());
        }
        FlowEntry::refresh(&mut bytes, told.seen);
        found(self.maps.flows.insert(key, bytes, IF_KNOWN)).map(drop)
    }
}

/// What is not there, or not any more, is no error.
fn found<T>(result: Result<T, MapError>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(plain(error)),
    }
}

fn count(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() >> UNIT_SHIFT).unwrap_or(u32::MAX)
}

/// In the programs' units of time.
pub(super) fn now() -> u32 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    let all = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds);
    (all >> UNIT_SHIFT) as u32
}

fn units(count: u32) -> Duration {
    Duration::from_nanos(u64::from(count) << UNIT_SHIFT)
}
