use std::ops::RangeInclusive;
use std::time::Duration;

/// `route.retry`
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Backends that a request is tried on at most, the first one counted; never the same one twice.
    pub attempts: u32,
    /// After which failures, as far as that is safe.
    pub on: RetryOn,
    /// Further tries at most, as a share of the pool's requests, 0.0 to 1.0.
    pub budget: f64,
    /// From the choice of a backend to the end of its answer's head; `None`: no limit of its own.
    pub per_try: Option<Duration>,
    /// When another backend is asked as well; `None`: never.
    pub hedge: Option<Hedge>,
    /// Also try methods that are not idempotent again when they may have reached the backend.
    pub unsafe_methods: bool,
}

/// `retry.hedge`: when another backend is asked as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After so long.
    After(Duration),
    /// After what this share of the pool's answers do not exceed.
    Quantile(Quantile),
}

/// A share of the pool's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// Half of them.
    P50,
    /// 75 %.
    P75,
    /// 90 %.
    P90,
    /// 95 %.
    P95,
    /// 99 %.
    P99,
}

impl Quantile {
    /// All of them, in order.
    pub const ALL: [Quantile; 5] = [
        Quantile::P50,
        Quantile::P75,
        Quantile::P90,
        Quantile::P95,
        Quantile::P99,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P75 => "p75",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The share, 0.0 to 1.0.
    pub fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P75 => 0.75,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
        }
    }
}

/// `retry.on`: after which failures another backend is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection came about.
    pub connect: bool,
    /// The backend ended the connection before its answer.
    pub reset: bool,
    /// No answer came in time.
    pub timeout: bool,
    /// Answers of these status codes.
    pub statuses: Vec<RangeInclusive<u16>>,
}

impl RetryOn {
    /// Whether an answer of this status code is one of those.
    pub fn has_status(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(&status))
    }
}
