//! The less loaded of two random candidates (Mitzenmacher: "The power of two choices in randomized
//! load balancing", 2001): nearly as even as looking at all of them, without the herd that runs to
//! the one that looked emptiest.

use std::cmp::Ordering;

use super::draw::Draw;
use super::{Balance, Candidate, Choice};

/// Draws two candidates by weight and takes the one with less under way per weight.
#[derive(Debug)]
pub struct LeastRequest {
    draw: Draw,
}

impl LeastRequest {
    /// For this list of candidates.
    pub fn new(candidates: &[Candidate]) -> Self {
        Self {
            draw: Draw::new(candidates),
        }
    }
}

impl Balance for LeastRequest {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let (first, second) = self.draw.two(candidates, choice)?;
        let Some(second) = second else {
            return Some(first);
        };
        match by_load(&candidates[first], &candidates[second]) {
            Ordering::Greater => Some(second),
            _ => Some(first),
        }
    }
}

/// Compares `(in flight + 1) / weight`: what the load would be with one more.
pub(super) fn by_load(one: &Candidate, other: &Candidate) -> Ordering {
    let crossed = |own: &Candidate, weight_of: &Candidate| {
        (u64::from(own.endpoint.in_flight()) + 1) * u64::from(weight_of.weight.max(1))
    };
    crossed(one, other).cmp(&crossed(other, one))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::Tried;
    use crate::balance::hash::mix;
    use crate::balance::testing::{candidates, choice, tried};

    proptest! {
        #[test]
        fn of_two_candidates_it_never_takes_the_more_loaded(
            weights in proptest::array::uniform2(1u32..=1000),
            load in proptest::array::uniform2(0usize..20),
            entropy: u64,
        ) {
            let candidates = candidates(&weights);
            let _under_way: Vec<_> = (0..2)
                .flat_map(|place| std::iter::repeat_n(&candidates[place], load[place]))
                .map(|candidate| candidate.endpoint.enter())
                .collect();
            let none = Tried::default();
            let taken =
                LeastRequest::new(&candidates).pick(&candidates, &choice(entropy, &none)).unwrap();
            let per_weight = |place: usize| (load[place] + 1) as f64 / f64::from(weights[place]);
            prop_assert!(per_weight(taken) <= per_weight(1 - taken) + 1e-9);
        }

        #[test]
        fn the_most_loaded_of_many_is_never_taken(
            weights in proptest::collection::vec(1u32..=10, 2..20),
            entropy: u64,
        ) {
            let candidates = candidates(&weights);
            let _under_way: Vec<_> = (0..50).map(|_| candidates[0].endpoint.enter()).collect();
            let none = Tried::default();
            let taken =
                LeastRequest::new(&candidates).pick(&candidates, &choice(entropy, &none)).unwrap();
            prop_assert_ne!(taken, 0);
        }
    }

    #[test]
    fn requests_that_stay_spread_by_weight() {
        let weights = [1, 1, 2, 4];
        let candidates = candidates(&weights);
        let policy = LeastRequest::new(&candidates);
        let none = Tried::default();
        let under_way: Vec<_> = (0..8000u64)
            .map(|step| policy.pick(&candidates, &choice(mix(step), &none)).unwrap())
            .map(|place| candidates[place].endpoint.enter())
            .collect();
        for (candidate, weight) in candidates.iter().zip(weights) {
            let share = candidate.endpoint.in_flight();
            assert!(
                share.abs_diff(1000 * weight) <= 20 * weight,
                "{share} at weight {weight}"
            );
        }
        drop(under_way);
    }

    #[test]
    fn the_only_one_left_is_taken_however_loaded() {
        let candidates = candidates(&[1, 1, 1]);
        let policy = LeastRequest::new(&candidates);
        let _under_way: Vec<_> = (0..9).map(|_| candidates[1].endpoint.enter()).collect();
        let tried = tried(&[0, 2]);
        for entropy in 0..100 {
            assert_eq!(
                policy.pick(&candidates, &choice(mix(entropy), &tried)),
                Some(1)
            );
        }
    }
}
