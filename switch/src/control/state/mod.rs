//! What may change while the process runs, and the one way it does: policy, endpoints and health
//! go in, snapshots come out. No I/O.

mod certificates;
mod secure;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use pointsman_config::policy::{Backend, BackendAddr, Discover, Policy};

use super::discovery::Found;
use super::discovery::known::{Known as KnownSource, LookupError, Resolved};
use super::endpoints::{EndpointTable, Entry};
use super::health::Via;
use super::health::checker::Spec;
use super::journal::{Happening, Journal};
use super::overlay::{Overlay, OverlayEntry};
use super::random::SplitMix;
use super::source::Loaded;
use super::standing::Standing;
use super::upgrade::{Known, KnownEndpoint};
use crate::endpoint::{Duty, Endpoint, EndpointId, Health, clock};
use crate::metrics::Hub;
use crate::pool::Member;
use crate::snapshot::{Frame, ListenerSettings, Publisher, Snapshot, SnapshotSource};

/// The state of the control plane.
#[derive(Debug)]
pub struct State {
    loaded: Loaded,
    frame: Frame,
    table: EndpointTable,
    resolved: Resolved,
    pub(super) standing: Standing,
    publisher: Publisher,
    hub: Arc<Hub>,
    in_force_since: SystemTime,
    /// Where backends are looked for.
    wanted: BTreeSet<Discover>,
    overlay: Overlay,
    journal: Journal,
    /// Endpoints that were disabled by the last snapshots and whose connections are still open.
    to_cut: Vec<EndpointId>,
}

impl State {
    /// Puts the first policy into force.
    pub fn new(loaded: Loaded, hub: Arc<Hub>) -> Self {
        let mut table = EndpointTable::default();
        let resolved = Resolved::default();
        let frame = Frame::new(loaded.policy.clone(), &loaded.configs(), &*hub, None);
        let mut members = table.members(&loaded.policy, &resolved);
        let now = Instant::now();
        let mut standing = Standing::new(now, SplitMix::process_seed());
        standing.settle(&loaded.policy.pools, &mut members, now);
        tell_hub(&hub, &members);
        hub.config_info(&loaded.policy.digest);
        hub.set_certificates(certificates::ends(&frame));
        let publisher = Publisher::new(frame.snapshot(1, members, None));
        let in_force_since = SystemTime::now();
        let wanted = wanted(&loaded.policy, &resolved);
        Self {
            wanted,
            loaded,
            frame,
            table,
            resolved,
            standing,
            publisher,
            hub,
            in_force_since,
            overlay: Overlay::default(),
            journal: Journal::default(),
            to_cut: Vec::new(),
        }
    }

    /// Begins with what the process before has found out, where it still applies.
    pub fn inherit(&mut self, mut known: Known) {
        // What stands in files may be names, of which there are lists then.
        known
            .lists
            .sort_by_key(|list| !list.source.starts_with("file "));
        for list in known.lists {
            let named = |source: &Discover| source.to_string() == list.source;
            let source = self.wanted.iter().find(|source| named(source)).cloned();
            if let Some(source) = source {
                let backends = Ok(list.read());
                self.learn(Found { source, backends });
            }
        }
        self.journal.inherit(known.events);
        self.overlay.adopt(known.overlay, SystemTime::now());
        // The endpoints of those addresses are made here.
        self.publish();
        let endpoints = self.endpoints();
        for known in known.endpoints {
            let found = endpoints.iter().find(|endpoint| known.is_of(endpoint));
            let (Some(endpoint), Some(health)) = (found, known.health()) else {
                continue;
            };
            self.set_health(endpoint.id, health);
            if let Some(entry) = self.table.get_mut(endpoint.id) {
                entry.since = known.since;
                entry.last = known.last.map(Into::into);
            }
        }
        self.adopt_ejections(&known.ejections);
        self.adopt_slow_starts(&known.slow_starts);
        self.publish();
    }

    /// What has been found out, for another process.
    pub fn known(&self) -> Known {
        let endpoints = self.endpoints();
        let known = endpoints.iter().filter_map(|endpoint| {
            let entry = self.entry(endpoint.id)?;
            KnownEndpoint::of(endpoint, entry.since, entry.last.as_ref())
        });
        Known {
            endpoints: known.collect(),
            lists: self.resolved.lists(),
            ejections: self.export_ejections(),
            slow_starts: self.export_slow_starts(),
            overlay: self.export_overlay(),
            events: self.journal.export(),
        }
    }

    /// What has happened.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the operator has laid over the policy.
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The same, to be changed; it comes into force with [`State::publish`].
    pub fn overlay_mut(&mut self) -> &mut Overlay {
        &mut self.overlay
    }

    /// The operator's overlay for another switch or process, with what was taken back lately.
    pub fn export_overlay(&self) -> Vec<OverlayEntry> {
        self.overlay.export(true, SystemTime::now())
    }

