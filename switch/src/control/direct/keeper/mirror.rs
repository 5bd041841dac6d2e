//! Connections of draining backends, told to the other switches and heard from them: after a takeover
//! nothing else would lead their packets there. Who tells is the holder of the service's address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use super::{Keeper, Network};
use crate::control::direct::face::{Flow, Key, Path};
use crate::control::direct::mirror::{FlowPart, MAX_MIRRORED, ToldFlow};
use crate::metrics::Tally;

/// What goes on is told again so often, so that it does not look silent elsewhere: a flow of UDP
/// counts as over after 30 s.
const REFRESH: Duration = Duration::from_secs(10);
/// What was told for the last time so long ago is this switch's own.
const FORGET: Duration = Duration::from_secs(60);
/// Times are rounded, and a part of a round may be on its way.
const SLACK: Duration = Duration::from_secs(2);
/// Who holds the address, too, takes a connection that was told of a moment ago for its own.
const YOUNG: Duration = Duration::from_secs(5);

/// Why something that was told is passed over: the `reason` label.
const REASONS: [&str; 5] = [
    "unknown-service",
    "unknown-backend",
    "malformed",
    "too-many",
    "overflow",
];

/// What is shared of flows.
#[derive(Debug)]
pub(super) struct Mirrored {
    /// The addresses whose services this switch tells of; `None`: there is nobody to tell.
    held: Option<BTreeSet<IpAddr>>,
    told: Told,
    /// Not taken away yet.
    out: Option<Vec<FlowPart>>,
    /// By service and client.
    copies: HashMap<Key, HashMap<SocketAddr, Copied>>,
    rounds: HashMap<(IpAddr, Key), Round>,
    ignored: Tally<&'static str>,
}

/// The last round that was told.
#[derive(Debug, Default)]
struct Told {
    round: u64,
    at: Option<Instant>,
    /// A digest of each service's connections; those without any are not here.
    digests: BTreeMap<Key, u64>,
    count: usize,
}

/// A connection that another switch has told.
#[derive(Debug, Clone, Copy)]
struct Copied {
    id: u16,
    from: IpAddr,
    round: u64,
    at: Instant,
    idle: Duration,
}

/// How much of a round has come.
#[derive(Debug, Default)]
struct Round {
    number: u64,
    next: u32,
    whole: bool,
}

impl Copied {
    /// For how long it has been silent by now, if nothing has come here.
    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at) + self.idle
    }
}

impl Mirrored {
    pub(super) fn new() -> Self {
        Self {
            held: None,
            told: Told::default(),
            out: None,
            copies: HashMap::new(),
            rounds: HashMap::new(),
            ignored: Tally::of(&REASONS),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.held.is_some()
    }

    /// Connections that are told, that others have told, and what was passed over of those, by reason.
    pub(super) fn figures(&self) -> (usize, usize, Vec<(&'static str, u64)>) {
        (
            self.told.count,
            self.copied(),
            self.ignored.iter().collect(),
        )
    }

    pub(super) fn tidy(&mut self, now: Instant) {
        for copies in self.copies.values_mut() {
            copies.retain(|_, copy| now < copy.at + FORGET);
        }
        self.copies.retain(|_, copies| !copies.is_empty());
    }

    fn holds(&self, key: Key) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|held| held.contains(&key.address))
    }

    fn copied(&self) -> usize {
        self.copies.values().map(HashMap::len).sum()
    }

    /// Whether it is known from another switch alone, which goes on telling of it.
    fn is_elsewhere(&self, flow: &Flow, now: Instant) -> bool {
        let copy = self.copies.get(&flow.service);
        let copy = copy.and_then(|copies| copies.get(&flow.client));
        copy.is_some_and(|copy| {
            now < copy.at + REFRESH * 2 && flow.idle + SLACK >= copy.silence(now)
        })
    }

    /// Another part has come; whether all of its round has.
    fn follow(&mut self, from: IpAddr, key: Key, part: &FlowPart) -> bool {
        let round = self.rounds.entry((from, key)).or_default();
        if part.part == 0 {
            *round = Round {
                number: part.round,
                next: 0,
                whole: true,
            };
        }
        round.whole &= (round.number, round.next) == (part.round, part.part);
        round.next = round.next.saturating_add(1);
        round.whole && part.last
    }

    /// What this round does not name any more, by backend, with the silence that is expected of it.
    fn ended(
        &mut self,
        from: IpAddr,
        key: Key,
        round: u64,
        now: Instant,
    ) -> HashMap<u16, Vec<Flow>> {
        let holds = self.holds(key);
        let mut ended: HashMap<u16, Vec<Flow>> = HashMap::new();
        let Some(copies) = self.copies.get_mut(&key) else {
            return ended;
        };
        copies.retain(|client, copy| {
            let stays = copy.from != from || copy.round == round;
            let idle = copy.silence(now);
            let is_young = holds && idle < YOUNG;
            if !stays && !is_young {
                ended.entry(copy.id).or_default().push(Flow {
                    client: *client,
                    service: key,
                    idle,
                    closed: true,
                });
            }
            stays
        });
        ended
    }

