use std::time::Duration;

use ipnet::IpNet;

use super::{BindAddr, Secret};

/// `[agents]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// Where agents connect; none of them is a Unix socket.
    pub listen: Vec<BindAddr>,
    /// What agents and switch authenticate each other with.
    pub secret: Secret,
    /// The networks that agents may connect from; empty: all.
    pub from: Vec<IpNet>,
    /// Networks whose addresses any agent may register, beside the one that it connects from.
    pub addresses: Vec<IpNet>,
    /// How long a server stays when the session of its agent is lost.
    pub grace: Duration,
}
