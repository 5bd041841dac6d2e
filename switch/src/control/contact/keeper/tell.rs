//! What the thread tells: the other switches, the guardian, the operator.

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use super::{Keeper, Phase, REOPEN, TELL};
use crate::control::contact::exchange::Exchange;
use crate::control::contact::fitness::Signs;
use crate::control::contact::group::{GroupId, Role};
use crate::control::contact::host::{Charge, Held};
use crate::control::contact::member::Member;
use crate::control::contact::mesh::Mesh;
use crate::control::contact::peer::message::{GroupState, MemberState, Message, State};
use crate::control::contact::place::Place;
use crate::control::contact::relay::Relay;
use crate::control::contact::relay::soft::LOOPBACK;
use crate::control::contact::routed::Routed;
use crate::control::contact::status::ContactEvent;
use crate::metrics::ContactFigures;

impl Keeper {
    /// How this switch stands.
    pub(super) fn own_state(&self) -> State {
        let groups = self.members.iter().filter_map(|member| {
            Some(MemberState {
                state: GroupState {
                    group: member.id(),
                    role: member.election.role(),
                    priority: member.election.priority(),
                },
                source: member.place.as_ref()?.own,
                addresses: member.told_addresses(),
            })
        });
        State {
            digest: self.plan.digest.clone(),
            sequence: 0,
            pools_up: self.traffic.pools_up(),
            groups: groups.collect(),
        }
    }