    /// The next round, if there is something to tell.
    fn tell(&mut self, mut all: BTreeMap<Key, Vec<ToldFlow>>, now: Instant) {
        let Some(held) = &self.held else { return };
        // Those that had some may have none, and what is held no more is another switch's to tell.
        let before = self.told.digests.len();
        self.told
            .digests
            .retain(|key, _| held.contains(&key.address));
        let lost = self.told.digests.len() < before;
        for key in self.told.digests.keys() {
            all.entry(*key).or_default();
        }
        let digest = |(key, flows): (&Key, &mut Vec<ToldFlow>)| {
            flows.sort_unstable();
            (*key, digest(flows))
        };
        let digests: BTreeMap<Key, u64> = all.iter_mut().map(digest).collect();
        let is_due = self.told.at.is_none_or(|at| now >= at + REFRESH) && !all.is_empty();
        if digests == self.told.digests && !lost && !is_due {
            return;
        }
        let round = self.told.round + 1;
        let parts = all.iter();
        let parts = parts.flat_map(|(key, flows)| FlowPart::all_of(*key, round, flows));
        self.out = Some(parts.collect());
        let some = digests.into_iter().filter(|(key, _)| !all[key].is_empty());
        self.told = Told {
            round,
            at: Some(now),
            digests: some.collect(),
            count: all.values().map(Vec::len).sum(),
        };
    }
}

impl<P: Path, N: Network> Keeper<P, N> {
    /// The addresses that this switch holds, and whose services it tells others of; `None`: there are
    /// no others.
    pub fn hold(&mut self, held: Option<BTreeSet<IpAddr>>) {
        self.mirrored.held = held;
    }

    /// A round to be told, if there is another one.
    pub fn told_flows(&mut self) -> Option<Vec<FlowPart>> {
        self.mirrored.out.take()
    }

    /// So many connections that others have told were lost on the way.
    pub fn missed_flows(&mut self, count: u64) {
        if count > 0 {
            self.mirrored.ignored.add("overflow", count);
        }
    }

    /// Another switch tells of connections.
    pub fn hear_flows(&mut self, from: IpAddr, part: &FlowPart, now: Instant) {
        let services = self.plan.as_ref().map(|plan| &plan.services);
        let service = part.key().and_then(|key| services?.get_key_value(&key));
        let Some((key, service)) = service.map(|(key, service)| (*key, service)) else {
            let count = part.flows.len() as u64;
            return self.mirrored.ignored.add("unknown-service", count);
        };
        let owners = self.owners(part, &service.pool);
        let is_whole = self.mirrored.follow(from, key, part);
        let (mut taken, mut count) = (Vec::new(), self.mirrored.copied());
        for told in part.told() {
            let reason = match owners.get(&told.owner) {
                None => Some("unknown-backend"),
                Some(_) if told.client.is_ipv4() != key.address.is_ipv4() => Some("malformed"),
                Some(_) if told.client.port() == 0 => Some("malformed"),
                Some(_) => None,
            };
            let copies = self.mirrored.copies.entry(key).or_default();
            let is_known = copies.contains_key(&told.client);
            let reason = reason.or((!is_known && count >= MAX_MIRRORED).then_some("too-many"));
            if let Some(reason) = reason {
                self.mirrored.ignored.add(reason, 1);
                continue;
            }
            let copy = Copied {
                id: owners[&told.owner],
                from,
                round: part.round,
                at: now,
                idle: Duration::from_secs(told.idle.into()),
            };
            copies.insert(told.client, copy);
            count += usize::from(!is_known);
            let flow = Flow {
                client: told.client,
                service: key,
                idle: copy.idle,
                closed: false,
            };
            taken.push((flow, copy.id));
        }
        if let Err(error) = self.path.insert_flows(&taken) {
            self.trouble("connections of other switches", error.to_string());
        }
        if is_whole {
            self.forget_ended(from, key, part.round, now);
        }
    }

    fn forget_ended(&mut self, from: IpAddr, key: Key, round: u64, now: Instant) {
        for (id, flows) in self.mirrored.ended(from, key, round, now) {
            if let Err(error) = self.path.forget_flows(id, &flows) {
                self.trouble("connections of other switches", error.to_string());
            }
        }
    }

    /// The numbers of those servers of a pool that this switch knows.
    fn owners(&self, part: &FlowPart, pool: &str) -> HashMap<u64, u16> {
        let planned = self.plan.iter().flat_map(|plan| plan.backends.keys());
        let planned = planned.filter(|identity| identity.pool == pool);
        let planned = planned.map(super::Identity::number);
        let retired = self.retired.iter().filter(|(_, one)| one.pool == pool);
        let known: BTreeSet<u64> = planned.chain(retired.map(|(number, _)| *number)).collect();
        let owners = part.owners.iter().filter(|number| known.contains(number));
        let owners = owners.filter_map(|number| Some((*number, self.ids.get(*number)?)));
        owners.collect()
    }

    /// The flows of draining backends, to be told if there is news.
    pub(super) fn tell_flows(&mut self, open: &[(u16, Flow)], now: Instant) {
        let mut all: BTreeMap<Key, Vec<ToldFlow>> = BTreeMap::new();
        for (id, flow) in open {
            let backend = self
                .written
                .get(id)
                .filter(|_| self.mirrored.holds(flow.service));
            let Some(backend) = backend.filter(|_| !self.mirrored.is_elsewhere(flow, now)) else {
                continue;
            };
            all.entry(flow.service).or_default().push(ToldFlow {
                client: flow.client,
                owner: backend.identity,
                idle: u32::try_from(flow.idle.as_secs()).unwrap_or(u32::MAX),
            });
        }
        self.mirrored.tell(all, now);
    }
}

/// Of connections in order: silence is no news.
fn digest(flows: &[ToldFlow]) -> u64 {
    let mut hasher = SipHasher13::new();
    for flow in flows {
        (flow.client, flow.owner).hash(&mut hasher);
    }
    hasher.finish()
}
