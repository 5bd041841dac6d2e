//! What `pointsman status` tells of agents.

use pointsman_backend::protocol::message::Mode;
use serde::{Deserialize, Serialize};

use super::Registrar;
use super::roll::Member;
use crate::control::clock::rfc3339;

/// A server that an agent has registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The pool.
    pub pool: String,
    /// The server's name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// `ready`; `not-ready`; `leaving` after its farewell; `lost` while its agent is waited for.
    pub state: String,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The weight that the agent gives it, 0 to 1000.
    pub weight: u32,
    /// `proxy` or `direct`; `unknown` while its agent has not come to this process.
    pub mode: String,
    /// Contact addresses that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// Where the agent connects from.
    pub from: Option<String>,
    /// The agent's version.
    pub version: String,
    /// Since when it is registered.
    pub since: String,
}

impl Registrar {
    /// Every registered server.
    pub fn status(&self) -> Vec<AgentStatus> {
        let roll = self.roll();
        let members = roll.members();
        members.map(|(pool, member)| of(pool, member)).collect()
    }
}

fn of(pool: &str, member: &Member) -> AgentStatus {
    let holds = member.standing.holds.iter();
    AgentStatus {
        pool: pool.to_owned(),
        name: member.name.clone(),
        address: member.address.to_string(),
        state: member.state().to_owned(),
        why: match member.standing.ready {
            true => String::new(),
            false => member.standing.why.clone(),
        },
        weight: member.standing.weight,
        mode: match member.mode {
            Mode::Proxy => "proxy".to_owned(),
            Mode::Direct => "direct".to_owned(),
            Mode::Unknown => "unknown".to_owned(),
        },
        holds: holds.map(ToString::to_string).collect(),
        from: member.from.map(|from| from.to_string()),
        version: member.version.clone(),
        since: rfc3339(member.since),
    }
}
