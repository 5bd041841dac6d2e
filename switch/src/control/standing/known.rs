//! What one process or switch tells another about ejections and slow starts. Times are told as
//! durations: clocks of other hosts may differ.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::health::eject::{RATIO, Sentence};
use crate::endpoint::Endpoint;
use crate::error::Reason;

/// An endpoint that is out by ejection, or was and is not forgiven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownEjection {
    /// The pool's name.
    pub pool: String,
    /// The endpoint's name within the pool.
    pub backend: String,
    /// `HOST:PORT` or `unix:PATH`.
    pub address: String,
    /// For how much longer it is out; zero when it is in again.
    pub left: Duration,
    /// Times out in a row.
    pub times: u32,
    /// Why it was out the last time: a reason's word, `status` or `ratio`.
    pub cause: String,
    /// For how long it has been in since.
    #[serde(default)]
    pub behaved: Duration,
}

/// An endpoint in its slow start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSlowStart {
    /// The pool's name.
    pub pool: String,
    /// The endpoint's name within the pool.
    pub backend: String,
    /// `HOST:PORT` or `unix:PATH`.
    pub address: String,
    /// How long it has lasted.
    pub elapsed: Duration,
}

impl KnownEjection {
    pub(super) fn of(endpoint: &Endpoint, sentence: &Sentence) -> Self {
        Self {
            pool: endpoint.pool.clone(),
            backend: endpoint.name.clone(),
            address: endpoint.address.to_string(),
            left: sentence.left,
            times: sentence.times,
            cause: sentence.cause.to_owned(),
            behaved: sentence.behaved,
        }
    }

    pub(super) fn sentence(&self) -> Sentence {
        Sentence {
            left: self.left,
            times: self.times.max(1),
            cause: cause_word(&self.cause),
            behaved: self.behaved,
        }
    }

    pub(super) fn is_of(&self, endpoint: &Endpoint) -> bool {
        let same = self.pool == endpoint.pool && self.backend == endpoint.name;
        same && self.address == endpoint.address.to_string()
    }
}

impl KnownSlowStart {
    pub(super) fn of(endpoint: &Endpoint, elapsed: Duration) -> Self {
        Self {
            pool: endpoint.pool.clone(),
            backend: endpoint.name.clone(),
            address: endpoint.address.to_string(),
            elapsed,
        }
    }

    pub(super) fn is_of(&self, endpoint: &Endpoint) -> bool {
        let same = self.pool == endpoint.pool && self.backend == endpoint.name;
        same && self.address == endpoint.address.to_string()
    }
}

/// The same word, if this version knows it.
fn cause_word(word: &str) -> &'static str {
    let reasons = Reason::ALL.iter().map(|reason| reason.word());
    let mut words = reasons.chain([RATIO, "status"]);
    words.find(|known| *known == word).unwrap_or("other")
}
