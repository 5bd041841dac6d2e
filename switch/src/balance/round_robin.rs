//! Smooth weighted round-robin.

use super::{Balance, Candidate, Choice};

/// Steps of a period at most, give or take one a candidate: enough for four candidates of any
/// weights, or for forty of weights up to a hundred.
const PERIOD: u64 = 4096;

/// Takes the candidates in turn along a schedule in which the turns of each are spread out. Over a
/// period (the sum of the weights over their greatest common divisor) the shares are exact; where
/// that would be longer than 4096 steps they are rounded.
#[derive(Debug)]
pub struct RoundRobin {
    /// Empty when all weights are equal: then the order of the list is the schedule.
    schedule: Vec<u32>,
}

impl RoundRobin {
    /// For this list of candidates.
    pub fn new(candidates: &[Candidate]) -> Self {
        let weights = reduced(candidates);
        let equal = weights.iter().all(|weight| *weight == 1);
        Self {
            schedule: if equal {
                Vec::new()
            } else {
                schedule(&weights)
            },
        }
    }

    /// Whose turn the step is, were the schedule repeated for ever.
    fn turn(&self, step: u64, count: usize) -> usize {
        match self.schedule.len() {
            0 => (step % count as u64) as usize,
            period => self.schedule[(step % period as u64) as usize] as usize,
        }
    }
}

impl Balance for RoundRobin {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        if candidates.is_empty() {
            return None;
        }
        let period = self.schedule.len().max(candidates.len()) as u64;
        (0..period)
            .map(|ahead| self.turn(choice.cursor.wrapping_add(ahead), candidates.len()))
            .find(|&place| candidates.get(place).is_some_and(|c| choice.is_open(c)))
    }
}

/// The weights divided by their greatest common divisor, scaled down to the longest period.
fn reduced(candidates: &[Candidate]) -> Vec<u64> {
    let weights = candidates
        .iter()
        .map(|candidate| u64::from(candidate.weight.max(1)));
    let divisor = weights.clone().fold(0, gcd).max(1);
    let sum = weights.clone().sum::<u64>() / divisor;
    if sum <= PERIOD {
        return weights.map(|weight| weight / divisor).collect();
    }
    let scaled = |weight: u64| (weight * PERIOD + divisor * sum / 2) / (divisor * sum);
    weights.map(|weight| scaled(weight).max(1)).collect()
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        gcd(other, one % other)
    }
}

/// One period. Each step gives every candidate its weight as credit and takes the whole sum from
/// the one with the most (as nginx does). That alone may give one candidate two turns in a row
/// although others could stand between, so `Apart` narrows the choice where it can be avoided.
fn schedule(weights: &[u64]) -> Vec<u32> {
    let sum: u64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    let mut apart = Apart::new(weights, sum);
    let mut steps = Vec::with_capacity(sum as usize);
    for _ in 0..sum {
        for (credit, weight) in credit.iter_mut().zip(weights) {
            *credit += *weight as i64;
        }
        let open = (0..weights.len()).filter(|&place| apart.allows(place));
        // The earlier one wins a tie.
        let Some(next) = apart
            .due()
            .or_else(|| open.rev().max_by_key(|&place| credit[place]))
        else {
            break;
        };
        credit[next] -= sum as i64;
        apart.take(next);
        steps.push(next as u32);
    }
    steps
}

/// Keeps the turns of a candidate apart, also across the end of the period, whenever no weight is
/// more than half of the sum.
///
/// A candidate that is not the last one taken can have `ceil(R/2)` of `R` steps to come without two
/// in a row; the last one taken can have `floor(R/2)`; and the one that opened the period has to
/// leave its final step free. Whoever would exceed this by waiting is due, and there is never more
/// than one.
struct Apart {
    left: Vec<u64>,
    steps_left: u64,
    /// `None`: one candidate has more than half of the weight, so its turns have to meet.
    opening: Option<usize>,
    last: Option<usize>,
}

impl Apart {
    fn new(weights: &[u64], sum: u64) -> Self {
        let heaviest = (0..weights.len())
            .rev()
            .max_by_key(|&place| weights[place])
            .unwrap_or(0);
        let fits = weights
            .get(heaviest)
            .is_some_and(|weight| 2 * weight <= sum);
        Self {
            left: weights.to_vec(),
            steps_left: sum,
            opening: fits.then_some(heaviest),
            last: None,
        }
    }

