//! What the process and its operator have the thread do.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Keeper, Phase, SUCCESSOR, WITHDRAWAL, Waiting};
use crate::control::contact::command::{Command, Inheritance};
use crate::control::contact::desk::{Order, Refusal, Reply};
use crate::control::contact::group::{GroupId, Role};
use crate::control::contact::host::{Host, sysctl};
use crate::control::contact::member::Member;
use crate::control::contact::mesh::Mesh;
use crate::control::contact::place::Place;
use crate::control::contact::plan::{GroupPlan, Plan};
use crate::control::contact::relay::soft::LOOPBACK;

impl Keeper {
    /// Takes up commands and orders; whether it is to end.
    pub(super) fn obey(&mut self, now: Instant) -> bool {
        self.commands.calm();
        while let Some(command) = self.commands.take() {
            self.changed = true;
            match command {
                Command::Begin(inheritance) => self.begin(&inheritance, now),
                Command::Change(plan, reply) => {
                    let _ = reply.send(self.change(*plan, now));
                }
                Command::Leave(reply) => self.leave(reply, now),
                Command::Bequeath(reply) => {
                    let _ = reply.send(self.bequeath());
                }
                Command::End => return true,
            }
        }
        while let Some((order, reply)) = self.orders.take() {
            self.changed = true;
            self.order(order, reply, now);
        }
        false
    }

    fn begin(&mut self, inheritance: &Inheritance, now: Instant) {
        let is_heir = !inheritance.holds.is_empty() || matches!(self.phase, Phase::Bequeathed);
        self.phase = Phase::Serves;
        self.open_mesh(now);
        sysctl::inherit(&inheritance.settings);
        for (group, to) in &inheritance.relays {
            self.relay(*group, Some(*to));
        }
        for member in &mut self.members {
            let id = member.id();
            member.inherit();
            if inheritance.yielded.contains(&id) {
                member.election.stand_back();
            }
            if inheritance.holds.contains(&id) {
                member.election.inherit(now);
            } else if !is_heir {
                clear_leftovers(&self.host, member);
            }
        }
        self.routed_yielded = inheritance.routes_yielded;
        for routed in &mut self.routed {
            if inheritance.announced.contains(&routed.plan.device) {
                routed.inherit(&self.host);
            }
        }
        // Who joins is judged like who is a member already.
        self.check_up(now);
    }

    fn open_mesh(&mut self, now: Instant) {
        let own = self.own_state();
        let plan = self.plan.mesh.clone();
        let mesh = plan.map(|plan| Mesh::new(plan, own, now)).transpose();
        self.mesh = mesh.unwrap_or_else(|error| {
            tracing::error!("contact: no sessions: {error}");
            None
        });
    }

    /// Puts another policy into force, all of it or nothing.
    fn change(&mut self, plan: Plan, now: Instant) -> Result<(), String> {
        let mut opened: Vec<(GroupPlan, Place)> = Vec::new();
        for group in &plan.groups {
            let known = self.members.iter().find(|member| member.id() == group.id);
            if known.is_none_or(|member| !member.plan.differs_little(group)) {
                opened.push((group.clone(), Place::open(&self.host, group, false)?));
            }
        }
        if plan.routed != self.plan.routed {
            tracing::warn!(
                "a contact with announce = \"bgp\" has changed: `pointsman upgrade` puts it into force"
            );
        }
        self.physician.set_doubt(plan.doubt);
        self.route_physician.set_doubt(plan.doubt);
        let moved = plan.mesh != self.plan.mesh;
        let before = std::mem::replace(&mut self.plan, plan);
        self.plan.routed = before.routed;
        self.part_with_the_others(&opened, now);
        for (group, place) in opened {
            self.attach_relay(&place);
            self.members.push(Member::new(group, place, now));
        }
        for group in self.plan.groups.clone() {
            let mut members = self.members.iter_mut();
            if let Some(member) = members.find(|member| member.id() == group.id) {
                member.change(&self.host, group, now);
            }
        }
        if moved && matches!(self.phase, Phase::Serves) {
            if let Some(mesh) = &mut self.mesh {
                mesh.leave(SUCCESSOR);
            }
            self.open_mesh(now);
        }
        if matches!(self.phase, Phase::Serves) {
            self.check_up(now);
        }
        Ok(())
    }

    /// Members of groups that are wanted no more, or elsewhere, leave at once.
    fn part_with_the_others(&mut self, opened: &[(GroupPlan, Place)], now: Instant) {
        let wanted = |id: GroupId| {
            let stays = self.plan.groups.iter().any(|group| group.id == id);
            stays && opened.iter().all(|(group, _)| group.id != id)
        };
        let parts: Vec<usize> = (0..self.members.len())
            .rev()
            .filter(|at| !wanted(self.members[*at].id()))
            .collect();
        for at in parts {
            self.members[at].election.depart();
            for action in self.members[at].election.actions() {
                self.act(at, action, now);
            }
            self.members.remove(at);
        }
    }

    fn leave(&mut self, reply: Sender<()>, now: Instant) {
        let mut earliest = now;
        for routed in self.routed.iter_mut().filter(|routed| routed.is_announced) {
            routed.withdraw(&self.host, "this switch ends");
            earliest = now + WITHDRAWAL;
        }
        if matches!(self.phase, Phase::Serves) {
            for member in &mut self.members {
                member.election.stop(now);
            }
        }
        self.phase = Phase::Leaves(Some(reply), earliest);
    }

    /// Tells whoever waits for it that nothing is held any more.
    pub(super) fn answer_leave(&mut self, now: Instant) {
        let Phase::Leaves(reply, earliest) = &mut self.phase else {
            return;
        };
        let is_out = |member: &Member| member.election.role() == Role::Out;
        if now >= *earliest
            && self.members.iter().all(is_out)
            && let Some(reply) = reply.take()
        {
            let _ = reply.send(());
        }
    }

