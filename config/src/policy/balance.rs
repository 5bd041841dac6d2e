use std::time::Duration;

/// `pool.balance`
#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// Smooth weighted round-robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// The less loaded of two random ones, by weight.
    LeastRequest,
    /// Of two random ones the one that answers sooner for what it has under way, by weight.
    PeakEwma {
        /// How long a slow answer is held against a backend; above zero.
        decay: Duration,
    },
    /// Maglev hashing.
    Hash {
        /// What is hashed.
        by: HashBy,
        /// By which part of its fair share a backend's load may exceed it, 0.0 to 1.0.
        bound: Option<f64>,
    },
    /// The backend that has served the target before.
    Locality(Locality),
}

impl Balance {
    /// What is hashed, where something is.
    pub fn hash_by(&self) -> Option<&HashBy> {
        match self {
            Self::Hash { by, .. } => Some(by),
            Self::Locality(locality) => Some(&locality.by),
            _ => None,
        }
    }

    /// The word in the policy.
    pub fn word(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastRequest => "least-request",
            Self::PeakEwma { .. } => "peak-ewma",
            Self::Hash { .. } => "hash",
            Self::Locality(_) => "locality",
        }
    }
}

/// `pool.hash`: what is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    ClientIp,
    /// The request's path.
    Path,
    /// The value of a header field (lower-case name).
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a query parameter.
    Query(String),
}

/// `pool.locality`. Loads are requests under way, for a backend of the pool's mean weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality {
    /// What a target is.
    pub by: HashBy,
    /// A backend with less has room; at least 1.
    pub low: u32,
    /// With more, a target gets one more backend; at least `low`.
    pub high: u32,
    /// After so long without a new backend, a target that has several loses one.
    pub decay: Duration,
    /// Targets that are remembered; at least 1.
    pub targets: usize,
}
