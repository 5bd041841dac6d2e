//! What the sources of backends have told, as figures.

use std::collections::{BTreeMap, HashSet};

use super::collect::{Page, one_if};
use super::table::Family;

/// The figures of all sources, by what tells them apart.
#[derive(Debug, Default)]
pub(super) struct SourceFigures(BTreeMap<String, Figures>);

#[derive(Debug, Default)]
struct Figures {
    up: bool,
    backends: usize,
    found: u64,
    failed: u64,
    changes: u64,
    /// In seconds since 1970.
    last: Option<f64>,
}

impl SourceFigures {
    /// A source told a list of so many, or failed.
    pub(super) fn told(&mut self, source: &str, backends: Option<usize>, changed: bool, now: f64) {
        let figures = self.0.entry(source.to_owned()).or_default();
        figures.up = backends.is_some();
        match backends {
            Some(backends) => {
                figures.backends = backends;
                figures.found += 1;
                figures.changes += u64::from(changed);
                figures.last = Some(now);
            }
            None => figures.failed += 1,
        }
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, sources: &HashSet<String>) {
        self.0.retain(|source, _| sources.contains(source));
    }
}

pub(super) fn collect(page: &mut Page, sources: &SourceFigures) {
    for (source, figures) in &sources.0 {
        page.put(Family::DiscoveryUp, &[source], one_if(figures.up));
        let backends = figures.backends as f64;
        page.put(Family::DiscoveryBackends, &[source], backends);
        let results = [("success", figures.found), ("failure", figures.failed)];
        for (result, count) in results {
            page.put(Family::DiscoveryLookups, &[source, result], count as f64);
        }
        let changes = figures.changes as f64;
        page.put(Family::DiscoveryChanges, &[source], changes);
        if let Some(last) = figures.last {
            page.put(Family::DiscoveryLastSuccess, &[source], last);
        }
    }
}
