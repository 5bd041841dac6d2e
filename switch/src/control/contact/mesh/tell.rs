//! What this switch tells the others.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Mesh;
use super::link::Link;
use crate::control::contact::group::Role;
use crate::control::contact::host::Farewell;
use crate::control::contact::peer::heartbeat::Heartbeat;
use crate::control::contact::peer::message::{GroupState, Message, State};
use crate::control::direct::mirror::Telling;

/// Parts about connections that one turn tells a switch: heartbeats must not wait for more.
const PARTS: usize = 2;
/// While so much waits to be sent to a switch, it is told of no more connections.
const CROWDED: usize = 128 << 10;

impl Mesh {
    /// How this switch stands from now on; everybody learns of a change at once.
    pub(in super::super) fn set_own(&mut self, own: State, now: Instant) {
        if own != self.own {
            self.own = own;
            self.beat(now);
            self.tell_at = now;
        }
    }

    /// Sends to one switch, if there is a session with it.
    pub(in super::super) fn send(&mut self, peer: IpAddr, message: &Message) {
        let link = self.links.iter_mut().find(|link| link.peer == peer);
        if let Some(session) = link.and_then(|link| link.session.as_mut())
            && let Err(ended) = session.send(message)
        {
            // Its end comes out when it is read.
            tracing::debug!("{peer}: {ended}");
        }
    }

    /// Sends to all switches that there is a session with.
    pub(in super::super) fn send_all(&mut self, message: &Message) {
        let open = self
            .links
            .iter()
            .filter(|link| link.is_open())
            .map(|link| link.peer);
        for peer in open.collect::<Vec<_>>() {
            self.send(peer, message);
        }
    }

    /// Goes on telling the switches of connections. Who takes little is told of some rounds only.
    pub(in super::super) fn tell_flows(&mut self, latest: &Telling) {
        for link in self.links.iter_mut().filter(|link| link.is_open()) {
            let Some(session) = &mut link.session else {
                continue;
            };
            let (telling, told) = &mut link.telling;
            if *told == telling.parts.len() && telling.version != latest.version {
                (*telling, *told) = (latest.clone(), 0);
            }
            for part in telling.parts.iter().skip(*told).take(PARTS) {
                if session.waiting() > CROWDED {
                    break;
                }
                *told += 1;
                if let Err(ended) = session.send(&Message::Flows(part.clone())) {
                    // Its end comes out when it is read.
                    tracing::debug!("{}: {ended}", link.peer);
                    break;
                }
            }
        }
    }

    pub(super) fn beat(&mut self, now: Instant) {
        self.beat_at = now + self.plan.heartbeat;
        self.sequence += 1;
        let groups = self.own.groups.iter().map(|member| member.state);
        let beat = Heartbeat {
            leaving: false,
            node: self.hello.node,
            sequence: self.sequence,
            groups: groups.collect(),
        };
        beat.encode(&self.key, &mut self.bytes);
        // One that has no session, as keepalived, could not know whose it is.
        for link in self.links.iter().filter(|link| link.key.is_some()) {
            let socket = self.beats.iter().find(|(own, _)| *own == link.own);
            if let Some((_, socket)) = socket {
                // A peer whose host is down must not be a reason to stop.
                let _ = socket.send(&self.bytes, SocketAddr::new(link.peer, self.plan.port));
            }
        }
    }

    pub(super) fn told_state(&self) -> Message {
        Message::State(State {
            sequence: self.sequence,
            ..self.own.clone()
        })
    }

    /// What another process is to send to the others should this one die: each believes it, for it
    /// is a heartbeat, and the last one.
    pub(in super::super) fn farewells(&self) -> Vec<Farewell> {
        let groups = self.own.groups.iter().map(|member| GroupState {
            role: Role::Out,
            ..member.state
        });
        let last = Heartbeat {
            leaving: true,
            node: self.hello.node,
            sequence: u64::MAX,
            groups: groups.collect(),
        };
        let mut packet = Vec::new();
        last.encode(&self.key, &mut packet);
        let known = self.links.iter().filter(|link| link.key.is_some());
        let farewell = |link: &Link| Farewell {
            interface: String::new(),
            index: 0,
            source: link.own,
            destination: link.peer,
            port: Some(self.plan.port),
            packet: packet.clone(),
        };
        known.map(farewell).collect()
    }

    /// Ends all sessions in order; for so long a successor may be on its way.
    pub(in super::super) fn leave(&mut self, successor: Duration) {
        let successor = u32::try_from(successor.as_millis()).unwrap_or(u32::MAX);
        self.send_all(&Message::Bye { successor });
        self.links.clear();
        self.door = None;
        self.beats.clear();
    }
}
