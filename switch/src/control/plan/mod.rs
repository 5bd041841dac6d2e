//! What a reload would change, thing by thing: for `pointsman plan` and `GET /plan`.

pub mod effects;

use pointsman_config::outline::Change;
use pointsman_config::policy::Policy;
use serde::Serialize;

use super::inside::InForce;
use super::status::Status;

/// What would change.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The digest of the policy in force, or of the one that is compared with.
    pub from: String,
    /// The digest of the new one.
    pub to: String,
    /// What is other than before, with what comes of it.
    pub changes: Vec<Planned>,
    /// What is there before and after, and the same: how many of each kind.
    pub unchanged: Vec<(String, usize)>,
}

/// A change and what comes of it.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
    /// In words.
    pub effects: Vec<String>,
}

impl Plan {
    /// From what is in force to `new`; `live`: the state of the switch, where it is known.
    pub fn of(before: &InForce, new: &Policy, live: Option<&Status>) -> Self {
        let changes = before.outline.changes(&new.outline);
        let unchanged = unchanged(new, &changes);
        let planned = changes.into_iter().map(|change| Planned {
            effects: effects::of(&change, live),
            change,
        });
        Self {
            from: before.digest.clone(),
            to: new.digest.clone(),
            changes: planned.collect(),
            unchanged,
        }
    }
}

/// Of each kind those that are in the new policy and not among the changes.
fn unchanged(new: &Policy, changes: &[Change]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for thing in &new.outline.things {
        let is_it = |change: &Change| change.kind == thing.kind && change.name == thing.name;
        if changes.iter().any(is_it) {
            continue;
        }
        match counts.iter_mut().find(|(kind, _)| *kind == thing.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((thing.kind.clone(), 1)),
        }
    }
    counts
}
