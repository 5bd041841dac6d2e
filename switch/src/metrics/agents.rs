//! What agents have registered, as figures.

use std::collections::BTreeMap;

use super::collect::Page;
use super::table::Family;

/// The states of a registered server.
pub const AGENT_STATES: [&str; 4] = ["ready", "not-ready", "leaving", "lost"];

/// The figures of all agents.
#[derive(Debug, Default)]
pub(super) struct AgentFigures {
    /// By pool and state.
    pub(super) census: BTreeMap<(String, &'static str), u64>,
    /// By pool.
    pub(super) registered: BTreeMap<String, u64>,
    /// By pool.
    pub(super) lost: BTreeMap<String, u64>,
    /// By reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
}

impl AgentFigures {
    /// One more. Pools are those of the policy.
    pub(super) fn count(counts: &mut BTreeMap<String, u64>, pool: &str) {
        match counts.get_mut(pool) {
            Some(count) => *count += 1,
            None => drop(counts.insert(pool.to_owned(), 1)),
        }
    }
}

pub(super) fn collect(page: &mut Page, figures: &AgentFigures) {
    for pool in figures.registered.keys() {
        for state in AGENT_STATES {
            let key = (pool.clone(), state);
            let count = figures.census.get(&key).copied().unwrap_or_default();
            page.put(Family::Agents, &[pool, state], count as f64);
        }
    }
    for (pool, count) in &figures.registered {
        page.put(Family::AgentRegistrations, &[pool], *count as f64);
    }
    for (pool, count) in &figures.lost {
        page.put(Family::AgentLosses, &[pool], *count as f64);
    }
    for (reason, count) in &figures.refused {
        page.put(Family::AgentsRefused, &[reason], *count as f64);
    }
}
