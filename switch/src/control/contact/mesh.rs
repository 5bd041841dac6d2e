//! The other switches: a session and heartbeats with each, and who of them is alive.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::election::Sight;
use super::group::{GroupId, Role};
use super::host::Farewell;
use super::peer::backoff::Backoff;
use super::peer::door::Door;
use super::peer::echo::Echo;
use super::peer::ended::Ended;
use super::peer::heartbeat::{Heartbeat, HeartbeatKey, HeartbeatSocket, MAX_HEARTBEAT};
use super::peer::initiates;
use super::peer::message::{GroupState, Hello, Message, State};
use super::peer::secure::Psk;
use super::peer::session::Session;
use super::peer::watch::Watch;
use super::plan::MeshPlan;
use super::status::PeerStatus;
use super::vrrp::Discard;
use crate::control::clock::rfc3339;
use crate::control::random::SplitMix;
use crate::metrics::{PeerFigures, Tally};

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

/// One other switch.
#[derive(Debug)]
struct Link {
    peer: IpAddr,
    own: IpAddr,
    session: Option<Session>,
    opened: Option<Instant>,
    /// Sessions that the peer has opened and that are not open yet.
    pending: Vec<Session>,
    backoff: Backoff,
    retry_at: Instant,
    watch: Watch,
    /// `None` where there can be none: then silence alone counts.
    echo: Option<Echo>,
    is_alive: bool,
    key: Option<HeartbeatKey>,
    node: u64,
    sequence: u64,
    heard: Option<Instant>,
    version: Option<String>,
    state: Option<State>,
    /// Whether its policy is known to differ.
    differs: bool,
    since: std::time::SystemTime,
    losses: u64,
    why: Option<String>,
}

impl Mesh {
    /// Nothing is opened before [`Mesh::begin`].
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
            psk: plan.secret.as_ref().map(|secret| Psk::of(secret.expose())),
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

    /// How this switch stands from now on; everybody learns of a change at once.
    pub(super) fn set_own(&mut self, own: State, now: Instant) {
        if own != self.own {
            self.own = own;
            self.beat(now);
            self.tell_at = now;
        }
    }

    /// Sends to one switch, if there is a session with it.
    pub(super) fn send(&mut self, peer: IpAddr, message: &Message) {
        let link = self.links.iter_mut().find(|link| link.peer == peer);
        if let Some(session) = link.and_then(|link| link.session.as_mut())
            && let Err(ended) = session.send(message)
        {
            // Its end comes out when it is read.
            tracing::debug!("{peer}: {ended}");
        }
    }

    /// Sends to all switches that there is a session with.
    pub(super) fn send_all(&mut self, message: &Message) {
        let open = self
            .links
            .iter()
            .filter(|link| link.is_open())
            .map(|link| link.peer);
        for peer in open.collect::<Vec<_>>() {
            self.send(peer, message);
        }
    }

    /// What another process is to send to the others should this one die: each believes it, for it
    /// is a heartbeat, and the last one.
    pub(super) fn farewells(&self) -> Vec<Farewell> {
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

    /// Whether how the switch at this address stands is known from itself, at this moment: what
    /// anybody could have sent need not be believed then.
    pub(super) fn vouches(&self, group: GroupId, address: IpAddr, now: Instant) -> bool {
        let limit = self.plan.heartbeat * self.plan.misses;
        self.links.iter().any(|link| {
            let is_heard = link.heard.is_some_and(|heard| now < heard + limit);
            is_heard && link.is_alive && link.address_in(group) == Some(address)
        })
    }

    /// Ends all sessions in order; for so long a successor may be on its way.
    pub(super) fn leave(&mut self, successor: Duration) {
        let successor = u32::try_from(successor.as_millis()).unwrap_or(u32::MAX);
        self.send_all(&Message::Bye { successor });
        self.links.clear();
        self.door = None;
        self.beats.clear();
    }

    /// The peer that sends the group's adverts from this address.
    pub(super) fn peer_at(&self, group: GroupId, address: IpAddr) -> Option<IpAddr> {
        let link = self
            .links
            .iter()
            .find(|link| link.address_in(group) == Some(address));
        link.map(|link| link.peer)
    }

    /// From which address the peer sends the group's adverts.
    pub(super) fn address_of(&self, peer: IpAddr, group: GroupId) -> Option<IpAddr> {
        self.links
            .iter()
            .find(|link| link.peer == peer)?
            .address_in(group)
    }

    /// Pools of which a backend is up, at the peer that sees the most.
    pub(super) fn pools_up(&self) -> u32 {
        let alive = self.links.iter().filter(|link| link.is_alive);
        let states = alive.filter_map(|link| link.state.as_ref());
        // Of another policy it may have more pools.
        let same = states.filter(|state| state.digest == self.own.digest);
        same.map(|state| state.pools_up).max().unwrap_or(0)
    }

    /// Whether there is a session with every other switch.
    pub(super) fn is_complete(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(Link::is_open)
    }

    /// Whether any peer has a session that is open.
    pub(super) fn dropped(&self) -> &Tally<&'static str> {
        &self.dropped
    }

