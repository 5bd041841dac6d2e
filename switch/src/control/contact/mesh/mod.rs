//! The other switches: a session and heartbeats with each, and who of them is alive.

mod hear;
mod link;
mod sessions;
mod tell;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use self::link::Link;
use super::election::Sight;
use super::group::GroupId;
use super::peer::door::Door;
use super::peer::echo::Echo;
use super::peer::heartbeat::{HeartbeatKey, HeartbeatSocket, MAX_HEARTBEAT};
use super::peer::initiates;
use super::peer::message::{Hello, Message, State};
use super::peer::secure::{Psk, psk};
use super::peer::session::Session;
use super::plan::MeshPlan;
use crate::control::random::SplitMix;
use crate::metrics::Tally;

/// How things stand is told again so often.
const RETELL: Duration = Duration::from_secs(1);
/// Own addresses that are not there yet are looked for again so often.
const SEARCH: Duration = Duration::from_secs(1);
/// Bytes of a datagram that are read.
const DATAGRAM: usize = MAX_HEARTBEAT + 1;
/// Datagrams that one turn reads.
const MAX_DATAGRAMS: usize = 256;

/// What the switches tell each other, as it arrives.
#[derive(Debug)]
pub(super) enum News {
    /// How a switch stands to a group, by the address of its adverts.
    Sight(GroupId, IpAddr, Sight),
    /// A message that concerns others.
    Message(IpAddr, Message),
    /// A session stands.
    Opened(IpAddr),
    /// A switch is gone: what it was for each group, by the address of its adverts.
    Lost(IpAddr, Vec<(GroupId, IpAddr)>, &'static str),
    /// A switch that was gone is there again.
    Found(IpAddr),
    /// Whether a switch's policy differs from this one's, when that has changed.
    Policy(IpAddr, bool),
}

/// All other switches of the policy.
#[derive(Debug)]
pub(super) struct Mesh {
    plan: MeshPlan,
    psk: Option<Psk>,
    hello: Hello,
    key: HeartbeatKey,
    sequence: u64,
    /// The heartbeat that was sent last.
    bytes: Vec<u8>,
    own: State,
    door: Option<Door>,
    beats: Vec<(IpAddr, HeartbeatSocket)>,
    links: Vec<Link>,
    beat_at: Instant,
    tell_at: Instant,
    search_at: Instant,
    news: Vec<News>,
    dropped: Tally<&'static str>,
}

impl Mesh {
    /// Nothing is opened before the first [`Mesh::tick`].
    ///
    /// # Errors
    /// The system has no random bits.
    pub(super) fn new(plan: MeshPlan, own: State, now: Instant) -> io::Result<Self> {
        let key = HeartbeatKey::random()?;
        let hello = Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: SplitMix::process_seed(),
            heartbeat_key: key.to_base64(),
        };
        Ok(Self {
            psk: plan.secret.as_ref().map(|secret| psk(secret.expose())),
            plan,
            hello,
            key,
            sequence: 0,
            bytes: Vec::new(),
            own,
            door: None,
            beats: Vec::new(),
            links: Vec::new(),
            beat_at: now,
            tell_at: now,
            search_at: now,
            news: Vec::new(),
            dropped: Tally::default(),
        })
    }

    /// What was heard since the last time.
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What is to be watched for input, and for output where the second is true.
    pub(super) fn sockets(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let doors = self.door.iter().flat_map(Door::sockets);
        let beats = self.beats.iter().map(|(_, socket)| socket.as_fd());
        let sessions = self
            .links
            .iter()
            .flat_map(|link| link.session.iter().chain(&link.pending));
        let echoes = self.links.iter().filter_map(|link| link.echo.as_ref());
        let echoes = echoes.map(Echo::as_fd);
        let mut sockets: Vec<_> = doors
            .chain(beats)
            .chain(echoes)
            .map(|fd| (fd, false))
            .collect();
        sockets.extend(sessions.map(|session| (session.as_fd(), session.wants_write())));
        sockets
    }

    /// When [`Mesh::tick`] is due.
    pub(super) fn deadline(&self) -> Instant {
        let mut due = self.beat_at.min(self.tell_at).min(self.search_at);
        for link in &self.links {
            let sessions = link.session.iter().chain(&link.pending);
            let silence = [link.watch.deadline(), link.watch.asks_at()];
            // Whoever is lost is judged no more before it is heard again.
            let silence = silence.into_iter().flatten().filter(|_| link.is_alive);
            due = sessions
                .filter_map(Session::deadline)
                .chain(silence)
                .fold(due, Instant::min);
            if link.session.is_none() && initiates(link.own, link.peer) {
                due = due.min(link.retry_at);
            }
        }
        due
    }

    /// The loop woke so much later than it had asked for: silence in that time means nothing.
    pub(super) fn looked(&mut self, now: Instant, lateness: Duration) {
        for link in &mut self.links {
            link.watch.looked(now, lateness);
        }
    }

    /// Reads everything that has come.
    pub(super) fn read(&mut self, now: Instant) {
        self.read_beats(now);
        self.answer_the_door();
        for at in 0..self.links.len() {
            self.read_echo(at, now);
            self.read_pending(at, now);
            self.read_session(at, now);
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        if now >= self.search_at {
            self.search_at = now + SEARCH;
            self.find_links(now);
        }
        for at in 0..self.links.len() {
            self.connect(at, now);
            self.judge(at, now);
        }
        self.compare_policies();
        if now >= self.beat_at {
            self.beat(now);
        }
        if now >= self.tell_at {
            self.tell_at = now + RETELL;
            let state = self.told_state();
            self.send_all(&state);
        }
    }
}