    /// Takes over what another switch has exported, wherever it is later than what is known here.
    /// Gives back what was new: if anything, it comes into force with [`State::publish`].
    pub fn adopt_overlay(&mut self, entries: Vec<OverlayEntry>) -> Vec<OverlayEntry> {
        self.overlay.adopt(entries, SystemTime::now())
    }

    /// The members of all pools as they would be under another overlay, in the order of the policy.
    pub fn members_under(&mut self, overlay: &Overlay) -> Vec<Vec<Member>> {
        let mut members = self.table.members(&self.loaded.policy, &self.resolved);
        overlay.lay_over(&mut members, SystemTime::now());
        members
    }

    /// Endpoints that were disabled since the last time and whose connections are to be closed.
    pub fn take_to_cut(&mut self) -> Vec<EndpointId> {
        std::mem::take(&mut self.to_cut)
    }

    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let snapshot = self.publisher.current();
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        members.map(|member| member.endpoint.clone()).collect()
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.loaded.policy
    }

    /// The policy with its certificates.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// When it came into force.
    pub fn in_force_since(&self) -> SystemTime {
        self.in_force_since
    }

    /// The metrics.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What workers make their readers of.
    pub fn source(&self) -> SnapshotSource {
        self.publisher.source()
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.publisher.current()
    }

    /// The listeners in force.
    pub fn listeners(&self) -> &[Arc<ListenerSettings>] {
        self.frame.listeners()
    }

    /// What is known of an endpoint.
    pub fn entry(&self, id: EndpointId) -> Option<&Entry> {
        self.table.get(id)
    }

    /// What is known of an endpoint.
    pub fn entry_mut(&mut self, id: EndpointId) -> Option<&mut Entry> {
        self.table.get_mut(id)
    }

    /// What a source of backends has told.
    pub fn source_known(&self, source: &Discover) -> Option<&KnownSource> {
        self.resolved.get(source)
    }

    /// Why a source told nothing the last time, if it did not.
    pub fn lookup_error(&self, source: &Discover) -> Option<&LookupError> {
        self.resolved.get(source)?.error.as_ref()
    }

    /// The listeners and routes of a policy that is to come into force by [`State::adopt`].
    pub fn draft(&self, loaded: &mut Loaded) -> Frame {
        loaded.keep(&self.loaded.tls);
        let configs = loaded.configs();
        Frame::new(
            loaded.policy.clone(),
            &configs,
            &*self.hub,
            Some(&self.frame),
        )
    }

    /// Puts a policy into force.
    pub fn adopt(&mut self, loaded: Loaded, frame: Frame) {
        let previous = std::mem::replace(&mut self.frame, frame);
        self.loaded = loaded;
        self.in_force_since = SystemTime::now();
        let wanted = wanted(&self.loaded.policy, &self.resolved);
        self.resolved.retain(|source| wanted.contains(source));
        self.wanted = wanted;
        self.publish_after(Some(previous));
        self.hub.config_info(&self.loaded.policy.digest);
        self.hub.set_certificates(certificates::ends(&self.frame));
    }

    /// Publishes what has changed since the last time.
    pub fn publish(&mut self) {
        self.publish_after(None);
    }

    /// Whether some backends are weighed by what they report of their load.
    pub fn hears_loads(&self) -> bool {
        self.loaded.policy.pools.iter().any(|pool| pool.load_report)
    }

    /// Whether the reports have changed since the last snapshot.
    pub fn has_new_loads(&self) -> bool {
        let (snapshot, now) = (self.publisher.current(), clock::now());
        let hearing = snapshot.pools.iter().filter(|pool| pool.load_report);
        hearing
            .flat_map(|pool| &pool.members)
            .any(|member| member.endpoint.load.capacity(now) != member.capacity)
    }

    /// Sets the health of an endpoint; whether it changed.
    pub fn set_health(&mut self, id: EndpointId, health: Health) -> bool {
        let Some(entry) = self.table.get_mut(id) else {
            return false;
        };
        let endpoint = entry.endpoint.clone();
        let (from, before) = (endpoint.health(), endpoint.state());
        if from == health {
            return false;
        }
        endpoint.set_health(health);
        entry.since = SystemTime::now();
        self.hub.transition(&endpoint, before, endpoint.state());
        let change = self
            .standing
            .health_changed(&endpoint, from, Instant::now());
        if let Some(change) = change {
            self.tell(&change);
        }
        true
    }

    /// Takes what a source tells; whether it changes the endpoints.
    pub fn learn(&mut self, found: Found) -> bool {
        if !self.wanted.contains(&found.source) {
            return false;
        }
        let changed = self.resolved.learn(found.source, found.backends);
        if changed {
            // A list may hold names.
            self.wanted = wanted(&self.loaded.policy, &self.resolved);
        }
        changed
    }

    /// What agents have registered, as another process has told: by pool.
    pub fn registered(&self) -> impl Iterator<Item = (&str, &[Backend])> {
        self.wanted.iter().filter_map(|source| match source {
            Discover::Agents { pool } => Some((pool.as_str(), self.resolved.backends(source)?)),
            _ => None,
        })
    }

    /// The sources that backends are looked for in: those of the pools, names among the backends, and
    /// names in what was found.
    pub fn wanted(&self) -> &BTreeSet<Discover> {
        &self.wanted
    }

    /// The endpoints that are to be checked, and how; some by another way than the usual one.
    pub fn checks(&self, via: impl Fn(&Endpoint) -> Option<Via>) -> Vec<(Arc<Endpoint>, Spec)> {
        let snapshot = self.publisher.current();
        let pools = self.loaded.policy.pools.iter().zip(&snapshot.pools);
        let mut checks = Vec::new();
        for (policy, pool) in pools {
            let found = pool
                .members
                .iter()
                .filter(|m| m.health != Health::Unresolved);
            checks.extend(found.map(|member| {
                let spec = Spec::of(policy, via(&member.endpoint));
                (member.endpoint.clone(), spec)
            }));
        }
        checks
    }

    /// Pools that can serve: of which a backend is not known to be unable to.
    pub fn pools_up(&self) -> u32 {
        let snapshot = self.publisher.current();
        let can_serve = |member: &Member| matches!(member.health, Health::Up | Health::Starting);
        let up = snapshot
            .pools
            .iter()
            .filter(|pool| pool.members.iter().any(can_serve));
        u32::try_from(up.count()).unwrap_or(u32::MAX)
    }

    /// Whether every source of backends has told something, if only that it fails, and every endpoint
    /// that is checked regularly has been checked once.
    pub fn is_checked(&self) -> bool {
        let mut sources = self.wanted.iter();
        if sources.any(|source| self.resolved.get(source).is_none()) {
            return false;
        }
        let snapshot = self.publisher.current();
        let mut pools = self.loaded.policy.pools.iter().zip(&snapshot.pools);
        pools.all(|(policy, pool)| {
            policy.health.is_none()
                || pool.members.iter().all(|member| {
                    let entry = self.entry(member.endpoint.id);
                    member.health == Health::Unresolved
                        || entry.is_some_and(|entry| entry.last.is_some())
                })
        })
    }

    fn publish_after(&mut self, previous: Option<Frame>) {
        let policy = self.loaded.policy.clone();
        let mut members = self.table.members(&policy, &self.resolved);
        self.table.retain(&members);
        secure::secure(&self.loaded, &members);
        self.overlay.lay_over(&mut members, SystemTime::now());
        self.note_duties(&members);
        self.standing
            .settle(&policy.pools, &mut members, Instant::now());
        tell_hub(&self.hub, &members);
        let before = self.publisher.current();
        let frame = previous.as_ref().unwrap_or(&self.frame);
        let next = self
            .frame
            .snapshot(before.generation + 1, members, Some((frame, &before)));
        tell_panics(&self.hub, &self.journal, &before, &next);
        self.publisher.publish(next);
    }
}

