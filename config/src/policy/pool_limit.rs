use std::time::Duration;

/// `pool.limit` and `pool.queue`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimit {
    /// Requests, or TCP connections, under way at a backend at most; not more than `connections`.
    pub requests: u32,
    /// Connections that are open to a backend at most, used or not.
    pub connections: Option<u32>,
    /// Whether less may be found to be enough.
    pub adaptive: bool,
    /// Where more of them wait.
    pub queue: Queue,
}

/// `pool.queue`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests that wait at most.
    pub size: usize,
    /// How long each waits at most.
    pub timeout: Duration,
}
