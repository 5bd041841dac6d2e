//! What two switches of a group say to each other over their session: typed messages, each bounded.
//! A message of a later version is passed over; a field of a later version is ignored.

use serde::{Deserialize, Serialize};

use super::heartbeat::HeartbeatKey;
use crate::control::contact::group::{GroupId, Role};
use crate::control::direct::mirror::FlowPart;
use crate::control::overlay::OverlayEntry;
use crate::control::standing::KnownEjection;
use crate::shared::quotas::Used;

/// Groups that one switch may be a member of.
pub const MAX_GROUPS: usize = 64;
/// Addresses of a group that are told: enough to know it from another one.
pub const MAX_ADDRESSES: usize = 8;
/// Bytes of an encoded message at most.
pub const MAX_MESSAGE: usize = 60_000;
/// Keys of one [`Message::TicketKeys`] at most.
pub const MAX_KEYS: usize = 8;
/// Clients of one [`Message::Quotas`] at most.
pub const MAX_QUOTAS: usize = 1000;
/// Backends of one [`Message::Ejections`] and orders of one [`Message::Overlay`] at most.
pub const MAX_BACKENDS: usize = 500;
/// Bytes of any one string at most.
pub const MAX_STRING: usize = 256;
/// Bytes of an operator's reason at most.
pub const MAX_REASON: usize = 1024;

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
        /// Each in base64; at most [`MAX_KEYS`].
        keys: Vec<String>,
    },
    /// How far clients have used up their rates.
    Quotas {
        /// Some clients, at most [`MAX_QUOTAS`]; the others follow in further messages.
        clients: Vec<Used>,
    },
    /// Backends that the sender has ejected.
    Ejections {
        /// Some of them, at most [`MAX_BACKENDS`]; the others follow in further messages.
        backends: Vec<KnownEjection>,
    },
    /// What an operator has laid over the sender's policy, or taken back.
    Overlay {
        /// Some of it, at most [`MAX_BACKENDS`]; the rest follows in further messages.
        orders: Vec<OverlayEntry>,
    },
    /// Connections of servers that are being drained and answer clients themselves.
    Flows(FlowPart),
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

impl Message {
    /// As JSON.
    ///
    /// # Errors
    /// What of it is beyond its bound.
    pub fn encode(&self) -> Result<Vec<u8>, &'static str> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|_| "a message cannot be encoded")?;
        if bytes.len() > MAX_MESSAGE {
            return Err("a message is too long");
        }
        Ok(bytes)
    }

    /// From JSON.
    ///
    /// # Errors
    /// What is wrong with it, or which bound it does not keep.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > MAX_MESSAGE {
            return Err("a message is too long");
        }
        let message: Self =
            serde_json::from_slice(bytes).map_err(|_| "a message cannot be understood")?;
        message.check()?;
        Ok(message)
    }

    /// How far clients have used up their rates, in as many messages as it takes. A quota with a
    /// name that is too long is left out.
    pub fn quotas(clients: impl IntoIterator<Item = Used>) -> Vec<Self> {
        let fits = |used: &Used| check_string(&used.name).is_ok();
        parts(clients, MAX_QUOTAS, fits)
            .map(|clients| Self::Quotas { clients })
            .collect()
    }

    /// Backends that are ejected, in as many messages as it takes. One with a name that is too long
    /// is left out.
    pub fn ejections(backends: impl IntoIterator<Item = KnownEjection>) -> Vec<Self> {
        let fits = |known: &KnownEjection| check_ejection(known).is_ok();
        parts(backends, MAX_BACKENDS, fits)
            .map(|backends| Self::Ejections { backends })
            .collect()
    }

    /// An operator's orders, in as many messages as it takes. One with a text that is too long is
    /// left out.
    pub fn overlay(orders: impl IntoIterator<Item = OverlayEntry>) -> Vec<Self> {
        let fits = |order: &OverlayEntry| check_order(order).is_ok();
        parts(orders, MAX_BACKENDS, fits)
            .map(|orders| Self::Overlay { orders })
            .collect()
    }

    /// What serde does not look at.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::State(state) => state.check(),
            Self::Yield(Yield { group, .. })
            | Self::Request { group }
            | Self::Released { group }
            | Self::RelayOver { group } => check_group(*group),
            Self::TicketKeys { keys } if keys.len() > MAX_KEYS => Err("there are too many keys"),
            Self::TicketKeys { keys } => keys.iter().try_for_each(|key| check_string(key)),
            Self::Quotas { clients } if clients.len() > MAX_QUOTAS => {
                Err("there are too many quotas")
            }
            Self::Quotas { clients } => {
                clients.iter().try_for_each(|used| check_string(&used.name))
            }
            Self::Ejections { backends } if backends.len() > MAX_BACKENDS => {
                Err("there are too many backends")
            }
            Self::Ejections { backends } => backends.iter().try_for_each(check_ejection),
            Self::Overlay { orders } if orders.len() > MAX_BACKENDS => {
                Err("there are too many orders")
            }
            Self::Overlay { orders } => orders.iter().try_for_each(check_order),
            Self::Flows(part) => part.check(),
            Self::Bye { .. } | Self::Unknown => Ok(()),
        }
    }
}