    /// For `status`.
    pub(super) fn status(&self, now: Instant) -> Vec<PeerStatus> {
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
    pub(super) fn figures(&self) -> Vec<PeerFigures> {
        let figures = self.links.iter().map(|link| PeerFigures {
            peer: link.peer.to_string(),
            up: link.is_alive,
            policy_differs: link.differs(&self.own.digest),
            losses: link.losses,
        });
        figures.collect()
    }

    /// Finds out from which address each peer is reached; the switch itself is none of them.
    fn find_links(&mut self, now: Instant) {
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

    fn answer_the_door(&mut self) {
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

    fn connect(&mut self, at: usize, now: Instant) {
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
    fn read_pending(&mut self, at: usize, now: Instant) {
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
            self.hear(at, messages, now);
        }
    }

    fn read_session(&mut self, at: usize, now: Instant) {
        let Some(session) = &mut self.links[at].session else {
            return;
        };
        match session.ready(now) {
            Ok(messages) => {
                if session.is_open() && self.links[at].opened.is_none() {
                    self.open(at, now);
                }
                self.hear(at, messages, now);
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

    fn hear(&mut self, at: usize, messages: Vec<Message>, now: Instant) {
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
        let _ = now;
    }

    fn read_echo(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.echo.as_mut().is_some_and(Echo::is_answered) {
            link.watch.answered(now);
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

    fn read_beats(&mut self, now: Instant) {
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

    fn told_state(&self) -> Message {
        Message::State(State {
            sequence: self.sequence,
            ..self.own.clone()
        })
    }

    fn compare_policies(&mut self) {
        for link in &mut self.links {
            let differs = link.differs(&self.own.digest).unwrap_or(link.differs);
            if std::mem::replace(&mut link.differs, differs) != differs {
                self.news.push(News::Policy(link.peer, differs));
            }
        }
    }

    fn judge(&mut self, at: usize, now: Instant) {
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

    fn lose(&mut self, at: usize, why: &'static str) {
        let link = &mut self.links[at];
        if std::mem::replace(&mut link.is_alive, false) {
            let groups = link.addresses().collect();
            self.news.push(News::Lost(link.peer, groups, why));
        }
    }

    fn beat(&mut self, now: Instant) {
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
}

impl Link {
    fn new(peer: IpAddr, own: IpAddr, plan: &MeshPlan, now: Instant) -> Self {
        Self {
            peer,
            own,
            session: None,
            opened: None,
            pending: Vec::new(),
            backoff: Backoff::new(SplitMix::process_seed()),
            retry_at: now,
            watch: Watch::new(plan.heartbeat, plan.misses),
            echo: Echo::open(own, peer, SplitMix::process_seed()).ok(),
            is_alive: false,
            key: None,
            node: 0,
            sequence: 0,
            heard: None,
            version: None,
            state: None,
            differs: false,
            since: std::time::SystemTime::now(),
            losses: 0,
            why: None,
        }
    }

    fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_open)
    }

    fn word(&self) -> &'static str {
        match (self.is_open(), &self.why) {
            (true, _) => "up",
            (false, Some(why)) if why.contains("secret") => "refused",
            (false, _) => "connecting",
        }
    }

    fn differs(&self, digest: &str) -> Option<bool> {
        self.state.as_ref().map(|state| state.digest != digest)
    }

    fn addresses(&self) -> impl Iterator<Item = (GroupId, IpAddr)> {
        let groups = self.state.iter().flat_map(|state| &state.groups);
        groups.map(|member| (member.state.group, member.source))
    }

    fn address_in(&self, group: GroupId) -> Option<IpAddr> {
        self.addresses()
            .find(|(id, _)| *id == group)
            .map(|(_, address)| address)
    }
}

fn sight(state: &GroupState) -> Sight {
    Sight {
        role: state.role,
        priority: state.priority,
    }
}

/// The address that this host speaks from to reach the peer.
fn own_towards(peer: IpAddr, plan: &MeshPlan) -> io::Result<IpAddr> {
    let of_family = |ip: &&IpAddr| ip.is_ipv4() == peer.is_ipv4();
    if let Some(source) = plan.sources.iter().find(of_family) {
        return Ok(*source);
    }
    let any: SocketAddr = match peer {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(SocketAddr::new(peer, plan.port))?;
    Ok(socket.local_addr()?.ip())
}
