//! What two switches of a group say to each other over their session: typed messages, each bounded.
//! A message of a later version is passed over; a field of a later version is ignored.

use serde::{Deserialize, Serialize};

use crate::control::contact::group::{GroupId, Role};

/// Groups that one switch may be a member of.
pub const MAX_GROUPS: usize = 64;
/// Bytes of an encoded message at most.
pub const MAX_MESSAGE: usize = 60_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// The first one in each direction.
    Hello(Hello),
    /// How things stand; sent whenever something of it changes, and once a second.
    State(State),
    /// "Take over now": the sender goes on serving until it sees that the receiver does.
    Yield(Yield),
    /// "You hold what I am preferred for: hand it to me."
    Request {
        /// What is asked for.
        group: GroupId,
    },
    /// The sender has taken its addresses off the network.
    Released {
        /// Whose.
        group: GroupId,
    },
    /// The connections of before are over: nothing needs to be passed on to the sender any more.
    RelayOver {
        /// Whose.
        group: GroupId,
    },
    /// The session ends in order: its end does not mean that the sender has died.
    Bye {
        /// For so long a successor may be on its way, in milliseconds; 0: none is.
        successor: u32,
    },
    /// Keys of TLS session tickets (RFC 5077), the newest first.
    TicketKeys {
        /// Each in base64.
        keys: Vec<String>,
    },
    /// How far clients have used up their rates.
    Quotas {
        /// Some clients; the others follow in further messages.
        clients: Vec<Quota>,
    },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The program's version.
    pub version: String,
    /// Drawn at random when the process started.
    pub node: u64,
    /// With which the sender's heartbeats are authenticated, 32 bytes in base64.
    pub heartbeat_key: String,
}

/// How things stand at a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The digest of what the members' policies must have in common.
    pub digest: String,
    /// Pools of which at least one backend is up.
    pub pools_up: u32,
    /// The groups that it is a member of.
    pub groups: Vec<GroupState>,
}

/// How a switch stands to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// Which.
    pub group: GroupId,
    /// What it is.
    pub role: Role,
    /// The priority that it stands with now, 0 to 255.
    pub priority: u8,
}

/// "Take over now."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yield {
    /// What.
    pub group: GroupId,
    /// The sender's link-layer address, 6 bytes: segments of connections that the receiver does not
    /// know go there, until [`Message::RelayOver`]. `None`: nothing is to be passed on.
    pub relay_to: Option<[u8; 6]>,
}

/// How far a client has used up its rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The listener's name.
    pub listener: String,
    /// The client's address or network.
    pub client: std::net::IpAddr,
    /// When all that it has asked for would have been due, in milliseconds from now.
    pub due: u32,
}
