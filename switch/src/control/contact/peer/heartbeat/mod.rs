//! Heartbeats: datagrams that tell the other switches that this one is alive and what it is.
//!
//! ```text
//! "PMhb"  version:8  flags:8  count:8  0:8  node:64  sequence:64
//! count x { number:8  family:8  role:8  priority:8 }
//! mac: the first 128 bits of HMAC-SHA256 (RFC 2104) over all of it
//! ```
//! Numbers are in network order. Whoever does not have the sender's key, which its Hello has brought,
//! can neither make up a heartbeat nor change one; the sequence keeps old ones from being sent again.

mod key;
mod socket;
#[cfg(test)]
mod tests;

pub use key::HeartbeatKey;
pub use socket::HeartbeatSocket;

use super::message::{GroupState, MAX_GROUPS};
use crate::control::contact::group::{Family, GroupId, Role};

/// Bytes of the longest heartbeat.
pub const MAX_HEARTBEAT: usize = HEAD + MAX_GROUPS * GROUP + MAC;

const MAGIC: [u8; 4] = *b"PMhb";
const VERSION: u8 = 1;
const LEAVING: u8 = 1;

const HEAD: usize = 24;
const GROUP: usize = 4;
/// Truncated as RFC 2104, 5 allows.
const MAC: usize = 16;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose: the node of the sender's Hello.
    pub node: u64,
    /// From 1 on, greater with each heartbeat of a process.
    pub sequence: u64,
    /// The sender is about to leave.
    pub leaving: bool,
    /// How it stands to the groups that it is a member of; the first [`MAX_GROUPS`] count.
    pub groups: Vec<GroupState>,
}

impl Heartbeat {
    /// Into a buffer that the next one can use again; what was in it goes.
    pub fn encode(&self, key: &HeartbeatKey, out: &mut Vec<u8>) {
        let groups = &self.groups[..self.groups.len().min(MAX_GROUPS)];
        out.clear();
        out.extend_from_slice(&MAGIC);
        let flags = if self.leaving { LEAVING } else { 0 };
        out.extend_from_slice(&[VERSION, flags, groups.len() as u8, 0]);
        out.extend_from_slice(&self.node.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        for state in groups {
            out.extend_from_slice(&encode_group(state));
        }
        let mac = key.mac(out);
        out.extend_from_slice(&mac);
    }

    /// Whose heartbeat it says it is, to find the key with which [`Heartbeat::decode`] sees whether
    /// that is so: for a moment of an upgrade, one address has two senders.
    pub fn claims(bytes: &[u8]) -> Option<u64> {
        let (head, _) = head(bytes).ok()?;
        Some(number(&head[8..]))
    }

    /// From a datagram. `last_sequence` is that of the last heartbeat with this key, 0 before the
    /// first; it stays with the key when a session ends and the same process opens another one.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn decode(bytes: &[u8], key: &HeartbeatKey, last_sequence: u64) -> Result<Self, Discard> {
        let (head, rest) = head(bytes)?;
        let (signed, mac) = bytes.split_at(bytes.len() - MAC);
        if !key.fits(signed, mac) {
            return Err(Discard::Forged);
        }
        let sequence = number(&head[16..]);
        if sequence <= last_sequence {
            return Err(Discard::Replayed);
        }
        let (groups, _) = rest[..rest.len() - MAC].as_chunks::<GROUP>();
        Ok(Self {
            node: number(&head[8..]),
            sequence,
            leaving: head[5] & LEAVING != 0,
            groups: groups
                .iter()
                .map(decode_group)
                .collect::<Option<_>>()
                .ok_or(Discard::Malformed)?,
        })
    }
}

/// Why a datagram does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// It is no heartbeat.
    Malformed,
    /// It is one of another version.
    Version,
    /// It is not from whom it says, or was changed.
    Forged,
    /// It, or a later one, has been there before.
    Replayed,
}

impl Discard {
    /// For metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
        }
    }
}

/// The head, and what follows it. The length is right.
fn head(bytes: &[u8]) -> Result<(&[u8; HEAD], &[u8]), Discard> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Discard::Malformed)?;
    if head[..4] != MAGIC {
        return Err(Discard::Malformed);
    }
    if head[4] != VERSION {
        return Err(Discard::Version);
    }
    let count = usize::from(head[6]);
    if count > MAX_GROUPS || rest.len() != count * GROUP + MAC {
        return Err(Discard::Malformed);
    }
    Ok((head, rest))
}

fn number(bytes: &[u8]) -> u64 {
    let eight = bytes.first_chunk().expect("the head is longer");
    u64::from_be_bytes(*eight)
}

fn encode_group(state: &GroupState) -> [u8; GROUP] {
    let family = match state.group.family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    };
    let role = match state.role {
        Role::Active => 1,
        Role::Standby => 2,
        Role::Out => 3,
    };
    [state.group.number, family, role, state.priority]
}

fn decode_group(bytes: &[u8; GROUP]) -> Option<GroupState> {
    let [number, family, role, priority] = *bytes;
    if number == 0 {
        return None;
    }
    let family = match family {
        4 => Family::Ipv4,
        6 => Family::Ipv6,
        _ => return None,
    };
    let role = match role {
        1 => Role::Active,
        2 => Role::Standby,
        3 => Role::Out,
        _ => return None,
    };
    let group = GroupId { number, family };
    Some(GroupState {
        group,
        role,
        priority,
    })
}
