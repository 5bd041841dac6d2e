//! Weighted random.

use super::draw::{Draw, among_untried};
use super::hash::mix;
use super::{Balance, Candidate, Choice};

/// Each candidate as often as its weight says, without memory.
#[derive(Debug)]
pub struct Random {
    draw: Draw,
}

impl Random {
    /// For this list of candidates.
    pub fn new(candidates: &[Candidate]) -> Self {
        Self {
            draw: Draw::new(candidates),
        }
    }
}

impl Balance for Random {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let place = self.draw.any(choice.entropy);
        if choice.is_open(candidates.get(place)?) {
            return Some(place);
        }
        // Fresh bits: those at hand have just led to a tried one.
        among_untried(candidates, choice, None, mix(choice.entropy))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::Tried;
    use crate::balance::testing::{candidates, choice, counts, tried};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn shares_follow_the_weights(
            weights in proptest::collection::vec(1u32..=100, 1..10),
            seed: u64,
        ) {
            const DRAWS: u64 = 20_000;
            let candidates = candidates(&weights);
            let counts = counts(&Random::new(&candidates), &candidates, seed, DRAWS);
            let sum: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / f64::from(sum);
                let mean = share * DRAWS as f64;
                // Six standard deviations of a binomial distribution: one false alarm in 10^9.
                let bound = 6.0 * (mean * (1.0 - share)).sqrt() + 1.0;
                prop_assert!((*count as f64 - mean).abs() <= bound, "{count} of {mean}");
            }
        }

        #[test]
        fn those_left_after_a_try_share_by_weight(seed: u64) {
            let candidates = candidates(&[5, 3, 1]);
            let random = Random::new(&candidates);
            let tried = tried(&[0]);
            let mut counts = [0i64; 3];
            for step in 0..20_000 {
                let choice = choice(mix(seed.wrapping_add(step)), &tried);
                counts[random.pick(&candidates, &choice).unwrap()] += 1;
            }
            prop_assert_eq!(counts[0], 0);
            prop_assert!((counts[1] - 15_000).abs() < 400, "{:?}", counts);
        }
    }

    #[test]
    fn the_same_bits_give_the_same_candidate() {
        let candidates = candidates(&[1, 2, 3]);
        let random = Random::new(&candidates);
        let none = Tried::default();
        let pick = || random.pick(&candidates, &choice(7, &none));
        assert_eq!(pick(), pick());
    }
}
