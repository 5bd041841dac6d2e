//! What the tests of the policies share.

use std::sync::Arc;

use super::hash::mix;
use super::{Balance, Candidate, Choice, Tried};
use crate::endpoint::{Address, Endpoint};

/// Candidates of these weights, their ids counted from 0.
pub(super) fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let endpoint = |id: u32| {
        let address = Address::Tcp(([10, 0, 0, 1], 8000 + id as u16).into());
        Arc::new(Endpoint::new(
            id,
            "pool".into(),
            format!("backend-{id}"),
            address,
        ))
    };
    (0..)
        .zip(weights)
        .map(|(id, &weight)| Candidate {
            endpoint: endpoint(id),
            weight,
        })
        .collect()
}

pub(super) fn tried(ids: &[u32]) -> Tried {
    let mut tried = Tried::default();
    ids.iter().for_each(|id| tried.insert(*id));
    tried
}

pub(super) fn choice(entropy: u64, tried: &Tried) -> Choice<'_> {
    Choice {
        cursor: 0,
        entropy,
        hash: None,
        now: 0,
        tried,
    }
}

pub(super) fn at(cursor: u64, tried: &Tried) -> Choice<'_> {
    Choice {
        cursor,
        entropy: 0,
        hash: None,
        now: 0,
        tried,
    }
}

pub(super) fn keyed(hash: u64, entropy: u64, tried: &Tried) -> Choice<'_> {
    Choice {
        cursor: 0,
        entropy,
        hash: Some(hash),
        now: 0,
        tried,
    }
}

/// How often each candidate is taken when none was tried.
pub(super) fn counts(
    policy: &dyn Balance,
    candidates: &[Candidate],
    seed: u64,
    draws: u64,
) -> Vec<u64> {
    let none = Tried::default();
    let mut counts = vec![0; candidates.len()];
    for step in 0..draws {
        let choice = choice(mix(seed.wrapping_add(step)), &none);
        let place = policy.pick(candidates, &choice);
        counts[place.expect("none was tried")] += 1;
    }
    counts
}
