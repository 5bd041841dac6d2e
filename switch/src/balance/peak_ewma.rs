//! Of two random candidates the one that promises an answer sooner: its latency, as an average that
//! jumps up to peaks, times what it has under way (peak EWMA of Twitter's Finagle with the power of
//! two choices, as in [`super::LeastRequest`]).

use std::cmp::Ordering;
use std::time::Duration;

use super::draw::Draw;
use super::least_request::by_load;
use super::{Balance, Candidate, Choice};
use crate::endpoint::Estimate;

/// Draws two candidates by weight and takes the one of lower cost: latency times requests under way
/// with this one, per weight.
///
/// One of which nothing is known costs nothing, so that it is asked; as soon as it was, it costs more
/// than any that is known, so that one request finds out and not a flood of them.
#[derive(Debug)]
pub struct PeakEwma {
    draw: Draw,
    decay: Duration,
}

impl PeakEwma {
    /// For this list of candidates; latencies are forgotten over `decay`.
    pub fn new(candidates: &[Candidate], decay: Duration) -> Self {
        Self {
            draw: Draw::new(candidates),
            decay,
        }
    }

    fn cost(&self, candidate: &Candidate, now: u64) -> f32 {
        match candidate.endpoint.latency.estimate(now, self.decay) {
            Estimate::Unknown => 0.0,
            Estimate::Asked => f32::INFINITY,
            Estimate::Known(micros) => {
                let load = candidate.endpoint.in_flight() as f32 + 1.0;
                micros * load / candidate.weight.max(1) as f32
            }
        }
    }
}

impl Balance for PeakEwma {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let (first, second) = self.draw.two(candidates, choice)?;
        let Some(second) = second else {
            return Some(first);
        };
        let (one, other) = (&candidates[first], &candidates[second]);
        let costs = [one, other].map(|candidate| self.cost(candidate, choice.now));
        let order = costs[0].total_cmp(&costs[1]).then(by_load(one, other));
        Some(match order {
            Ordering::Greater => second,
            _ => first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Tried;
    use crate::balance::hash::mix;
    use crate::balance::testing::{candidates, tried};

    const DECAY: Duration = Duration::from_secs(10);

    fn choice(entropy: u64, now: u64, tried: &Tried) -> Choice<'_> {
        Choice {
            cursor: 0,
            entropy: mix(entropy),
            hash: None,
            now,
            tried,
        }
    }

    /// How often each is taken of 1000 times, when nothing stays under way.
    fn counts(candidates: &[Candidate], now: u64) -> Vec<u32> {
        let policy = PeakEwma::new(candidates, DECAY);
        let none = Tried::default();
        let mut counts = vec![0; candidates.len()];
        for entropy in 0..1000 {
            let place = policy.pick(candidates, &choice(entropy, now, &none));
            counts[place.unwrap()] += 1;
        }
        counts
    }

    fn answer(candidate: &Candidate, millis: u64, now: u64) {
        let took = Duration::from_millis(millis);
        candidate.endpoint.latency.answered(took, now, DECAY);
    }

    #[test]
    fn a_slow_candidate_is_avoided_from_its_first_slow_answer_on() {
        let candidates = candidates(&[1, 1, 1]);
        for candidate in &candidates {
            answer(candidate, 10, 0);
        }
        answer(&candidates[2], 100, 1);
        assert_eq!(counts(&candidates, 1)[2], 0);
    }

    #[test]
    fn a_slow_candidate_gets_work_when_the_fast_ones_have_too_much() {
        let candidates = candidates(&[1, 1]);
        answer(&candidates[0], 10, 0);
        answer(&candidates[1], 100, 0);
        let busy: Vec<_> = (0..10).map(|_| candidates[0].endpoint.enter()).collect();
        assert_eq!(counts(&candidates, 0), [0, 1000]);
        drop(busy);
        assert_eq!(counts(&candidates, 0), [1000, 0]);
    }

    #[test]
    fn one_request_finds_out_about_a_candidate_of_which_nothing_is_known() {
        let candidates = candidates(&[1, 1]);
        answer(&candidates[0], 10, 0);
        assert_eq!(counts(&candidates, 0), [0, 1000]);
        candidates[1].endpoint.latency.asked(0, DECAY);
        assert_eq!(counts(&candidates, 0), [1000, 0]);
        answer(&candidates[1], 5, 3);
        assert_eq!(counts(&candidates, 3), [0, 1000]);
    }

    #[test]
    fn a_heavier_candidate_may_be_slower() {
        let candidates = candidates(&[1, 3]);
        answer(&candidates[0], 10, 0);
        answer(&candidates[1], 20, 0);
        assert_eq!(counts(&candidates, 0), [0, 1000]);
        answer(&candidates[1], 40, 0);
        assert_eq!(counts(&candidates, 0), [1000, 0]);
    }

    #[test]
    fn a_candidate_that_fails_fast_draws_no_requests() {
        let candidates = candidates(&[1, 1]);
        answer(&candidates[0], 20, 0);
        let policy = PeakEwma::new(&candidates, DECAY);
        let none = Tried::default();
        let mut failures = 0;
        for now in 0..10_000 {
            let place = policy.pick(&candidates, &choice(now, now, &none)).unwrap();
            let endpoint = &candidates[place].endpoint;
            endpoint.latency.asked(now, DECAY);
            if place == 0 {
                answer(&candidates[0], 20, now);
            } else {
                failures += 1;
                endpoint.latency.failed(Duration::ZERO, now, DECAY);
            }
        }
        assert!(failures <= 2, "{failures} of 10000 requests failed");
    }

    #[test]
    fn the_only_one_left_is_taken_however_slow() {
        let candidates = candidates(&[1, 1, 1]);
        answer(&candidates[1], 60_000, 0);
        let policy = PeakEwma::new(&candidates, DECAY);
        let tried = tried(&[0, 2]);
        assert_eq!(policy.pick(&candidates, &choice(1, 0, &tried)), Some(1));
    }
}
