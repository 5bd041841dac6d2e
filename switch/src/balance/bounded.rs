//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam: "Consistent hashing with
//! bounded loads", SODA 2018) over the table of [`Maglev`].

use super::maglev::Maglev;
use super::{Balance, Candidate, Choice};

/// The bound is counted in parts of a million.
const WHOLE: u64 = 1_000_000;

/// Sends equal keys to the same candidate, unless that would have more under way than its share of
/// all that is under way, by weight, and `bound` more of it, rounded up. Then the next one in the
/// key's own order takes it.
///
/// What counts is what this process has under way. Workers that choose at the very same moment do
/// not see each other: the bound may be exceeded by as many as there are workers beside this one.
#[derive(Debug)]
pub struct Bounded {
    maglev: Maglev,
    /// Of each million under way, the part that a candidate of weight 1 may have, times `weights`.
    share: u64,
    /// The sum of all weights.
    weights: u64,
}

impl Bounded {
    /// For this list of candidates; `bound` is the part, 0.0 to 1.0, by which a candidate's load may
    /// exceed its share.
    pub fn new(candidates: &[Candidate], bound: f64) -> Self {
        Self {
            maglev: Maglev::new(candidates),
            share: WHOLE + (bound.clamp(0.0, 1.0) * WHOLE as f64).round() as u64,
            weights: candidates.iter().map(weight).sum(),
        }
    }

    /// Whether the candidate may have one more when `total` are under way, this one counted. That
    /// `load + 1` is not above a limit rounded up is the same as that `load` is below the limit.
    fn has_room(&self, candidate: &Candidate, total: u64) -> bool {
        let load = u128::from(candidate.endpoint.in_flight());
        let limit = u128::from(total * weight(candidate)) * u128::from(self.share);
        load * u128::from(self.weights) * u128::from(WHOLE) < limit
    }
}

impl Balance for Bounded {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let hash = choice.hash.unwrap_or(choice.entropy);
        let loads = candidates
            .iter()
            .map(|candidate| u64::from(candidate.endpoint.in_flight()));
        let total = loads.sum::<u64>() + 1;
        let open = |place: &usize| candidates.get(*place).is_some_and(|c| choice.is_open(c));
        let mut order = self.maglev.order(hash).filter(open);
        let first = order.next()?;
        if self.has_room(&candidates[first], total) {
            return Some(first);
        }
        // All of them can be full only when one with room was tried already.
        let next = order.find(|&place| self.has_room(&candidates[place], total));
        Some(next.unwrap_or(first))
    }
}

fn weight(candidate: &Candidate) -> u64 {
    u64::from(candidate.weight.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::Tried;
    use crate::balance::hash::mix;
    use crate::balance::testing::{candidates, keyed, tried};

    /// What a candidate may have under way of `total`, rounded up.
    fn limit(total: u64, bound: f64, weight: u32, weights: u32) -> u64 {
        let exact = total as f64 * (1.0 + bound) * f64::from(weight) / f64::from(weights);
        (exact - 1e-6).ceil() as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_candidate_ever_has_more_than_its_bound(
            weights in proptest::collection::vec(1u32..=20, 2..12),
            percent in 0u32..=100,
            seed: u64,
            keys in 1u64..200,
        ) {
            let candidates = candidates(&weights);
            let bound = f64::from(percent) / 100.0;
            let policy = Bounded::new(&candidates, bound);
            let none = Tried::default();
            let sum = weights.iter().sum();
            let mut under_way = Vec::new();
            for step in 0..600u64 {
                let random = mix(seed.wrapping_add(step));
                // A few keys have most of the requests.
                let key = mix((random % keys).min(random >> 8 & 7));
                let place = policy.pick(&candidates, &keyed(key, random, &none)).unwrap();
                under_way.push(candidates[place].endpoint.enter());
                let load = u64::from(candidates[place].endpoint.in_flight());
                let most = limit(under_way.len() as u64, bound, weights[place], sum);
                prop_assert!(load <= most, "{load} where {most} are allowed");
                if random >> 60 < 6 {
                    under_way.swap_remove((random >> 20) as usize % under_way.len());
                }
            }
        }

        #[test]
        fn an_idle_pool_is_hashed_as_without_a_bound(key: u64, count in 2usize..20) {
            let candidates = candidates(&vec![1; count]);
            let none = Tried::default();
            let choice = keyed(key, 0, &none);
            prop_assert_eq!(
                Bounded::new(&candidates, 0.25).pick(&candidates, &choice),
                Maglev::new(&candidates).pick(&candidates, &choice)
            );
        }
    }

    #[test]
    fn what_overflows_goes_to_the_same_candidates_every_time() {
        let candidates = candidates(&[1; 5]);
        let policy = Bounded::new(&candidates, 0.25);
        let none = Tried::default();
        let fill = || -> Vec<usize> {
            let mut guards = Vec::new();
            let places = (0..20).map(|entropy| {
                let place = policy.pick(&candidates, &keyed(7, entropy, &none)).unwrap();
                guards.push(candidates[place].endpoint.enter());
                place
            });
            places.collect()
        };
        assert_eq!(fill(), fill());
    }

    #[test]
    fn of_100_candidates_one_that_leaves_takes_few_keys_of_others_along() {
        let all = candidates(&[1; 100]);
        let mut rest = all.clone();
        let gone = rest.remove(37).endpoint.id;
        let none = Tried::default();
        let owner = |list: &[Candidate], policy: &Bounded, key| {
            let place = policy.pick(list, &keyed(mix(key), 0, &none)).unwrap();
            list[place].endpoint.id
        };
        let (before, after) = (Bounded::new(&all, 0.25), Bounded::new(&rest, 0.25));
        let moved = (0..100_000u64)
            .filter(|&key| {
                let was = owner(&all, &before, key);
                was != gone && was != owner(&rest, &after, key)
            })
            .count();
        assert!(moved <= 1000, "{moved} of 100000 keys moved needlessly");
    }

    #[test]
    fn when_all_that_are_left_are_full_the_key_s_first_one_takes_it() {
        let candidates = candidates(&[1; 3]);
        let policy = Bounded::new(&candidates, 0.0);
        let _busy: Vec<_> = (0..9)
            .map(|at| candidates[at % 2].endpoint.enter())
            .collect();
        let tried = tried(&[2]);
        assert!(policy.pick(&candidates, &keyed(1, 0, &tried)).is_some());
    }
}
