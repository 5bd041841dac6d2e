//! `GET /history`: the last hour of one subject.

use hyper::StatusCode;
use serde::Serialize;

use super::content::Answer;
use super::query;
use super::site::{json, text};
use crate::control::history::point::{STATES, Subject};
use crate::control::history::{Columns, History, POINTS, STEP};

/// The answer.
#[derive(Debug, Serialize)]
struct Line {
    /// Seconds between two points.
    step: u64,
    /// Points at most.
    most: usize,
    /// The words of a backend's states.
    states: [&'static str; STATES.len()],
    /// Subjects of which nothing is kept since there are too many.
    left_out: usize,
    #[serde(flatten)]
    columns: Columns,
}

pub(super) fn answer(history: &History, query: &str) -> Answer {
    let Some(subject) = subject(query) else {
        let why = "write /history, or with ?listener=NAME, ?route=NAME, ?pool=NAME or \
                   ?pool=NAME&backend=NAME, percent-encoded\n";
        return text(StatusCode::BAD_REQUEST, why.to_owned());
    };
    json(serde_json::to_string(&Line {
        step: STEP.as_secs(),
        most: POINTS,
        states: STATES,
        left_out: history.left_out(),
        // Nothing is known yet of what has just begun.
        columns: history.columns(&subject).unwrap_or_default(),
    }))
}

/// `None` when it makes no sense.
fn subject(query: &str) -> Option<Subject> {
    let pairs = query::pairs(query)?;
    let mut pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let subject = match (pairs.next(), pairs.next()) {
        (None, _) => Subject::Whole,
        (Some(("listener", name)), None) => Subject::Listener(name),
        (Some(("route", name)), None) => Subject::Route(name),
        (Some(("pool", name)), None) => Subject::Pool(name),
        (Some(("pool", pool)), Some(("backend", name)))
        | (Some(("backend", name)), Some(("pool", pool))) => Subject::Backend(pool, name),
        _ => return None,
    };
    pairs.next().is_none().then_some(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_whole_or_not_at_all() {
        let name = || "a".to_owned();
        assert_eq!(subject(""), Some(Subject::Whole));
        assert_eq!(subject("pool=a"), Some(Subject::Pool(name())));
        let backend = Subject::Backend(name(), "b/c".to_owned());
        assert_eq!(subject("backend=b%2Fc&pool=a"), Some(backend));
        for query in [
            "pool",
            "backend=a",
            "pool=a&route=b",
            "pool=a&backend=b&x=y",
            "moon=full",
        ] {
            assert_eq!(subject(query), None, "{query}");
        }
    }
}
