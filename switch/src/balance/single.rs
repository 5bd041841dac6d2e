//! No choice at all: one candidate or none.

use super::{Balance, Candidate, Choice};

/// Takes the first candidate. What every policy comes down to with a single one.
#[derive(Debug)]
pub struct Single;

impl Balance for Single {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let is_open = |candidate: &Candidate| choice.is_open(candidate);
        candidates.first().is_some_and(is_open).then_some(0)
    }
}