/// Of the items of one message, with room for what stands around them.
const ITEMS_BYTES: usize = MAX_MESSAGE - 64;

/// Parts of so many items at most, each small enough for a message. What does not fit is left out.
fn parts<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    fits: impl Fn(&T) -> bool,
) -> impl Iterator<Item = Vec<T>> {
    let mut parts = vec![];
    let (mut part, mut size) = (vec![], 0);
    for item in items {
        let bytes = serde_json::to_vec(&item).map_or(usize::MAX, |bytes| bytes.len() + 1);
        if bytes > ITEMS_BYTES || !fits(&item) {
            continue;
        }
        if part.len() == most || size + bytes > ITEMS_BYTES {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += bytes;
        part.push(item);
    }
    parts.push(part);
    parts.into_iter().filter(|part| !part.is_empty())
}

fn check_ejection(known: &KnownEjection) -> Result<(), &'static str> {
    let texts = [&known.pool, &known.backend, &known.address, &known.cause];
    texts.into_iter().try_for_each(|text| check_string(text))
}

fn check_order(order: &OverlayEntry) -> Result<(), &'static str> {
    if order.why.len() > MAX_REASON {
        return Err("a reason is too long");
    }
    let texts = [&order.pool, &order.backend, &order.order];
    texts.into_iter().try_for_each(|text| check_string(text))
}

fn check_string(string: &str) -> Result<(), &'static str> {
    match string.len() {
        0..=MAX_STRING => Ok(()),
        _ => Err("a string is too long"),
    }
}

fn check_group(group: GroupId) -> Result<(), &'static str> {
    match group.number {
        0 => Err("there is no group 0"),
        _ => Ok(()),
    }
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

impl Hello {
    fn check(&self) -> Result<(), &'static str> {
        check_string(&self.version)?;
        HeartbeatKey::from_base64(&self.heartbeat_key)
            .map(drop)
            .ok_or("the key of the heartbeats is none")
    }
}

/// How things stand at a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The digest of what the members' policies must have in common.
    pub digest: String,
    /// The sequence of the last heartbeat before: what later ones say is newer.
    #[serde(default)]
    pub sequence: u64,
    /// Pools of which at least one backend is up.
    pub pools_up: u32,
    /// The groups that it is a member of, at most [`MAX_GROUPS`].
    pub groups: Vec<MemberState>,
}

impl State {
    fn check(&self) -> Result<(), &'static str> {
        check_string(&self.digest)?;
        if self.groups.len() > MAX_GROUPS {
            return Err("there are too many groups");
        }
        self.groups.iter().try_for_each(MemberState::check)
    }
}

/// How a switch stands to a group, and by which address the others know it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// How it stands.
    #[serde(flatten)]
    pub state: GroupState,
    /// From which it sends adverts.
    pub source: std::net::IpAddr,
    /// The group's first addresses, [`MAX_ADDRESSES`] at most, without link-local ones, which many
    /// groups may have; empty: it does not tell.
    #[serde(default)]
    pub addresses: Vec<std::net::IpAddr>,
}

impl MemberState {
    /// Whether the group can be the same as another switch's: while a policy is being brought to all
    /// switches, some of the addresses may differ.
    pub fn fits(&self, other: &Self) -> bool {
        let untold = self.addresses.is_empty() || other.addresses.is_empty();
        untold || self.addresses.iter().any(|ip| other.addresses.contains(ip))
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.addresses.len() > MAX_ADDRESSES {
            return Err("a group has too many addresses");
        }
        check_group(self.state.group)
    }
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
