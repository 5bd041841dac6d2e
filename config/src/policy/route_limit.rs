use super::Rate;

/// `route.limit`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLimit {
    /// How many requests may come, evenly spread.
    pub rate: Rate,
    /// How many may come at once after a pause.
    pub burst: u32,
    /// What is counted by itself.
    pub by: LimitBy,
}

/// `route.limit.by`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitBy {
    /// Each client's address.
    ClientIp,
    /// Each value of a header field (lower-case name); without it, each client's address.
    Header(String),
    /// All requests together.
    Route,
}