    /// Looks at whether this switch can serve, and says so to the elections.
    pub(super) fn check_up(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Serves) {
            return;
        }
        let mut signs = Signs {
            link: true,
            ready: self.traffic.is_ready(),
            listens: self.traffic.listens(),
            pulse: self.traffic.pulse(),
            pools_up: self.traffic.pools_up(),
            peers_see: self.mesh.as_ref().map_or(0, Mesh::pools_up),
        };
        for member in &mut self.members {
            signs.link = member
                .place
                .as_ref()
                .is_some_and(|place| place.link.running);
            let (fitness, why) = self.physician.judge(&signs, now);
            if member.fault != why {
                self.changed = true;
                if let Some(why) = why.filter(|_| member.election.role() != Role::Out) {
                    tracing::warn!("group {}: this switch gives way: {why}", member.id());
                }
            }
            member.fault = why;
            member.election.set_fitness(fitness, now);
            member.election.start(now);
        }
        signs.link = true;
        if self.mesh.is_none() {
            // Nobody tells: others that are routed to may well reach what this one does not.
            signs.peers_see = u32::from(self.plan.has_pools);
        }
        let (_, fault) = self.route_physician.judge(&signs, now);
        self.route(fault.or(self.routed_yielded.then_some("the operator gave it up")));
        self.share(now);
    }

    /// Routes are there, or why they are not to be.
    fn route(&mut self, fault: Option<&'static str>) {
        let wanted = fault.is_none();
        let mut events = Vec::new();
        for routed in self
            .routed
            .iter_mut()
            .filter(|routed| routed.is_announced != wanted)
        {
            let addresses: Vec<_> = routed
                .plan
                .addresses
                .iter()
                .map(IpAddr::to_string)
                .collect();
            let addresses = addresses.join(", ");
            if let Some(why) = fault {
                routed.withdraw(&self.host, why);
                let text = format!("{addresses}: the route is withdrawn: {why}");
                events.push(("withdrawn", text));
                continue;
            }
            match routed.announce(&self.host) {
                Ok(()) => events.push(("announced", format!("{addresses}: there is a route"))),
                Err(error) => tracing::error!("{addresses} cannot be announced: {error}"),
            }
        }
        for (event, text) in events {
            self.changed = true;
            tracing::info!("{text}");
            self.note(event, None, text);
        }
    }

    /// Opens interfaces that have come back.
    pub(super) fn reopen(&mut self, now: Instant) {
        if now < self.reopen_at || !matches!(self.phase, Phase::Serves) {
            return;
        }
        self.reopen_at = now + REOPEN;
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            let found = self.host.link(&member.plan.interface).ok().flatten();
            let is_there = match (&mut member.place, found) {
                (Some(place), Some(link)) if place.link.index == link.index => {
                    place.link.running = link.running;
                    true
                }
                _ => false,
            };
            if is_there {
                continue;
            }
            member.place = None;
            if let Ok(place) = Place::open(&self.host, &member.plan, false) {
                let settings = member.plan.settings(place.own);
                member.election.change(settings, now);
                self.attach_relay(&place);
                self.members[at].place = Some(place);
            }
        }
    }

    /// Connections that the others cannot find by themselves.
    fn share_flows(&mut self) {
        let members = self.members.iter().filter(|member| member.holds);
        let members = members.flat_map(|member| &member.plan.addresses);
        let routed = self.routed.iter().filter(|routed| routed.is_announced);
        let routed = routed.flat_map(|routed| &routed.plan.addresses);
        let held = members.map(IpNet::addr).chain(routed.copied());
        self.mirror.hold(self.mesh.as_ref().map(|_| held.collect()));
        if let Some(mesh) = &mut self.mesh {
            mesh.tell_flows(&self.mirror.telling());
        }
    }

    /// State that the others cannot know by themselves.
    fn share(&mut self, now: Instant) {
        self.share_flows();
        let Some(mesh) = &mut self.mesh else { return };
        let version = self.traffic.ticket_version();
        if version != self.shared_tickets {
            self.shared_tickets = version;
            mesh.send_all(&Message::TicketKeys {
                keys: self.traffic.ticket_keys(),
            });
        }
        for message in Message::quotas(self.traffic.quotas(now)) {
            mesh.send_all(&message);
        }
        let version = self.exchange.version();
        if version != self.exchanged {
            self.exchanged = version;
            for message in told(&self.exchange, now) {
                mesh.send_all(&message);
            }
        }
    }

    /// The same, to one that has just come.
    pub(super) fn share_with(&mut self, peer: IpAddr, now: Instant) {
        let keys = self.traffic.ticket_keys();
        if let Some(mesh) = &mut self.mesh {
            mesh.send(peer, &Message::TicketKeys { keys });
            for message in told(&self.exchange, now) {
                mesh.send(peer, &message);
            }
        }
    }

    /// Tells the guardian what to take off the network should this process die.
    pub(super) fn charge(&mut self) {
        if !self.changed {
            return;
        }
        let charge = self.wanted_charge();
        if charge != self.charged {
            if let Err(error) = self.guardian.charge(&charge) {
                tracing::warn!("no guardian would release the addresses: {error}");
            }
            self.charged = charge;
        }
    }

    fn wanted_charge(&self) -> Charge {
        let mut charge = Charge::default();
        let ghosts = self.ghosts.addresses().map(|ip| Held {
            index: LOOPBACK,
            net: IpNet::from(ip),
        });
        charge.addresses.extend(ghosts);
        if matches!(self.phase, Phase::Bequeathed | Phase::Waits) {
            return charge;
        }
        if let Some(mesh) = &self.mesh {
            charge.farewells.extend(mesh.farewells());
        }
        charge
            .addresses
            .extend(self.routed.iter().flat_map(Routed::held));
        for member in &self.members {
            let Some(place) = &member.place else { continue };
            charge.links.extend(place.device());
            if member.holds {
                let held = member.plan.addresses.iter().map(|net| Held {
                    index: place.index(),
                    net: place.as_put(*net),
                });
                charge.addresses.extend(held);
                charge.farewells.extend(place.farewells(&member.plan));
            }
        }
        charge
    }

    /// An event for `status`.
    pub(super) fn note(&mut self, event: &str, group: Option<GroupId>, text: String) {
        let group = group.map(|group| group.to_string());
        self.board.tell(ContactEvent::now(event, group, text));
    }

    /// Tells status and metrics how things stand.
    pub(super) fn tell(&mut self, now: Instant) {
        if now < self.tell_at && !self.changed {
            return;
        }
        self.tell_at = now + TELL;
        self.changed = false;
        let (mut contacts, mut addresses) = (Vec::new(), Vec::new());
        for member in &self.members {
            let relayed = self.relayed(member);
            contacts.push(member.status(relayed, self.peer_that_holds(member)));
            addresses.push(member.figures(relayed));
        }
        for routed in &self.routed {
            contacts.push(routed.status(self.routed_yielded));
            addresses.push(routed.figures());
        }
        let peers = self.mesh.as_ref().map(|mesh| mesh.status(now));
        self.board.show(contacts, peers.unwrap_or_default());
        let mut dropped = self.dropped.clone();
        for (reason, count) in self.mesh.iter().flat_map(|mesh| mesh.dropped().iter()) {
            dropped.add(reason, count);
        }
        self.hub.set_contact(Some(ContactFigures {
            addresses,
            peers: self.mesh.as_ref().map(Mesh::figures).unwrap_or_default(),
            dropped,
            delay: self.delay.clone(),
        }));
    }

    /// By the name that the operator gave it.
    fn peer_that_holds(&self, member: &Member) -> Option<IpAddr> {
        let holder = member.election.holder()?;
        self.mesh.as_ref()?.peer_at(member.id(), holder)
    }

    fn relayed(&self, member: &Member) -> u64 {
        let index = member.place.as_ref().map(Place::index);
        let relay = index.and_then(|index| self.relays.get(&index));
        relay.map_or(0, Relay::relayed)
    }
}

fn told(exchange: &Exchange, now: Instant) -> Vec<Message> {
    let (ejections, overlay) = exchange.told(now);
    let mut messages = Message::ejections(ejections);
    messages.extend(Message::overlay(overlay));
    messages
}
