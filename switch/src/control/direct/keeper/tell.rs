//! What the keeper tells of itself.

use super::write::hop_word;
use super::{Keeper, Network};
use crate::control::direct::board::{
    Board, DirectBackendStatus, DirectStatus, InterfaceStatus, ServiceStatus,
};
use crate::control::direct::face::{Counters, Path, State};
use crate::metrics::{DirectBackend, DirectFigures, DirectService, Passed};

impl<P: Path, N: Network> Keeper<P, N> {
    /// Writes the board; what metrics tell.
    pub(super) fn write_board(&self, board: &Board) -> Option<DirectFigures> {
        let plan = self.plan.as_ref()?;
        let counters = self.path.counters().unwrap_or_default();
        let interfaces = self.places.iter().map(|(name, place)| InterfaceStatus {
            interface: name.clone(),
            datapath: place.hook.word().to_owned(),
            passed_over: place.passed_over.clone(),
        });
        let services = plan.services.iter().map(|(key, service)| {
            let counts = counters.services.iter().find(|(other, _)| other == key);
            let counts = counts.map(|(_, counts)| counts.clone()).unwrap_or_default();
            ServiceStatus {
                service: key.to_string(),
                listener: service.listener.clone(),
                pool: service.pool.clone(),
                backends: service.members.len(),
                packets: counts.packets,
                bytes: counts.bytes,
                flows: counts.flows,
            }
        });
        let troubles = self.troubles.iter();
        let mut troubles: Vec<String> = troubles
            .map(|(about, why)| format!("{about}: {why}"))
            .collect();
        let unfit = plan.unfit.iter();
        troubles.extend(unfit.map(|(identity, why)| {
            format!("{} of pool {}: {why}", identity.address, identity.pool)
        }));
        let status = DirectStatus {
            interfaces: interfaces.collect(),
            services: services.collect(),
            backends: self.backend_statuses(&counters),
            troubles,
        };
        let figures = self.figures(&status, counters);
        board.write(Some(status));
        Some(figures)
    }

    fn figures(&self, status: &DirectStatus, counters: Counters) -> DirectFigures {
        let places = self.places.iter();
        let service = |one: &ServiceStatus| {
            let mut all = counters.services.iter();
            let counts = all.find(|(key, _)| key.to_string() == one.service);
            DirectService {
                listener: one.listener.clone(),
                service: one.service.clone(),
                passed_on: Passed {
                    packets: one.packets,
                    bytes: one.bytes,
                    flows: one.flows,
                },
                dropped: counts
                    .map(|(_, counts)| counts.dropped.clone())
                    .unwrap_or_default(),
            }
        };
        let backend = |one: &DirectBackendStatus| DirectBackend {
            pool: one.pool.clone(),
            backend: one.backend.clone(),
            state: one.state.clone(),
            passed_on: Passed {
                packets: one.packets,
                bytes: one.bytes,
                flows: one.flows,
            },
        };
        let (told, copied, ignored) = self.mirrored.figures();
        DirectFigures {
            told: told as u64,
            copied: copied as u64,
            ignored,
            interfaces: places
                .map(|(name, place)| (name.clone(), place.hook.word()))
                .collect(),
            services: status.services.iter().map(service).collect(),
            backends: status.backends.iter().map(backend).collect(),
            passed: counters.passed,
            unlearnt: counters.unlearnt,
        }
    }

    fn backend_statuses(&self, counters: &Counters) -> Vec<DirectBackendStatus> {
        let planned = self.plan.iter().flat_map(|plan| &plan.backends);
        let status = planned.map(|(identity, backend)| {
            let id = self.ids.get(identity.number());
            let written = id.and_then(|id| self.written.get(&id));
            let hop = written.map(|written| hop_word(&written.hop));
            let counts = counters
                .backends
                .iter()
                .find(|(other, _)| Some(*other) == id);
            let counts = counts.map(|(_, counts)| *counts).unwrap_or_default();
            let road = self.roads.get(&identity.address);
            DirectBackendStatus {
                pool: identity.pool.clone(),
                backend: backend.name.clone(),
                address: identity.address.to_string(),
                id: id.unwrap_or(0),
                state: written
                    .map_or("unknown", |written| word(written.state))
                    .to_owned(),
                way: hop.map_or("", |hop| hop.0).to_owned(),
                mac: hop.map(|hop| mac(hop.1)).unwrap_or_default(),
                trouble: road.and_then(|road| road.trouble.clone().or_else(|| silent(road))),
                left: id.and_then(|id| self.left.get(&id).copied()),
                packets: counts.packets,
                bytes: counts.bytes,
                flows: counts.flows,
            }
        });
        status.collect()
    }
}

fn silent(road: &super::roads::Road) -> Option<String> {
    let text = "it does not answer on its network".to_owned();
    (!road.is_open()).then_some(text)
}

fn word(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Draining => "draining",
        State::Dead => "dead",
    }
}

fn mac(mac: [u8; 6]) -> String {
    let parts: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}
