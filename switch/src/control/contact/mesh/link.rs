//! One other switch, as far as it is known.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use crate::control::contact::election::Sight;
use crate::control::contact::group::GroupId;
use crate::control::contact::peer::backoff::Backoff;
use crate::control::contact::peer::echo::Echo;
use crate::control::contact::peer::heartbeat::HeartbeatKey;
use crate::control::contact::peer::message::{GroupState, State};
use crate::control::contact::peer::session::Session;
use crate::control::contact::peer::watch::Watch;
use crate::control::contact::plan::MeshPlan;
use crate::control::direct::mirror::Telling;
use crate::control::random::SplitMix;

/// One other switch.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: IpAddr,
    pub(super) own: IpAddr,
    pub(super) session: Option<Session>,
    pub(super) opened: Option<Instant>,
    /// The round about connections that it is being told, and how many parts of that it has been.
    pub(super) telling: (Telling, usize),
    /// Sessions that the peer has opened and that are not open yet.
    pub(super) pending: Vec<Session>,
    pub(super) backoff: Backoff,
    pub(super) retry_at: Instant,
    pub(super) watch: Watch,
    /// `None` where there can be none: then silence alone counts.
    pub(super) echo: Option<Echo>,
    pub(super) is_alive: bool,
    pub(super) key: Option<HeartbeatKey>,
    pub(super) node: u64,
    pub(super) sequence: u64,
    pub(super) heard: Option<Instant>,
    pub(super) version: Option<String>,
    pub(super) state: Option<State>,
    /// Whether its policy is known to differ.
    pub(super) differs: bool,
    pub(super) since: std::time::SystemTime,
    pub(super) losses: u64,
    pub(super) why: Option<String>,
}

impl Link {
    pub(super) fn new(peer: IpAddr, own: IpAddr, plan: &MeshPlan, now: Instant) -> Self {
        Self {
            peer,
            own,
            session: None,
            opened: None,
            telling: Default::default(),
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

    pub(super) fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_open)
    }

    pub(super) fn word(&self) -> &'static str {
        match (self.is_open(), &self.why) {
            (true, _) => "up",
            (false, Some(why)) if why.contains("secret") => "refused",
            (false, _) => "connecting",
        }
    }

    pub(super) fn differs(&self, digest: &str) -> Option<bool> {
        self.state.as_ref().map(|state| state.digest != digest)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = (GroupId, IpAddr)> {
        let groups = self.state.iter().flat_map(|state| &state.groups);
        groups.map(|member| (member.state.group, member.source))
    }

    pub(super) fn address_in(&self, group: GroupId) -> Option<IpAddr> {
        self.addresses()
            .find(|(id, _)| *id == group)
            .map(|(_, address)| address)
    }
}

pub(super) fn sight(state: &GroupState) -> Sight {
    Sight {
        role: state.role,
        priority: state.priority,
    }
}

/// The address that this host speaks from to reach the peer.
pub(super) fn own_towards(peer: IpAddr, plan: &MeshPlan) -> io::Result<IpAddr> {
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
