use super::HashBy;

/// `route.split`: each client is forwarded to one of several pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The pools and their weights, 0 to 1 000 000, in the order of the file; at least one weight is
    /// not 0.
    pub pools: Vec<(String, u32)>,
    /// What tells clients apart; for a request that does not have it, the client's address.
    pub by: HashBy,
}
