//! What the programs have counted.

use std::io;

use aya::maps::PerCpuValues;

use super::layout::{DROPPED, FIRST_DROPPED, Index, PASSED, SERVICE_DROPPED, UNLEARNT};
use super::load::{Maps, plain};
use super::{Datapath, Key};

/// Everything, since the maps were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of each service.
    pub services: Vec<(Key, ServiceCounters)>,
    /// Of each backend, by its number.
    pub backends: Vec<(u16, BackendCounters)>,
    /// Packets that were left to the host's own stack, by reason.
    pub passed: Vec<(&'static str, u64)>,
    /// Packets of services that were dropped, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    /// Flows that the table did not learn, as there were too many at once.
    pub unlearnt: u64,
}

/// Of a service, since it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceCounters {
    /// Packets that were passed on; what an interface has merged counts as one.
    pub packets: u64,
    /// Bytes of these packets, without the header of the link layer.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
    /// ICMP errors among the packets.
    pub related: u64,
    /// Packets that were dropped, by reason.
    pub dropped: Vec<(&'static str, u64)>,
}

/// Of a backend, since it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendCounters {
    /// As of [`ServiceCounters`].
    pub packets: u64,
    /// As of [`ServiceCounters`].
    pub bytes: u64,
    /// As of [`ServiceCounters`].
    pub flows: u64,
}

impl Datapath {
    /// What the programs have counted so far.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn counters(&self) -> io::Result<Counters> {
        let totals = sum(self.maps.totals.get(&0, 0).map_err(plain)?.iter());
        let mut all = Counters {
            passed: PASSED.into_iter().zip(totals).collect(),
            dropped: DROPPED
                .into_iter()
                .zip(totals[FIRST_DROPPED..].iter().copied())
                .collect(),
            unlearnt: totals[UNLEARNT],
            ..Counters::default()
        };
        for (key, service) in &self.services {
            all.services
                .push((*key, self.maps.service_counters(service.index)?));
        }
        for id in self.ids() {
            if self.maps.state(id)?.state.is_some() {
                all.backends.push((id, self.maps.backend_counters(id)?));
            }
        }
        Ok(all)
    }
}

impl Maps {
    fn service_counters(&self, index: Index) -> io::Result<ServiceCounters> {
        let counts = self.service_counters.get(&index, 0).map_err(plain)?;
        let counts = sum(counts.iter());
        let dropped = DROPPED
            .into_iter()
            .zip(counts[SERVICE_DROPPED..].iter().copied());
        Ok(ServiceCounters {
            packets: counts[0],
            bytes: counts[1],
            flows: counts[2],
            related: counts[3],
            dropped: dropped.collect(),
        })
    }

    fn backend_counters(&self, id: u16) -> io::Result<BackendCounters> {
        let counts = self
            .backend_counters
            .get(&u32::from(id), 0)
            .map_err(plain)?;
        let counts = sum(counts.iter());
        Ok(BackendCounters {
            packets: counts[0],
            bytes: counts[1],
            flows: counts[2],
        })
    }

    /// Those of the service that had the index before are not this one's.
    pub fn reset_service_counters(&mut self, index: Index) -> io::Result<()> {
        let zeros = on_every_cpu([0; 12])?;
        self.service_counters.set(index, zeros, 0).map_err(plain)
    }

    /// The same of a backend.
    pub fn reset_backend_counters(&mut self, id: u16) -> io::Result<()> {
        let zeros = on_every_cpu([0; 4])?;
        self.backend_counters
            .set(u32::from(id), zeros, 0)
            .map_err(plain)
    }
}

fn on_every_cpu<const N: usize>(counts: [u64; N]) -> io::Result<PerCpuValues<[u64; N]>> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
    PerCpuValues::try_from(vec![counts; cpus])
}

/// Of all CPUs.
fn sum<'a, const N: usize>(per_cpu: impl Iterator<Item = &'a [u64; N]>) -> [u64; N] {
    let mut sums = [0_u64; N];
    for counts in per_cpu {
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.wrapping_add(*count);
        }
    }
    sums
}