    fn bequeath(&mut self) -> Inheritance {
        let announced = self.routed.iter().filter(|routed| routed.is_announced);
        let mut inheritance = Inheritance {
            announced: announced.map(|routed| routed.plan.device.clone()).collect(),
            routes_yielded: self.routed_yielded,
            relays: self
                .relaying
                .iter()
                .map(|(group, to)| (*group, *to))
                .collect(),
            settings: sysctl::former(),
            ..Inheritance::default()
        };
        for member in &mut self.members {
            if member.election.has_yielded() {
                inheritance.yielded.push(member.id());
            }
            if member.election.bequeath() {
                inheritance.holds.push(member.id());
            }
            member.bequeath();
        }
        if let Some(mesh) = &mut self.mesh {
            mesh.leave(SUCCESSOR);
        }
        self.mesh = None;
        self.phase = Phase::Bequeathed;
        inheritance
    }

    fn order(&mut self, order: Order, reply: Reply, now: Instant) {
        if !matches!(self.phase, Phase::Serves) {
            return reply.answer(Err(Refusal::Failed(
                "this switch does not take part now".into(),
            )));
        }
        match order {
            Order::Yield { group, force } => self.order_yield(group, force, reply, now),
            Order::Resume { group } => self.order_resume(group, reply, now),
        }
    }

    fn order_yield(&mut self, group: Option<u8>, force: bool, reply: Reply, now: Instant) {
        let groups = self.groups_of(group);
        let routed = group.is_none() && !self.routed.is_empty();
        if groups.is_empty() && !routed {
            return reply.answer(Err(Refusal::Unknown));
        }
        let alone = self.mesh.as_ref().is_none_or(|mesh| !mesh.is_complete());
        if routed && alone && !force {
            let why = "no other switch is known to be there: say --force to withdraw the routes \
                       nevertheless";
            return reply.answer(Err(Refusal::Unsafe(why.to_owned())));
        }
        let refused = groups.iter().find_map(|id| {
            let member = self.members.iter().find(|member| member.id() == *id)?;
            let why = member.election.may_give_way(force).err()?;
            Some(format!("group {id}: {why}"))
        });
        if let Some(why) = refused {
            return reply.answer(Err(Refusal::Unsafe(why)));
        }
        for member in self
            .members
            .iter_mut()
            .filter(|member| groups.contains(&member.id()))
        {
            member.election.give_way(now);
        }
        if routed {
            self.routed_yielded = true;
            self.check_up(now);
        }
        self.waiting.push(Waiting { groups, reply });
    }

    fn order_resume(&mut self, group: Option<u8>, reply: Reply, now: Instant) {
        let groups = self.groups_of(group);
        let routed = group.is_none() && !self.routed.is_empty();
        if groups.is_empty() && !routed {
            return reply.answer(Err(Refusal::Unknown));
        }
        for member in self
            .members
            .iter_mut()
            .filter(|member| groups.contains(&member.id()))
        {
            member.election.resume(now);
        }
        if routed {
            self.routed_yielded = false;
            self.check_up(now);
        }
        reply.answer(Ok(
            "this switch stands as its priority says again".to_owned()
        ));
    }

    /// Answers orders that have been carried out.
    pub(super) fn answer_orders(&mut self) {
        let mut at = 0;
        while at < self.waiting.len() {
            let groups = &self.waiting[at].groups;
            let members = || {
                self.members
                    .iter()
                    .filter(|member| groups.contains(&member.id()))
            };
            if members().any(|member| member.election.is_yielding()) {
                at += 1;
                continue;
            }
            let kept: Vec<String> = members()
                .filter(|member| member.election.role() == Role::Active)
                .map(|member| member.id().to_string())
                .collect();
            let Waiting { reply, .. } = self.waiting.swap_remove(at);
            reply.answer(match kept.as_slice() {
                [] => Ok("handed over; `pointsman contact resume` takes part again".to_owned()),
                kept => Err(Refusal::Failed(format!(
                    "nobody has taken over {}: this switch goes on",
                    kept.join(", ")
                ))),
            });
        }
    }

    fn groups_of(&self, number: Option<u8>) -> Vec<GroupId> {
        let ids = self.members.iter().map(Member::id);
        ids.filter(|id| number.is_none_or(|number| id.number == number))
            .collect()
    }

    /// Takes everything off the network, unless another process goes on with it.
    pub(super) fn end(mut self) {
        let laid = self.ghosts.end(&mut self.host);
        self.lay(&laid);
        if !matches!(self.phase, Phase::Bequeathed) {
            for member in self.members.iter_mut().filter(|member| member.holds) {
                member.advertise(0);
                if let Some(place) = &member.place {
                    place.release(&self.host, &member.plan.addresses);
                }
            }
            for routed in &mut self.routed {
                routed.end(&self.host);
            }
        }
        if let Some(mesh) = &mut self.mesh {
            mesh.leave(Duration::ZERO);
        }
        self.guardian.dismiss();
    }
}

/// Addresses that a process before has left behind are nobody's to answer for: the holder is
/// elected.
fn clear_leftovers(host: &Host, member: &Member) {
    if member.plan.priority == u8::MAX {
        return;
    }
    let Some(place) = &member.place else { return };
    for net in &member.plan.addresses {
        let on_interface = host.remove_address(place.index(), place.as_put(*net));
        let on_loopback = host.remove_address(LOOPBACK, IpNet::from(net.addr()));
        if matches!(on_interface, Ok(true)) || matches!(on_loopback, Ok(true)) {
            tracing::warn!("{net} was left behind by a process before: it is taken off");
        }
    }
}
