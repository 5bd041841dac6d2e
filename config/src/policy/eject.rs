use std::time::Duration;

/// `pool.eject`: when a backend is taken out for what clients get from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Eject {
    /// Errors in a row that take a backend out; at least 1.
    pub errors: u32,
    /// The first time out (`for`).
    pub base: Duration,
    /// The longest time out (`for_max`); at least `base`.
    pub longest: Duration,
    /// The share of the pool that may be out at once (`max`), 0.0 to 1.0.
    pub most: f64,
    /// The rule about shares of errors, unless it is turned off.
    pub ratio: Option<ErrorRatio>,
}

/// `eject.ratio` and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRatio {
    /// The share of errors that takes a backend out, 0.0 to 1.0.
    pub share: f64,
    /// The time over which it is taken.
    pub window: Duration,
    /// Requests within that time below which it says nothing; at least 1.
    pub requests: u64,
}

/// `pool.panic` and `pool.panic_below`: where requests go when too few backends are healthy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Panic {
    /// To all backends but those that are known to refuse connections; otherwise to those that are
    /// left.
    pub spread: bool,
    /// The share of healthy backends below which it holds, 0.0 to 1.0.
    pub below: f64,
}
