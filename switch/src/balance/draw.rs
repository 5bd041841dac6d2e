//! Drawing by weight: in constant time from all, in one walk from those that are left.

use super::hash::{mix, scale};
use super::{Candidate, Choice};

/// An alias table (Walker 1977, built as Vose 1991 does, in whole numbers): as many columns as
/// candidates, all equally high, each shared by at most two candidates.
#[derive(Debug)]
pub(super) struct Draw {
    columns: Vec<Column>,
    /// The height of a column: the sum of all weights.
    height: u64,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// Below this the column belongs to its own candidate, from here on to the other.
    limit: u64,
    other: u32,
}

impl Draw {
    /// For these weights; weights of 0 count as 1.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let weights = candidates
            .iter()
            .map(|candidate| u64::from(candidate.weight.max(1)));
        let count = candidates.len() as u64;
        let height = weights.clone().sum();
        let mut columns: Vec<Column> = weights
            .enumerate()
            .map(|(own, weight)| Column {
                limit: weight * count,
                other: own as u32,
            })
            .collect();
        let (mut low, mut high): (Vec<_>, Vec<_>) =
            (0..columns.len()).partition(|&place| columns[place].limit < height);
        while let (Some(poor), Some(&rich)) = (low.pop(), high.last()) {
            columns[poor].other = rich as u32;
            columns[rich].limit -= height - columns[poor].limit;
            if columns[rich].limit < height {
                high.pop();
                low.push(rich);
            }
        }
        Self { columns, height }
    }

    /// One of all candidates, each as often as its weight says.
    pub(super) fn any(&self, entropy: u64) -> usize {
        let own = scale((entropy >> 32) as u32, self.columns.len() as u64) as usize;
        match self.columns.get(own) {
            Some(column) if scale(entropy as u32, self.height) >= column.limit => {
                column.other as usize
            }
            _ => own,
        }
    }
}

impl Draw {
    /// Two different ones of the candidates that are open, each drawn by weight: a first one,
    /// and a second if there is one. `None` when none is.
    #[inline]
    pub(super) fn two(
        &self,
        candidates: &[Candidate],
        choice: &Choice<'_>,
    ) -> Option<(usize, Option<usize>)> {
        let first = self.one(candidates, choice, None, choice.entropy)?;
        let second = self.one(candidates, choice, Some(first), mix(!choice.entropy));
        Some((first, second))
    }

    /// Drawing anew only when the constant-time draw hits one that is out gives exactly the shares
    /// of drawing without replacement.
    fn one(
        &self,
        candidates: &[Candidate],
        choice: &Choice<'_>,
        except: Option<usize>,
        entropy: u64,
    ) -> Option<usize> {
        let place = self.any(entropy);
        if Some(place) != except && choice.is_open(candidates.get(place)?) {
            return Some(place);
        }
        among_untried(candidates, choice, except, mix(entropy))
    }
}

/// One of the candidates that are open and not `except`, each as often as its weight says; `None`
/// when there is none.
pub(super) fn among_untried(
    candidates: &[Candidate],
    choice: &Choice<'_>,
    except: Option<usize>,
    entropy: u64,
) -> Option<usize> {
    let left = || {
        candidates
            .iter()
            .enumerate()
            .filter(move |(place, candidate)| Some(*place) != except && choice.is_open(candidate))
    };
    let total = left()
        .map(|(_, candidate)| u64::from(candidate.weight.max(1)))
        .sum();
    let mut ticket = scale((entropy >> 32) as u32, total);
    // Another worker may have taken the last room of one since the weights were added up.
    let mut last = None;
    for (place, candidate) in left() {
        let weight = u64::from(candidate.weight.max(1));
        last = Some(place);
        if ticket < weight {
            break;
        }
        ticket -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::candidates;

    proptest! {
        #[test]
        fn the_columns_give_every_candidate_exactly_its_weight(
            weights in proptest::collection::vec(1u32..=1000, 1..40),
        ) {
            let draw = Draw::new(&candidates(&weights));
            let mut shares = vec![0; weights.len()];
            for (own, column) in draw.columns.iter().enumerate() {
                let limit = column.limit.min(draw.height);
                shares[own] += limit;
                shares[column.other as usize] += draw.height - limit;
            }
            for (share, weight) in shares.iter().zip(&weights) {
                prop_assert_eq!(*share, u64::from(*weight) * weights.len() as u64);
            }
        }
    }
}
