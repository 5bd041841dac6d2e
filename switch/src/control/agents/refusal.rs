//! Why an agent is not taken.

use std::net::IpAddr;

use pointsman_backend::protocol::message::Refused;

/// What stands in the way of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The policy has no such pool.
    UnknownPool(String),
    /// The pool does not take servers from agents.
    NotByAgents(String),
    /// The agent connects from elsewhere, and may not speak for that address.
    ForeignAddress {
        /// What it wants to register.
        address: IpAddr,
        /// Where it connects from.
        from: IpAddr,
    },
    /// The pool is a direct one, and serves another port: the second one, for example.
    WrongPort(u16, u16),
    /// Another server has the name.
    NameTaken(String),
    /// There are as many servers as may be.
    TooMany(usize),
    /// Another session has registered the same server.
    Replaced,
    /// Agents may not register here any more.
    Closed,
}

impl Refusal {
    /// For metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::UnknownPool(_) => "unknown-pool",
            Self::NotByAgents(_) => "not-by-agents",
            Self::ForeignAddress { .. } => "foreign-address",
            Self::WrongPort(..) => "wrong-port",
            Self::NameTaken(_) => "name-taken",
            Self::TooMany(_) => "too-many",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
        }
    }

    /// In words for the agent's operator.
    pub(super) fn text(&self) -> String {
        match self {
            Self::UnknownPool(pool) => format!("the policy has no pool `{pool}`"),
            Self::NotByAgents(pool) => format!(
                "the pool `{pool}` takes no servers from agents: write discover = {{ agents = true }} \
                 in [pool.{pool}]"
            ),
            Self::ForeignAddress { address, from } => format!(
                "{address} is not the address that the agent connects from ({from}): connect from \
                 it, or allow its network in `addresses` of [agents]"
            ),
            Self::WrongPort(port, served) => format!(
                "packets of direct return arrive as clients sent them: the server has to listen on \
                 the pool's port, such as {served}, and not on {port}"
            ),
            Self::NameTaken(name) => format!(
                "another server of the pool is called `{name}`: give this one another --name"
            ),
            Self::TooMany(most) => {
                format!("agents have registered {most} servers, and there may be no more")
            }
            Self::Replaced => {
                "another agent has registered this server: is there a second one?".to_owned()
            }
            Self::Closed => "the policy has no [agents] any more".to_owned(),
        }
    }

    pub(super) fn message(&self) -> Refused {
        Refused {
            reason: self.word().to_owned(),
            text: self.text(),
        }
    }
}
