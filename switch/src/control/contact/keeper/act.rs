//! What the elections ask for, done.

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use super::{Keeper, REPEAT};
use crate::control::contact::election::Action;
use crate::control::contact::ghosts::Laid;
use crate::control::contact::group::{GroupId, Role};
use crate::control::contact::peer::message::{Message, Yield};
use crate::control::contact::place::Place;
use crate::control::contact::relay::Relay;

impl Keeper {
    /// One action of the member at this place.
    pub(super) fn act(&mut self, at: usize, action: Action, now: Instant) {
        match action {
            Action::Acquire => self.acquire(at, now),
            Action::Release { to } => self.release(at, to, now),
            Action::Announce => self.announce(at, now),
            Action::Advertise(priority) => self.members[at].advertise(priority),
            Action::Yield(to) => self.yield_to(at, to),
            Action::Request(from) => {
                let group = self.members[at].id();
                self.send(group, from, &Message::Request { group });
            }
            Action::Became(role, why) => {
                let line = self.members[at].became(role, why, now);
                let group = self.members[at].id();
                tracing::info!("{line}");
                self.note(role.word(), Some(group), line);
                // The others hear of it before anything else is done.
                let state = self.own_state();
                if let Some(mesh) = &mut self.mesh {
                    mesh.set_own(state, now);
                }
            }
            Action::Conflict(with) => self.conflict(at, with, now),
        }
    }

    fn acquire(&mut self, at: usize, now: Instant) {
        let group = self.members[at].id();
        self.members[at].acquire(&self.host, now);
        // On the interface, the addresses have taken up their connections already.
        if let Some(laid) = self.ghosts.end_of(&mut self.host, group) {
            self.lay(&[laid]);
        }
    }

    fn announce(&mut self, at: usize, now: Instant) {
        let member = &mut self.members[at];
        member.announce(now);
        if let Some(place) = member
            .place
            .as_ref()
            .filter(|_| !member.election.is_yielding())
        {
            // Nobody has taken them.
            let nets = place.all_as_put(&member.plan.addresses);
            self.ghosts.calm(&mut self.host, place.index(), &nets);
        }
    }

    /// Softly where the new holder passes on what it does not know.
    fn release(&mut self, at: usize, to: Option<IpAddr>, now: Instant) {
        let member = &mut self.members[at];
        let group = member.id();
        let Some(place) = &member.place else {
            // The addresses have gone with the interface.
            return member.let_go();
        };
        let peer = to.and_then(|to| self.mesh.as_ref()?.peer_at(group, to));
        match to.filter(|_| peer.is_some()) {
            Some(to) => {
                let nets = place.all_as_put(&member.plan.addresses);
                let where_to = (place.link.name.as_str(), place.index());
                let until = now + self.plan.drain;
                let what = (group, nets);
                self.ghosts
                    .begin(&mut self.host, where_to, what, to, (now, until));
                self.traffic.ask_to_leave(self.plan.drain / 2);
            }
            None => {
                place.release(&self.host, &member.plan.addresses);
                let (index, nets) = (place.index(), place.all_as_put(&member.plan.addresses));
                self.ghosts.calm(&mut self.host, index, &nets);
            }
        }
        member.let_go();
        if let Some(mesh) = &mut self.mesh {
            mesh.send_all(&Message::Released { group });
        }
    }

    fn yield_to(&mut self, at: usize, to: IpAddr) {
        let member = &self.members[at];
        let group = member.id();
        let Some(place) = &member.place else { return };
        let (name, index) = (place.link.name.clone(), place.index());
        let nets = place.all_as_put(&member.plan.addresses);
        let quiet = self.ghosts.prepare(&mut self.host, (&name, index), &nets);
        if let Err(error) = &quiet {
            tracing::warn!(
                "group {group}: open connections will not outlive the handover: {error}"
            );
        }
        let message = Message::Yield(Yield {
            group,
            relay_to: quiet.is_ok().then(|| place.mac()),
        });
        self.send(group, to, &message);
    }

    fn send(&mut self, group: GroupId, address: IpAddr, message: &Message) {
        if let Some(mesh) = &mut self.mesh
            && let Some(peer) = mesh.peer_at(group, address)
        {
            mesh.send(peer, message);
        }
    }

    fn conflict(&mut self, at: usize, with: IpAddr, now: Instant) {
        let member = &mut self.members[at];
        member.count_conflict();
        if self.conflict_told.is_some_and(|told| now < told + REPEAT) {
            return;
        }
        self.conflict_told = Some(now);
        let (group, held) = (member.id(), member.election.role());
        let outcome = match held {
            Role::Active => "it is told to give way",
            _ => "it is preferred, so this switch gives way",
        };
        let text = format!("group {group}: {with} holds the addresses, too: {outcome}");
        tracing::warn!("{text}");
        self.note("conflict", Some(group), text);
    }

    /// The connections of before are over: whoever passes their segments on need not any more.
    pub(super) fn lay(&mut self, laid: &[Laid]) {
        for Laid { group, by } in laid {
            self.changed = true;
            self.send(*group, *by, &Message::RelayOver { group: *group });
        }
    }

    /// Passes segments of connections that are not known here on to the switch with this
    /// link-layer address.
    pub(super) fn relay(&mut self, group: GroupId, to: Option<[u8; 6]>) {
        let Some(to) = to else { return };
        self.relaying.insert(group, to);
        let Some(member) = self.members.iter().find(|member| member.id() == group) else {
            return;
        };
        let index = member.place.as_ref().map(Place::index);
        let Some(relay) = index.and_then(|index| self.relays.get_mut(&index)) else {
            return;
        };
        for net in &member.plan.addresses {
            if let Err(error) = relay.set(net.addr(), to) {
                tracing::warn!("connections to {net} are not passed on: {error}");
            }
        }
    }

    /// Passes nothing on any more.
    pub(super) fn clear_relays(&mut self, group: GroupId) {
        if self.relaying.remove(&group).is_none() {
            return;
        }
        let Some(member) = self.members.iter().find(|member| member.id() == group) else {
            return;
        };
        let addresses = member.plan.addresses.iter().map(IpNet::addr);
        for ip in addresses.collect::<Vec<_>>() {
            for relay in self.relays.values_mut() {
                if let Err(error) = relay.clear(ip) {
                    tracing::warn!("{ip} is still passed on: {error}");
                }
            }
        }
    }

    /// Loads the program early: that takes some ten milliseconds. It stands where the addresses do,
    /// and passes on through the interface.
    pub(super) fn attach_relay(&mut self, place: &Place) {
        let (name, at) = (place.name(), place.index());
        if self.relays.contains_key(&at) {
            return;
        }
        match Relay::attach(name, place.link.index, place.mac()) {
            Ok(relay) => drop(self.relays.insert(at, relay)),
            Err(error) => tracing::warn!(
                "{name}: open connections of another switch cannot be passed on at a handover: \
                 {error}"
            ),
        }
    }
}
