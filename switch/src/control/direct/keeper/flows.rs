//! Flows of backends that get no new ones: how many there are still, and which others are told of.

use std::time::{Duration, Instant};

use super::{Keeper, Network};
use crate::control::direct::face::{Flow, Path, State};
use crate::control::direct::mirror::MAX_MIRRORED;

/// Flows of one backend that are looked at.
pub(super) const MOST: usize = 65_536;
/// A flow that is silent for so long counts as over: the kernel hears clients alone, and some go
/// without a word.
const SILENCE: Duration = Duration::from_secs(600);
/// When a drain has begun, some connections are still to be learnt that began before.
const BEGINNING: Duration = Duration::from_secs(5);
/// How often is counted meanwhile.
const OFTEN: Duration = Duration::from_secs(1);

impl<P: Path, N: Network> Keeper<P, N> {
    /// Counts what draining backends still have.
    pub(super) fn count_flows(&mut self, now: Instant) {
        let draining = self.written.iter();
        let draining = draining.filter(|(_, backend)| backend.state == State::Draining);
        let ids: Vec<u16> = draining.map(|(id, _)| *id).collect();
        self.left.retain(|id, _| ids.contains(id));
        if ids.iter().any(|id| !self.left.contains_key(id)) {
            self.hurries = Some(now + BEGINNING);
        }
        if self.hurries.is_some_and(|until| now < until) {
            self.next_count = self.next_count.min(now + OFTEN);
        }
        let mut told = Vec::new();
        for id in ids {
            match self.path.flows(id, MOST) {
                Ok(mut flows) => {
                    flows.retain(is_open);
                    self.left.insert(id, flows.len());
                    flows.truncate(MAX_MIRRORED - told.len());
                    told.extend(flows.into_iter().map(|flow| (id, flow)));
                }
                Err(error) => self.trouble(format!("backend {id}"), error.to_string()),
            }
        }
        self.forget_retired(now);
        self.mirrored.tidy(now);
        if self.mirrored.is_shared() {
            self.tell_flows(&told, now);
        }
    }
}

/// Whether a flow goes on, as far as can be told.
pub(super) fn is_open(flow: &Flow) -> bool {
    !flow.closed && flow.idle < SILENCE
}
