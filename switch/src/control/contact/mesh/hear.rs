//! What the others say, and what their silence means.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::link::sight;
use super::{DATAGRAM, MAX_DATAGRAMS, Mesh, News};
use crate::control::contact::group::GroupId;
use crate::control::contact::peer::echo::Echo;
use crate::control::contact::peer::heartbeat::Heartbeat;
use crate::control::contact::peer::message::{Message, State};
use crate::control::contact::vrrp::Discard;

impl Mesh {
    pub(super) fn read_beats(&mut self, now: Instant) {
        let mut buffer = [0; DATAGRAM];
        for at in 0..self.beats.len() {
            for _ in 0..MAX_DATAGRAMS {
                let Some((length, from)) = self.beats[at].1.receive(&mut buffer) else {
                    break;
                };
                self.hear_beat(&buffer[..length], from.ip().to_canonical(), now);
            }
        }
    }

    fn hear_beat(&mut self, bytes: &[u8], from: IpAddr, now: Instant) {
        let Some(at) = self.links.iter().position(|link| link.peer == from) else {
            return self.dropped.add("stranger", 1);
        };
        let link = &mut self.links[at];
        let Some(key) = &link.key else {
            // It has not said yet how to know it.
            return;
        };
        let beat = match Heartbeat::decode(bytes, key, link.sequence) {
            Ok(beat) if beat.node == link.node => beat,
            Ok(_) => return self.dropped.add("node", 1),
            Err(discard) => return self.dropped.add(discard.word(), 1),
        };
        link.sequence = beat.sequence;
        if beat.leaving {
            link.losses += 1;
            link.heard = None;
            return self.lose(at, "died");
        }
        link.heard = Some(now);
        link.watch.heard(now);
        if !std::mem::replace(&mut link.is_alive, true) {
            link.since = std::time::SystemTime::now();
            self.news.push(News::Found(from));
        }
        let addresses: HashMap<GroupId, IpAddr> = link.addresses().collect();
        for state in beat.groups {
            if let Some(source) = addresses.get(&state.group) {
                self.news
                    .push(News::Sight(state.group, *source, sight(&state)));
            }
        }
    }

    pub(super) fn hear(&mut self, at: usize, messages: Vec<Message>) {
        for message in messages {
            let link = &mut self.links[at];
            let peer = link.peer;
            match message {
                Message::State(mut state) => {
                    self.pass_over_others(&mut state);
                    let link = &mut self.links[at];
                    let sights = state.groups.iter().map(|member| {
                        News::Sight(member.state.group, member.source, sight(&member.state))
                    });
                    if state.sequence >= link.sequence {
                        self.news.extend(sights);
                    }
                    link.state = Some(state);
                }
                message => self.news.push(News::Message(peer, message)),
            }
        }
    }

    /// A group that has the same number by mistake is none of this switch's business.
    fn pass_over_others(&mut self, state: &mut State) {
        let own = &self.own.groups;
        let before = state.groups.len();
        state.groups.retain(|theirs| {
            let ours = own
                .iter()
                .find(|ours| ours.state.group == theirs.state.group);
            ours.is_none_or(|ours| theirs.fits(ours))
        });
        if state.groups.len() < before {
            self.dropped.add(Discard::Addresses.word(), 1);
        }
    }

    pub(super) fn read_echo(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.echo.as_mut().is_some_and(Echo::is_answered) {
            link.watch.answered(now);
        }
    }

    pub(super) fn compare_policies(&mut self) {
        for link in &mut self.links {
            let differs = link.differs(&self.own.digest).unwrap_or(link.differs);
            if std::mem::replace(&mut link.differs, differs) != differs {
                self.news.push(News::Policy(link.peer, differs));
            }
        }
    }

    pub(super) fn judge(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if !link.is_alive {
            return;
        }
        if link.watch.asks(now)
            && let Some(echo) = &mut link.echo
        {
            echo.ask();
        }
        if link.watch.is_dead(now) {
            let why = if link.session.is_some() {
                "silent"
            } else {
                "died"
            };
            link.losses += 1;
            link.since = std::time::SystemTime::now();
            self.lose(at, why);
        }
    }

    pub(super) fn lose(&mut self, at: usize, why: &'static str) {
        let link = &mut self.links[at];
        if std::mem::replace(&mut link.is_alive, false) {
            let groups = link.addresses().collect();
            self.news.push(News::Lost(link.peer, groups, why));
        }
    }
}
