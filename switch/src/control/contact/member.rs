//! This switch as a member of one group: the election, the place where it acts, and what it has
//! done.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;

use super::announce::burst::Burst;
use super::announce::conflict::Claim;
use super::election::{Election, Why};
use super::group::{GroupId, Role};
use super::host::Host;
use super::peer::message::MAX_ADDRESSES;
use super::place::{Place, is_link_local};
use super::plan::GroupPlan;
use super::status::{ContactStatus, THIS_SWITCH, TakeoverStatus};
use crate::control::clock::rfc3339;
use crate::metrics::{AddressFigures, address_label};

/// Neighbours are told again so often where all members keep sessions, so that a gap is noticed.
const REFRESH: Duration = Duration::from_secs(60);
/// As often at least where a member may be one that tells nobody when it lets go.
const BLIND_REFRESH: Duration = Duration::from_secs(1);
/// And not more often, however fast the adverts are: networks that watch over ARP cut off who sends
/// 15 in a second.
const LEAST_REFRESH: Duration = Duration::from_millis(100);
/// Between two answers to neighbours that claim the addresses.
const CONTRADICTION: Duration = Duration::from_millis(50);

/// Frames of the holder before may still come.
const SETTLING: Duration = Duration::from_secs(1);

/// One group, here.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) plan: GroupPlan,
    pub(super) election: Election,
    /// `None` while the interface is not there.
    pub(super) place: Option<Place>,
    /// Whether the addresses stand on the network, here.
    pub(super) holds: bool,
    /// Why it is not fit, if it is not.
    pub(super) fault: Option<&'static str>,
    burst: Option<Burst>,
    /// When another holder was last heard.
    last_sign: Option<Instant>,
    held_since: Option<Instant>,
    contradicted: Option<Instant>,
    since: SystemTime,
    why: Why,
    takeover: Option<(SystemTime, Duration, Why)>,
    figures: AddressFigures,
}

impl Member {
    /// A member that is out.
    pub(super) fn new(plan: GroupPlan, place: Place, now: Instant) -> Self {
        let election = Election::new(plan.settings(place.own), now);
        let addresses: Vec<IpAddr> = plan.addresses.iter().map(IpNet::addr).collect();
        let figures = AddressFigures {
            address: address_label(&addresses),
            announce: "vrrp",
            group: plan.id.to_string(),
            interface: plan.interface.clone(),
            ..AddressFigures::default()
        };
        Self {
            plan,
            election,
            place: Some(place),
            holds: false,
            fault: None,
            burst: None,
            last_sign: None,
            held_since: None,
            contradicted: None,
            since: SystemTime::now(),
            why: Why::Start,
            takeover: None,
            figures,
        }
    }

    /// The group.
    pub(super) fn id(&self) -> GroupId {
        self.plan.id
    }

    /// By which others know the group from one that has its number by mistake.
    pub(super) fn told_addresses(&self) -> Vec<IpAddr> {
        let addresses = self.plan.addresses.iter().map(IpNet::addr);
        let wide = addresses.filter(|ip| !is_link_local(*ip));
        wide.take(MAX_ADDRESSES).collect()
    }

