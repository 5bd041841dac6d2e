//! What a prober saw.

use std::time::{Duration, Instant};

/// One request on a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When the connection was asked for.
    pub started: Instant,
    /// Until the last byte of the answer, or until it was clear that none comes.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer with status 200, from whoever has this name.
    Ok(String),
    /// Another status.
    Status(u16),
    /// Nobody listens there.
    Refused,
    /// The connection was reset, or ended before the whole answer.
    Reset,
    /// The host or its network cannot be reached, says this host's kernel.
    Unreachable,
    /// No whole answer within [`super::LIMIT`].
    Timeout,
}

/// What a prober saw, in the order in which attempts were started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// All of them.
    pub attempts: Vec<Attempt>,
}

impl Record {
    /// The longest time between the starts of consecutive successes; one that lasts until the end
    /// counts from the last success to the last attempt.
    ///
    /// Without any failure it is a little more than [`super::EVERY`].
    pub fn blackout(&self) -> Duration {
        let successes = self.attempts.iter().filter(|one| one.is_ok());
        let starts: Vec<Instant> = successes
            .chain(self.attempts.last())
            .map(|one| one.started)
            .collect();
        let gaps = starts.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// The time between the starts of the first and the last failure, where some succeed between
    /// them. Zero when there are less than two.
    pub fn failing(&self) -> Duration {
        let mut failures = self.attempts.iter().filter(|one| !one.is_ok());
        match (failures.next(), failures.next_back()) {
            (Some(first), Some(last)) => last.started - first.started,
            _ => Duration::ZERO,
        }
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.attempts.iter().filter(|one| !one.is_ok()).count()
    }

    /// Who answered: each name with the start of its first success after another one's.
    pub fn answered_by(&self) -> Vec<(Instant, String)> {
        let mut names: Vec<(Instant, String)> = Vec::new();
        for attempt in &self.attempts {
            if let Outcome::Ok(name) = &attempt.outcome
                && names.last().is_none_or(|(_, last)| last != name)
            {
                names.push((attempt.started, name.clone()));
            }
        }
        names
    }

    /// What was started at this time or later, and the last success before: where a blackout
    /// begins.
    pub fn since(&self, time: Instant) -> Self {
        let first = self.attempts.partition_point(|one| one.started < time);
        let before = self.attempts[..first].iter().rfind(|one| one.is_ok());
        let after = &self.attempts[first..];
        Self {
            attempts: before.into_iter().chain(after).cloned().collect(),
        }
    }
}

impl Attempt {
    /// Whether it was answered as it should.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackout_lasts_from_success_to_success() {
        let record = record(&["a", "a", "", "", "b", "b"]);
        assert_eq!(record.blackout(), Duration::from_millis(3));
        assert_eq!(record.failing(), Duration::from_millis(1));
        assert_eq!(record.failed(), 2);
    }

    #[test]
    fn a_blackout_without_an_end_lasts_until_the_last_attempt() {
        assert_eq!(
            record(&["a", "", "", ""]).blackout(),
            Duration::from_millis(3)
        );
        assert_eq!(record(&[]).blackout(), Duration::ZERO);
    }

    #[test]
    fn each_change_of_the_answering_name_is_told() {
        let record = record(&["a", "a", "", "b", "a"]);
        let names: Vec<_> = record.answered_by().into_iter().map(|one| one.1).collect();
        assert_eq!(names, ["a", "b", "a"]);
    }

    #[test]
    fn what_is_cut_off_begins_with_the_last_success_before() {
        let record = record(&["a", "a", "", "", "b"]);
        let rest = record.since(record.attempts[3].started);
        assert_eq!(rest.attempts.len(), 3);
        assert_eq!(rest.blackout(), Duration::from_millis(3));
    }

    /// An attempt per millisecond; an empty name is a failure.
    fn record(names: &[&str]) -> Record {
        let begin = Instant::now();
        let attempt = |(at, name): (u64, &&str)| Attempt {
            started: begin + Duration::from_millis(at),
            took: Duration::ZERO,
            outcome: match *name {
                "" => Outcome::Timeout,
                name => Outcome::Ok(name.to_owned()),
            },
        };
        Record {
            attempts: (0..).zip(names).map(attempt).collect(),
        }
    }
}