fn wanted(policy: &Policy, resolved: &Resolved) -> BTreeSet<Discover> {
    let listed = policy.pools.iter().flat_map(|pool| &pool.backends);
    let sources = || policy.pools.iter().flat_map(|pool| &pool.discover);
    let found = sources().filter_map(|source| resolved.backends(source));
    let names = listed.chain(found.flatten()).filter_map(name);
    sources().cloned().chain(names).collect()
}

/// What has to be looked up before the backend can be reached.
fn name(backend: &Backend) -> Option<Discover> {
    match &backend.addr {
        BackendAddr::Name(host, port) => Some(Discover::name(host.as_str(), *port)),
        BackendAddr::Socket(_) | BackendAddr::Unix(_) => None,
    }
}

/// Tells which pools have come into panic, and which are out of it.
fn tell_panics(hub: &Hub, journal: &Journal, before: &Snapshot, next: &Snapshot) {
    let pools = next.pools.iter();
    hub.set_panics(pools.map(|pool| (pool.name.clone(), pool.panic)).collect());
    for pool in &next.pools {
        let mut old = before.pools.iter();
        let was = old.any(|other| other.name == pool.name && other.panic);
        let name = &pool.name;
        let event = match (was, pool.panic) {
            (false, true) => {
                let text = format!("panic of pool {name}: too few backends are healthy");
                Happening::warning("panic", text)
            }
            (true, false) => Happening::info("panic-over", format!("panic of pool {name} is over")),
            _ => continue,
        };
        journal.tell(event.about("pool", name));
    }
}

impl State {
    fn note_duties(&mut self, members: &[Vec<Member>]) {
        for Member { endpoint, duty, .. } in members.iter().flatten() {
            if *duty == Duty::Disabled && endpoint.duty() != Duty::Disabled {
                self.to_cut.push(endpoint.id);
            }
            endpoint.set_duty(*duty);
        }
    }
}

fn tell_hub(hub: &Hub, members: &[Vec<Member>]) {
    let all = members.iter().flatten();
    hub.set_endpoints(
        all.map(|member| (member.endpoint.clone(), member.weight))
            .collect(),
    );
}

#[cfg(test)]
mod tests;