    /// When [`Member::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let burst = self.burst.as_ref().map(Burst::deadline);
        self.election.deadline().into_iter().chain(burst).min()
    }

    /// Does what is due by itself.
    pub(super) fn tick(&mut self, now: Instant) {
        self.election.tick(now);
        if self.burst.as_mut().is_some_and(|burst| burst.due(now)) {
            self.announce_once();
        }
    }

    /// Another switch holds the addresses, as it says itself.
    pub(super) fn heard_holder(&mut self, now: Instant) {
        if self.election.role() != Role::Active {
            self.last_sign = Some(now);
        }
    }

    /// An advert was believed.
    pub(super) fn count_advert(&mut self) {
        self.figures.adverts_in += 1;
    }

    /// Another switch was found to hold the addresses, too.
    pub(super) fn count_conflict(&mut self) {
        self.figures.conflicts += 1;
    }

    /// Another policy says little else of the group.
    pub(super) fn change(&mut self, host: &Host, plan: GroupPlan, now: Instant) {
        if plan == self.plan {
            return;
        }
        let before = std::mem::replace(&mut self.plan, plan);
        let Some(place) = &mut self.place else { return };
        self.election.change(self.plan.settings(place.own), now);
        place.change(&self.plan);
        let goes = |net: &&IpNet| !self.plan.addresses.contains(net);
        let gone: Vec<IpNet> = before.addresses.iter().filter(goes).copied().collect();
        if self.holds {
            place.release(host, &gone);
            self.acquire(host, now);
        }
    }

    /// Another process goes on with the addresses where they are.
    pub(super) fn bequeath(&mut self) {
        self.let_go();
        if let Some(place) = &mut self.place {
            place.bequeath();
        }
    }

    /// This process goes on with what another one has left, if it has.
    pub(super) fn inherit(&mut self) {
        if let Some(place) = &mut self.place {
            place.inherit();
        }
    }

    /// Sends an advert.
    pub(super) fn advertise(&mut self, priority: u8) {
        if let Some(place) = &self.place {
            self.figures.adverts_out += place.advertise(&self.plan, priority);
        }
    }

    /// Puts the addresses on the network and begins to announce them.
    pub(super) fn acquire(&mut self, host: &Host, now: Instant) {
        let Some(place) = &self.place else { return };
        if let Err(error) = place.acquire(host, &self.plan.addresses) {
            tracing::error!("group {}: {error}", self.plan.id);
        }
        self.holds = true;
        self.held_since.get_or_insert(now);
        self.begin_burst(now);
    }

    /// Tells the neighbours now, and again as after any change.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.holds {
            self.announce_once();
            self.begin_burst(now);
        }
    }

    /// Whether it is the holder, and neither has just become it nor is about to be it no more: then
    /// claims of another one are part of a handover.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        self.held_since.is_some_and(|since| now >= since + SETTLING)
            && self.election.role() == Role::Active
            && !self.election.is_yielding()
    }

    /// A neighbour claims one of the addresses that stand here: the others must not believe it
    /// (RFC 5227, 2.4).
    pub(super) fn contradict(&mut self, claim: &Claim, now: Instant) {
        if self.contradicted.is_some_and(|at| now < at + CONTRADICTION) {
            return;
        }
        self.contradicted = Some(now);
        self.count_conflict();
        let [a, b, c, d, e, f] = claim.mac;
        tracing::warn!(
            "{} is claimed by {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, too",
            claim.ip
        );
        self.announce(now);
    }

    /// Tells the neighbours once.
    pub(super) fn announce_once(&self) {
        if let Some(place) = self.place.as_ref().filter(|_| self.holds) {
            place.announce(&self.plan.addresses);
        }
    }

    /// The addresses are on the network here no more; whoever calls has seen to it.
    pub(super) fn let_go(&mut self) {
        self.holds = false;
        self.held_since = None;
        self.burst = None;
    }

    /// Notes a change of the role; a line that tells of it.
    pub(super) fn became(&mut self, role: Role, why: Why, now: Instant) -> String {
        self.since = SystemTime::now();
        self.why = why;
        self.figures.transitions.add((role.word(), why.word()), 1);
        let address = &self.figures.address;
        let reason = self
            .fault
            .filter(|_| why == Why::Fault)
            .unwrap_or(why.text());
        if role != Role::Active {
            return format!("{address}: this switch is {}: {reason}", role.word());
        }
        let took = self
            .last_sign
            .take()
            .map_or(Duration::ZERO, |sign| now.saturating_duration_since(sign));
        self.takeover = Some((self.since, took, why));
        let took = took.as_secs_f64() * 1000.0;
        format!("{address}: this switch is active after {took:.1} ms: {reason}")
    }

    fn begin_burst(&mut self, now: Instant) {
        let blind = self.election.standbys() == 0;
        let refresh = match blind {
            true => self.plan.interval.clamp(LEAST_REFRESH, BLIND_REFRESH),
            false => REFRESH,
        };
        let mut burst = Burst::begin(now, refresh);
        // The first one has gone out.
        burst.due(now);
        self.burst = Some(burst);
    }

    /// For `status`.
    pub(super) fn status(&self, relayed: u64, holder: Option<IpAddr>) -> ContactStatus {
        let role = self.election.role();
        let takeover = self.takeover.map(|(at, took, why)| TakeoverStatus {
            at: rfc3339(at),
            seconds: took.as_secs_f64(),
            reason: why.word().to_owned(),
        });
        ContactStatus {
            group: Some(self.plan.id.to_string()),
            addresses: self.plan.addresses.iter().map(IpNet::to_string).collect(),
            interface: self.plan.interface.clone(),
            announce: "vrrp".to_owned(),
            role: role.word().to_owned(),
            since: rfc3339(self.since),
            why: self.fault.unwrap_or(self.why.text()).to_owned(),
            priority: self.election.priority(),
            holder: match role {
                Role::Active => Some(THIS_SWITCH.to_owned()),
                _ => holder.or(self.election.holder()).map(|ip| ip.to_string()),
            },
            standbys: u32::try_from(self.election.standbys()).unwrap_or(u32::MAX),
            last_takeover: takeover,
            conflicts: self.figures.conflicts,
            relayed_packets: relayed,
            yielded: self.election.has_yielded(),
        }
    }

    /// For the metrics.
    pub(super) fn figures(&self, relayed: u64) -> AddressFigures {
        AddressFigures {
            role: self.election.role().word(),
            priority: self.election.priority(),
            takeover: self.takeover.map(|(_, took, _)| took),
            standbys: u32::try_from(self.election.standbys()).unwrap_or(u32::MAX),
            relayed_packets: relayed,
            ..self.figures.clone()
        }
    }
}
