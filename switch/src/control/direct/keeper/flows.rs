//! Flows of backends that get no new ones: how many there are still.

use std::time::{Duration, Instant};

use super::{Keeper, Network};
use crate::control::direct::face::{Flow, Path, State};

/// Flows of one backend that are looked at.
pub(super) const MOST: usize = 65_536;
/// A flow that is silent for so long counts as over: the kernel hears clients alone, and some go
/// without a word.
const SILENCE: Duration = Duration::from_secs(600);

impl<P: Path, N: Network> Keeper<P, N> {
    /// Counts what draining backends still have.
    pub(super) fn count_flows(&mut self, now: Instant) {
        let draining = self.written.iter();
        let draining = draining.filter(|(_, backend)| backend.state == State::Draining);
        let ids: Vec<u16> = draining.map(|(id, _)| *id).collect();
        self.left.retain(|id, _| ids.contains(id));
        for id in ids {
            match self.path.flows(id, MOST) {
                Ok(flows) => {
                    let left = flows.iter().filter(|flow| is_open(flow)).count();
                    self.left.insert(id, left);
                }
                Err(error) => self.trouble(format!("backend {id}"), error.to_string()),
            }
        }
        self.forget_retired(now);
    }
}

/// Whether a flow goes on, as far as can be told.
pub(super) fn is_open(flow: &Flow) -> bool {
    !flow.closed && flow.idle < SILENCE
}
