//! The ways to the others: sockets, and the sessions over them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::link::{Link, own_towards};
use super::{Mesh, News};
use crate::control::contact::peer::door::Door;
use crate::control::contact::peer::ended::Ended;
use crate::control::contact::peer::heartbeat::{HeartbeatKey, HeartbeatSocket};
use crate::control::contact::peer::initiates;
use crate::control::contact::peer::session::Session;

impl Mesh {
    /// Finds out from which address each peer is reached; the switch itself is none of them.
    pub(super) fn find_links(&mut self, now: Instant) {
        let known: Vec<IpAddr> = self.links.iter().map(|link| link.peer).collect();
        let missing = self.plan.peers.iter().filter(|peer| !known.contains(peer));
        for peer in missing.copied().collect::<Vec<_>>() {
            let own = match own_towards(peer, &self.plan) {
                Ok(own) => own,
                Err(error) => {
                    tracing::debug!("no way to {peer} yet: {error}");
                    continue;
                }
            };
            if own != peer {
                self.links.push(Link::new(peer, own, &self.plan, now));
            }
        }
        if let Err(error) = self.open_sockets() {
            tracing::warn!("contact: port {}: {error}", self.plan.port);
        }
    }

    fn open_sockets(&mut self) -> io::Result<()> {
        let mut own: Vec<IpAddr> = self.links.iter().map(|link| link.own).collect();
        own.sort_unstable();
        own.dedup();
        for ip in &own {
            if self.beats.iter().all(|(bound, _)| bound != ip) {
                self.beats
                    .push((*ip, HeartbeatSocket::open(*ip, self.plan.port)?));
                self.door = None;
            }
        }
        if self.door.is_none() && !own.is_empty() {
            self.door = Some(Door::open(&own, self.plan.port, &self.plan.peers)?);
        }
        Ok(())
    }

    pub(super) fn answer_the_door(&mut self) {
        let Some(door) = &mut self.door else { return };
        let links = &mut self.links;
        loop {
            let pending = |peer: IpAddr| {
                let link = links.iter().find(|link| link.peer == peer.to_canonical());
                link.map_or(0, |link| link.pending.len())
            };
            let Some((stream, peer)) = door.accept(pending) else {
                let strangers = door.strangers();
                if strangers > 0 {
                    self.dropped.add("stranger", strangers);
                }
                return;
            };
            let link = links
                .iter_mut()
                .find(|link| link.peer == peer.ip().to_canonical());
            let session = Session::accept(stream, peer, self.psk.as_ref(), self.hello.clone());
            if let (Some(link), Ok(session)) = (link, session) {
                link.pending.push(session);
            }
        }
    }

    pub(super) fn connect(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.session.is_some() || now < link.retry_at || !initiates(link.own, link.peer) {
            return;
        }
        let address = SocketAddr::new(link.peer, self.plan.port);
        let hello = self.hello.clone();
        match Session::connect(Some(link.own), address, self.psk.as_ref(), hello) {
            Ok(session) => link.session = Some(session),
            Err(error) => {
                link.retry_at = now + link.backoff.wait(None);
                link.why = Some(error.to_string());
            }
        }
    }

    /// Sessions that the peer has opened: the first one that is open takes the place of any other.
    pub(super) fn read_pending(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        let mut opened = None;
        let mut index = 0;
        while index < link.pending.len() {
            match link.pending[index].ready(now) {
                Ok(messages) if link.pending[index].is_open() => {
                    opened = Some((link.pending.swap_remove(index), messages));
                }
                Ok(_) => index += 1,
                Err(ended) => {
                    link.why = Some(ended.to_string());
                    self.dropped.add(ended.word(), 1);
                    link.pending.swap_remove(index);
                }
            }
        }
        if let Some((session, messages)) = opened {
            link.session = Some(session);
            link.opened = None;
            self.open(at, now);
            self.hear(at, messages);
        }
    }

    pub(super) fn read_session(&mut self, at: usize, now: Instant) {
        let Some(session) = &mut self.links[at].session else {
            return;
        };
        match session.ready(now) {
            Ok(messages) => {
                if session.is_open() && self.links[at].opened.is_none() {
                    self.open(at, now);
                }
                self.hear(at, messages);
            }
            Err(ended) => self.close(at, &ended, now),
        }
    }

    /// A session is open: the peer has said who it is.
    fn open(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        let Some(hello) = link.session.as_ref().and_then(Session::peer_hello) else {
            return;
        };
        if hello.node != link.node {
            link.key = HeartbeatKey::from_base64(&hello.heartbeat_key);
            link.node = hello.node;
            link.sequence = 0;
        }
        link.version = Some(hello.version.clone());
        link.opened = Some(now);
        link.telling = Default::default();
        link.why = None;
        link.since = std::time::SystemTime::now();
        link.watch.session_opened();
        let peer = link.peer;
        if !std::mem::replace(&mut link.is_alive, true) {
            self.news.push(News::Found(peer));
        }
        self.news.push(News::Opened(peer));
        let state = self.told_state();
        self.send(peer, &state);
    }

    fn close(&mut self, at: usize, ended: &Ended, now: Instant) {
        let link = &mut self.links[at];
        link.session = None;
        let open = link
            .opened
            .take()
            .map(|opened| now.saturating_duration_since(opened));
        link.retry_at = now + link.backoff.wait(open);
        link.why = Some(ended.to_string());
        link.since = std::time::SystemTime::now();
        if open.is_none() {
            self.dropped.add(ended.word(), 1);
            return;
        }
        tracing::info!("session with {}: {ended}", link.peer);
        match ended {
            Ended::Bye { successor } if successor.is_zero() => self.lose(at, "left"),
            Ended::Bye { successor } => link.watch.suspend(now + *successor),
            _ => link.watch.session_ended(now),
        }
    }
}
