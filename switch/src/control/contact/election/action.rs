//! What an election asks for.

use std::net::IpAddr;

use crate::control::contact::group::Role;

/// One thing to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put the addresses on the network and announce them.
    Acquire,
    /// Take the addresses off the network.
    Release {
        /// Who holds them now: connections that are open may go on if it passes their segments on.
        to: Option<IpAddr>,
    },
    /// Tell the neighbours again where the addresses are.
    Announce,
    /// Send an advert with this priority to all members.
    Advertise(u8),
    /// Tell this peer to take over now.
    Yield(IpAddr),
    /// Ask this peer to hand over.
    Request(IpAddr),
    /// This switch has another role from now on.
    Became(Role, Why),
    /// Another switch held the addresses at the same time.
    Conflict(IpAddr),
}

/// Why a role has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The switch has joined the group.
    Start,
    /// The holder's adverts have ceased.
    Silence,
    /// The holder has died or has left.
    Death,
    /// The holder has handed over.
    Handover,
    /// A new process goes on with the old one's role.
    Upgrade,
    /// This switch has handed over.
    Yield,
    /// Another holder is preferred.
    Conflict,
    /// This switch cannot serve.
    Fault,
    /// The process ends, or the group has gone from the policy.
    Stop,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Silence,
        Self::Death,
        Self::Handover,
        Self::Upgrade,
        Self::Yield,
        Self::Conflict,
        Self::Fault,
        Self::Stop,
    ];

    /// The word of metrics and events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Silence => "silence",
            Self::Death => "death",
            Self::Handover => "handover",
            Self::Upgrade => "upgrade",
            Self::Yield => "yield",
            Self::Conflict => "conflict",
            Self::Fault => "fault",
            Self::Stop => "stop",
        }
    }

    /// In words for the operator.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "it has joined the group",
            Self::Silence => "nobody advertised the addresses",
            Self::Death => "the holder has died or left",
            Self::Handover => "the holder has handed over",
            Self::Upgrade => "the process before has handed over",
            Self::Yield => "it has handed over",
            Self::Conflict => "another holder is preferred",
            Self::Fault => "it cannot serve",
            Self::Stop => "it is told to leave",
        }
    }
}