    fn allows(&self, place: usize) -> bool {
        let free = self.opening.is_none() || self.last != Some(place);
        free && self.left[place] > 0
    }

    /// The one that has to be taken now.
    fn due(&self) -> Option<usize> {
        let opening = self.opening?;
        if self.last.is_none() {
            return Some(opening);
        }
        let after = self.steps_left - 1;
        (0..self.left.len())
            .filter(|&place| self.last != Some(place))
            .find(|&place| {
                let room = if place == opening {
                    after / 2
                } else {
                    after.div_ceil(2)
                };
                self.left[place] > room
            })
    }

    fn take(&mut self, place: usize) {
        self.left[place] -= 1;
        self.steps_left -= 1;
        self.last = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::Tried;
    use crate::balance::testing::{at, candidates, tried};

    fn period(weights: &[u32], cursor: u64, steps: u64) -> Vec<usize> {
        let candidates = candidates(weights);
        let policy = RoundRobin::new(&candidates);
        let none = Tried::default();
        (0..steps)
            .map(|step| policy.pick(&candidates, &at(cursor + step, &none)).unwrap())
            .collect()
    }

    #[test]
    fn a_heavy_candidate_is_mixed_with_light_ones() {
        assert_eq!(period(&[5, 1, 1], 0, 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(period(&[4, 1, 1, 1, 1], 0, 8), [0, 1, 0, 2, 0, 3, 0, 4]);
    }

    #[test]
    fn equal_weights_take_turns_in_the_order_of_the_list() {
        assert_eq!(period(&[300, 300, 300], 1, 6), [1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn weights_that_add_up_to_more_than_a_period_are_rounded() {
        let weights: Vec<u32> = (0..100).map(|place| 901 + place % 100).collect();
        let sum: u32 = weights.iter().sum();
        let policy = RoundRobin::new(&candidates(&weights));
        assert!(policy.schedule.len() <= PERIOD as usize + weights.len());
        for (place, weight) in weights.iter().enumerate() {
            let turns = policy
                .schedule
                .iter()
                .filter(|turn| **turn == place as u32)
                .count();
            let share = turns as f64 / policy.schedule.len() as f64;
            let wanted = f64::from(*weight) / f64::from(sum);
            assert!(
                (share / wanted - 1.0).abs() < 0.03,
                "{share} instead of {wanted}"
            );
        }
    }

    #[test]
    fn a_tried_candidate_is_passed_over() {
        let candidates = candidates(&[5, 1, 1]);
        let policy = RoundRobin::new(&candidates);
        let tried = tried(&[0]);
        let turns: Vec<_> = (0..7)
            .map(|step| policy.pick(&candidates, &at(step, &tried)).unwrap())
            .collect();
        assert_eq!(turns, [1, 1, 1, 2, 2, 1, 1]);
    }

    proptest! {
        #[test]
        fn over_a_period_every_share_is_exact(
            weights in proptest::collection::vec(1u32..=30, 1..20),
            cursor in 0u64..1 << 40,
        ) {
            let sum: u32 = weights.iter().sum();
            let turns = period(&weights, cursor * u64::from(sum), u64::from(sum));
            for (place, weight) in weights.iter().enumerate() {
                let count = turns.iter().filter(|turn| **turn == place).count();
                prop_assert_eq!(count, *weight as usize);
            }
        }

        #[test]
        fn none_gets_two_turns_in_a_row_unless_it_has_most_of_the_weight(
            weights in proptest::collection::vec(1u32..=30, 2..20),
        ) {
            let sum: u32 = weights.iter().sum();
            let turns = period(&weights, 0, u64::from(sum) * 2);
            for pair in turns.windows(2) {
                prop_assert!(pair[0] != pair[1] || 2 * weights[pair[0]] > sum, "{:?}", turns);
            }
        }

        #[test]
        fn no_candidate_waits_much_longer_than_its_share(
            weights in proptest::collection::vec(1u32..=30, 2..20),
        ) {
            let sum: u32 = weights.iter().sum();
            let turns = period(&weights, 0, u64::from(sum));
            for (place, weight) in weights.iter().enumerate() {
                let mut taken = 0.0;
                for (step, turn) in turns.iter().enumerate() {
                    taken += f64::from(u8::from(*turn == place));
                    let due = (step + 1) as f64 * f64::from(*weight) / f64::from(sum);
                    prop_assert!((taken - due).abs() < 3.0, "{place} at {step}: {:?}", turns);
                }
            }
        }
    }
}
