//! What the other switches, the neighbours and the kernel say.

use std::net::IpAddr;
use std::time::Instant;

use super::{Keeper, MAX_PACKETS};
use crate::control::contact::exchange::Heard;
use crate::control::contact::group::{GroupId, Role};
use crate::control::contact::host::Change;
use crate::control::contact::member::Member;
use crate::control::contact::mesh::{Mesh, News};
use crate::control::contact::peer::message::{Message, Yield};
use crate::metrics::Tally;

impl Keeper {
    /// What the other switches have said.
    pub(super) fn hear(&mut self, now: Instant) {
        let news = self.mesh.as_mut().map(Mesh::news).unwrap_or_default();
        for news in news {
            match news {
                News::Sight(group, from, sight) => {
                    if let Some(member) = self.member(group) {
                        if sight.role == Role::Active {
                            member.heard_holder(now);
                        }
                        member.election.saw(from, sight, now);
                    }
                }
                News::Message(peer, message) => self.hear_message(peer, message, now),
                News::Opened(peer) => {
                    self.changed = true;
                    self.note("peer-up", None, format!("there is a session with {peer}"));
                    self.share_with(peer, now);
                }
                News::Found(peer) => {
                    tracing::info!("switch {peer} is alive");
                    self.changed = true;
                }
                News::Policy(peer, differs) => self.policy_compared(peer, differs),
                News::Lost(peer, groups, why) => self.peer_lost(peer, groups, why, now),
            }
        }
    }

    fn policy_compared(&mut self, peer: IpAddr, differs: bool) {
        self.changed = true;
        if differs {
            let text = format!("switch {peer} runs another policy than this one");
            tracing::warn!("{text}");
            self.note("policy-differs", None, text);
        } else {
            let text = format!("switch {peer} runs the same policy as this one again");
            tracing::info!("{text}");
            self.note("policy-same", None, text);
        }
    }

    fn peer_lost(
        &mut self,
        peer: IpAddr,
        groups: Vec<(GroupId, IpAddr)>,
        why: &'static str,
        now: Instant,
    ) {
        let text = format!("switch {peer} is gone: {why}");
        tracing::warn!("{text}");
        self.note("peer-lost", None, text);
        for (group, address) in groups {
            self.clear_relays(group);
            if let Some(member) = self.member(group) {
                member.election.lost(address, now);
            }
        }
    }

    fn hear_message(&mut self, peer: IpAddr, message: Message, now: Instant) {
        match message {
            Message::Yield(Yield { group, relay_to }) => {
                let from = self
                    .mesh
                    .as_ref()
                    .and_then(|mesh| mesh.address_of(peer, group));
                if let Some(from) = from {
                    self.relay(group, relay_to);
                    if let Some(member) = self.member(group) {
                        member.election.told_to_take(from, now);
                    }
                }
            }
            Message::Request { group } => {
                let from = self
                    .mesh
                    .as_ref()
                    .and_then(|mesh| mesh.address_of(peer, group));
                if let (Some(from), Some(member)) = (from, self.member(group)) {
                    member.election.asked_for(from, now);
                }
            }
            Message::Released { group } => {
                if let Some(member) = self.member(group) {
                    member.election.heard_released();
                }
            }
            Message::RelayOver { group } => self.clear_relays(group),
            Message::TicketKeys { keys } => self.traffic.adopt_ticket_keys(&keys),
            Message::Quotas { clients } => self.traffic.merge_quotas(&clients),
            Message::Ejections { backends } => self.exchange.hear(Heard::Ejections(backends)),
            Message::Overlay { orders } => self.exchange.hear(Heard::Overlay(orders)),
            Message::Flows(part) => self.mirror.hear(peer, part),
            _ => {}
        }
    }

    /// What has become of interfaces and addresses.
    pub(super) fn read_links(&mut self, now: Instant) {
        for _ in 0..MAX_PACKETS {
            match self.links.next() {
                Ok(Some(change)) => self.link_changed(&change, now),
                Ok(None) => return,
                Err(error) => return tracing::debug!("rtnetlink: {error}"),
            }
        }
    }

    fn link_changed(&mut self, change: &Change, now: Instant) {
        match change {
            Change::Link {
                index, up, running, ..
            } => {
                for member in &mut self.members {
                    if let Some(place) = member.place.as_mut().filter(|p| p.link.index == *index) {
                        place.link.up = *up;
                        place.link.running = *running;
                        // Whether it can serve is judged anew at once.
                        self.checkup_at = now;
                    }
                }
            }
            Change::AddressGone { index, address } => {
                let gone = |member: &&mut Member| {
                    let place = member.place.as_ref();
                    let here = place.is_some_and(|place| place.index() == *index);
                    here && member.holds
                        && member
                            .plan
                            .addresses
                            .iter()
                            .any(|net| net.addr() == address.addr())
                };
                if let Some(member) = self.members.iter_mut().find(gone) {
                    tracing::warn!("somebody has taken {address} off: it is put back");
                    member.acquire(&self.host, now);
                }
            }
            Change::Overflow => self.checkup_at = now,
            _ => {}
        }
    }
}

/// The adverts of other members.
pub(super) fn read_adverts(
    member: &mut Member,
    mesh: Option<&Mesh>,
    dropped: &mut Tally<&'static str>,
    now: Instant,
) {
    for _ in 0..MAX_PACKETS {
        let Some(place) = &mut member.place else {
            return;
        };
        match place.next_advert(&member.plan) {
            None => return,
            // Others' groups are none of this switch's business.
            Some(Err("other-group")) => {}
            Some(Err(reason)) => dropped.add(reason, 1),
            Some(Ok(heard)) => {
                member.count_advert();
                if mesh.is_some_and(|mesh| mesh.vouches(member.id(), heard.from, now)) {
                    continue;
                }
                if heard.priority > 0 {
                    member.heard_holder(now);
                }
                member
                    .election
                    .advert(heard.from, heard.priority, heard.interval, now);
            }
        }
    }
}

/// Neighbours that claim an address which this switch holds.
pub(super) fn read_claims(member: &mut Member, now: Instant) {
    for _ in 0..MAX_PACKETS {
        let claim = member.place.as_mut().and_then(|place| place.next_claim());
        let Some(claim) = claim else { return };
        if member.is_settled(now) {
            member.contradict(&claim, now);
        }
    }
}
