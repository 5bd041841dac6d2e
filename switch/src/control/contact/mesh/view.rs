//! What is known of the others, for those who ask.

use std::net::IpAddr;
use std::time::Instant;

use super::Mesh;
use super::link::Link;
use crate::control::clock::rfc3339;
use crate::control::contact::group::GroupId;
use crate::control::contact::status::PeerStatus;
use crate::metrics::{PeerFigures, Tally};

impl Mesh {
    /// Whether how the switch at this address stands is known from itself, at this moment: what
    /// anybody could have sent need not be believed then.
    pub(in super::super) fn vouches(&self, group: GroupId, address: IpAddr, now: Instant) -> bool {
        let limit = self.plan.heartbeat * self.plan.misses;
        self.links.iter().any(|link| {
            let is_heard = link.heard.is_some_and(|heard| now < heard + limit);
            is_heard && link.is_alive && link.address_in(group) == Some(address)
        })
    }

    /// The peer that sends the group's adverts from this address.
    pub(in super::super) fn peer_at(&self, group: GroupId, address: IpAddr) -> Option<IpAddr> {
        let link = self
            .links
            .iter()
            .find(|link| link.address_in(group) == Some(address));
        link.map(|link| link.peer)
    }

    /// From which address the peer sends the group's adverts.
    pub(in super::super) fn address_of(&self, peer: IpAddr, group: GroupId) -> Option<IpAddr> {
        self.links
            .iter()
            .find(|link| link.peer == peer)?
            .address_in(group)
    }

    /// Pools of which a backend is up, at the peer that sees the most.
    pub(in super::super) fn pools_up(&self) -> u32 {
        let alive = self.links.iter().filter(|link| link.is_alive);
        let states = alive.filter_map(|link| link.state.as_ref());
        // Of another policy it may have more pools.
        let same = states.filter(|state| state.digest == self.own.digest);
        same.map(|state| state.pools_up).max().unwrap_or(0)
    }

    /// Whether there is a session with every other switch.
    pub(in super::super) fn is_complete(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(Link::is_open)
    }

    /// What was thrown away, by the word for why.
    pub(in super::super) fn dropped(&self) -> &Tally<&'static str> {
        &self.dropped
    }

    /// For `status`.
    pub(in super::super) fn status(&self, now: Instant) -> Vec<PeerStatus> {
        let own = &self.own.digest;
        let status = self.links.iter().map(|link| PeerStatus {
            address: link.peer.to_string(),
            state: link.word().to_owned(),
            since: rfc3339(link.since),
            version: link.version.clone(),
            policy: match link.differs(own) {
                None => "unknown",
                Some(false) => "same",
                Some(true) => "differs",
            }
            .to_owned(),
            silence: link.heard.map_or(0.0, |heard| {
                now.saturating_duration_since(heard).as_secs_f64()
            }),
            losses: link.losses,
            why: link.why.clone(),
        });
        status.collect()
    }

    /// For the metrics.
    pub(in super::super) fn figures(&self) -> Vec<PeerFigures> {
        let figures = self.links.iter().map(|link| PeerFigures {
            peer: link.peer.to_string(),
            up: link.is_alive,
            policy_differs: link.differs(&self.own.digest),
            losses: link.losses,
        });
        figures.collect()
    }
}
