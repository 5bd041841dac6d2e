//! Makes the kernel do what the plan says: one pass looks at what there is, and changes what differs.
//! No I/O of its own: the kernel's part is a [`Path`], the host's network a [`Network`], and time an
//! argument.
//!
//! Nothing is forgotten in the kernel because the process starts anew: backends keep their numbers,
//! services their rings, and what no plan wants any more is removed with the first one.

mod flows;
mod mirror;
mod network;
mod places;
mod roads;
mod tell;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::board::Board;
use super::detours::Detour;
use super::face::{self, Found, Key, Member, Path};
use super::ids::Ids;
use super::plan::{Identity, Plan};
use crate::control::contact::host::News;
use crate::control::journal::Happening;
use crate::metrics::DirectFigures;

pub use network::Network;
pub use places::Wish;

use mirror::Mirrored;
use places::Place;
use roads::Road;
use write::Retired;

/// How often everything is looked at, though nothing is known to have changed.
const ROUND: Duration = Duration::from_secs(5);
/// After a change of the network others often follow.
const SETTLING: Duration = Duration::from_millis(50);
/// After something did not work.
const AGAIN: Duration = Duration::from_secs(1);
/// How often is counted what draining backends still have.
const COUNTING: Duration = Duration::from_secs(5);

/// The keeper.
#[derive(Debug)]
pub struct Keeper<P, N> {
    path: P,
    net: N,
    /// What is wanted; `None`: nobody has said so yet, and the kernel goes on as it does.
    plan: Option<Plan>,
    ids: Ids,
    /// Backends as the kernel has them.
    written: BTreeMap<u16, face::Backend>,
    /// Services as the kernel has them; `None`: a former process wrote it.
    rings: BTreeMap<Key, Option<Vec<Member>>>,
    /// Backends that no plan wants any more, and that finish what they have.
    retired: BTreeMap<u64, Retired>,
    roads: BTreeMap<IpAddr, Road>,
    places: BTreeMap<String, Place>,
    /// What does not work, by what it is about.
    troubles: BTreeMap<String, String>,
    /// Flows of draining backends, by number.
    left: BTreeMap<u16, usize>,
    /// Until then they are counted more often.
    hurries: Option<Instant>,
    mirrored: Mirrored,
    happenings: Vec<Happening>,
    /// Checks go through tunnels.
    checks_tunnels: bool,
    /// The ways are to be looked up anew.
    lost: bool,
    next: Instant,
    next_count: Instant,
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// Goes on with what the kernel has.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn new(path: P, net: N, last_id: u16, now: Instant) -> io::Result<Self> {
        let mut keeper = Self {
            plan: None,
            ids: Ids::new(last_id),
            written: BTreeMap::new(),
            rings: BTreeMap::new(),
            retired: BTreeMap::new(),
            roads: BTreeMap::new(),
            places: BTreeMap::new(),
            troubles: BTreeMap::new(),
            left: BTreeMap::new(),
            hurries: None,
            mirrored: Mirrored::new(),
            happenings: Vec::new(),
            checks_tunnels: false,
            lost: true,
            next: now,
            next_count: now,
            path,
            net,
        };
        for (id, backend) in keeper.path.backends()? {
            match keeper.ids.adopt(backend.identity, id) {
                true => drop(keeper.written.insert(id, backend)),
                false => keeper.path.remove_backend(id)?,
            }
        }
        let services = keeper.path.services();
        keeper.rings = services.into_iter().map(|key| (key, None)).collect();
        Ok(keeper)
    }

    /// Another plan holds.
    pub fn want(&mut self, plan: Plan, now: Instant) {
        if self.plan.as_ref() == Some(&plan) {
            return;
        }
        let before = self.plan.replace(plan);
        self.lost = true;
        self.retire(before.as_ref(), now);
        self.next = now;
    }

    /// The network tells something.
    pub fn hear(&mut self, news: News, now: Instant) {
        match news {
            News::Neighbour(neighbour) => {
                if self.neighbour(&neighbour) {
                    self.next = now;
                }
            }
            News::Ways | News::Overflow => {
                self.lost = true;
                self.next = self.next.min(now + SETTLING);
            }
        }
    }

    /// When [`Keeper::work`] is due.
    pub fn deadline(&self) -> Instant {
        self.next.min(self.next_count)
    }

    /// Does what is to be done. Services are written before their interfaces are attached, and
    /// interfaces left before services are removed, so that no packet meets half of it.
    pub fn work(&mut self, now: Instant) {
        if now >= self.next {
            self.next = now + ROUND;
            self.troubles.clear();
            if self.plan.is_some() {
                self.find_ways(now);
                self.write_backends(now);
                self.lead_checks();
                self.write_services();
                self.write_drains(now);
                self.attach_all();
                self.remove_services();
                self.remove_backends();
            }
            if !self.troubles.is_empty() {
                self.next = now + AGAIN;
            }
        }
        if now >= self.next_count {
            self.next_count = now + COUNTING;
            self.count_flows(now);
        }
    }

    /// Attaches everything that these services need, before a policy that wants them comes into force.
    ///
    /// # Errors
    /// What cannot be, in words for the operator.
    pub fn prepare(&mut self, wishes: &[Wish]) -> Result<(), String> {
        self.attach_for(wishes)
    }

    /// Who gets the packets of a client, and why.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn lookup(
        &self,
        key: Key,
        client: SocketAddr,
    ) -> io::Result<Option<(Identity, String, Found)>> {
        let Some((id, found)) = self.path.lookup(key, client)? else {
            return Ok(None);
        };
        Ok(self
            .named(id)
            .map(|(identity, name)| (identity, name, found)))
    }

    /// What has happened since the last time.
    pub fn happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// Writes how things stand; what metrics tell of it. `None`: nothing is wanted yet.
    pub fn show(&self, board: &Board) -> Option<DirectFigures> {
        self.write_board(board)
    }

    /// The ways of checks, by the backends' numbers.
    pub fn detours(&self) -> BTreeMap<u16, (Identity, Detour)> {
        let planned = self.plan.iter().flat_map(|plan| &plan.backends);
        let detour = |(identity, backend): (&Identity, &super::plan::Backend)| {
            let id = self.ids.get(identity.number())?;
            let road = self.roads.get(&identity.address)?;
            let (interface, next, source) = road.detour()?;
            let detour = Detour {
                service: backend.service?,
                next,
                interface,
                source,
            };
            let possible = road.tunnel().is_none() || self.checks_tunnels;
            (possible && next.is_ipv4() == detour.service.is_ipv4())
                .then_some((id, (identity.clone(), detour)))
        };
        planned.filter_map(detour).collect()
    }

    /// Checks are to go through the tunnels that begin at interfaces. Where a kernel has no place for that,
    /// servers behind routers are asked at their own addresses.
    fn lead_checks(&mut self) {
        let tunnels = self.roads.values().filter_map(Road::tunnel).collect();
        let led = self.path.lead_checks(&tunnels);
        if let Err(error) = &led {
            tracing::debug!("checks do not go through tunnels: {error}");
        }
        self.checks_tunnels = led.is_ok();
    }

    /// The addresses of this host that backends are checked from where no detour leads to them: never
    /// one that is served, which they have as well and would answer to themselves.
    pub fn sources(&self) -> BTreeMap<Identity, IpAddr> {
        let planned = self.plan.iter().flat_map(|plan| plan.backends.keys());
        let source = |identity: &Identity| {
            let source = self.roads.get(&identity.address)?.source()?;
            Some((identity.clone(), source))
        };
        planned.filter_map(source).collect()
    }

    fn trouble(&mut self, about: impl Into<String>, why: impl Into<String>) {
        let (about, why) = (about.into(), why.into());
        tracing::debug!("direct return: {about}: {why}");
        self.troubles.insert(about, why);
    }

    /// The backend of this number, as far as the plan knows it.
    fn named(&self, id: u16) -> Option<(Identity, String)> {
        let plan = self.plan.as_ref()?;
        let mut all = plan.backends.iter();
        let (identity, backend) =
            all.find(|(identity, _)| self.ids.get(identity.number()) == Some(id))?;
        Some((identity.clone(), backend.name.clone()))
    }
}
