//! How often one client may ask: the generic cell rate algorithm (ITU-T I.371), one number per
//! client that says when all it has asked for would have been due. Switches tell each other of
//! clients that have used up much, so that a takeover is no new start for them.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use pointsman_config::policy::Rate;
use serde::{Deserialize, Serialize};

/// Parts of the table, each with a lock of its own: workers seldom wait for each other, and whoever
/// looks at all clients holds nobody up.
const SHARDS: usize = 128;
/// Clients of one part that are remembered at most. For newcomers those go that have used up least,
/// so that memory is bounded, and whoever makes up names without end is not what remains.
const CLIENTS: usize = 512;
/// Clients that one export tells of at most. A part never has more.
pub const EXPORTED: usize = 1000;

/// The clients of the whole process, by listener.
#[derive(Debug)]
pub struct Quotas {
    shards: Box<[Mutex<Shard>]>,
    /// Chooses the shard; drawn at random, so that nobody can fill one on purpose.
    hasher: RandomState,
    /// Where the next export begins.
    next: AtomicUsize,
    limited: Mutex<Vec<Limited>>,
}

/// When all that each client has asked for would have been due.
type Shard = HashMap<Key, Instant, RandomState>;

/// Whose use of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of what.
    pub scope: Scope,
    /// Whose.
    pub who: Who,
}

/// Of what the use is counted; by number in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A listener.
    Listener(u32),
    /// A route.
    Route(u32),
}

/// Whose use is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A client's network: see [`Who::client`].
    Network(IpAddr),
    /// Whoever bears a name of this digest: see [`Who::named`].
    Name([u64; 2]),
    /// All together.
    All,
}

impl Who {
    /// The client of this address. One subscriber has a whole /64 of IPv6 addresses.
    pub fn client(address: IpAddr) -> Self {
        Self::Network(match address {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }

    /// Whoever bears this name. Its digest stands for it, the same on all switches: a name of any
    /// length takes little room, and nobody can find another one that counts as the same.
    pub fn named(name: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name);
        let mut parts = digest.as_ref().as_chunks::<8>().0.iter();
        let mut part = || parts.next().map_or(0, |part| u64::from_be_bytes(*part));
        Self::Name([part(), part()])
    }

    /// As this switch writes it, whoever has told it.
    fn canonical(self) -> Self {
        match self {
            Self::Network(ip) => Self::client(ip.to_canonical()),
            other => other,
        }
    }
}

/// How often something may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one to the next, evenly spread.
    pub interval: Duration,
    /// How many may come at once after a pause.
    pub burst: u32,
}

impl Pace {
    /// At this rate, and so many at once.
    pub fn new(rate: Rate, burst: u32) -> Self {
        let interval = rate.per / rate.count.max(1);
        Self { interval, burst }
    }

    /// How far ahead of time one may be.
    fn ahead(&self) -> Duration {
        self.interval.saturating_mul(self.burst.max(1))
    }
}

/// A listener or route that limits what may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Which, by its number in this process.
    pub scope: Scope,
    /// Its name, the same on all switches.
    pub name: String,
    /// How often something may be asked for.
    pub pace: Pace,
}

/// How far somebody has used up a rate, for another switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Whether it is a route's rate, and not a listener's.
    pub of_route: bool,
    /// The listener's or route's name.
    pub name: String,
    /// Who has used it up.
    pub who: Who,
    /// When all that was asked for would have been due, in milliseconds from now.
    pub due: u32,
}

impl Limited {
    fn is_meant(&self, used: &Used) -> bool {
        used.of_route == self.scope.is_route() && used.name == self.name
    }
}

impl Scope {
    fn is_route(self) -> bool {
        matches!(self, Self::Route(_))
    }
}

impl Quotas {
    /// One more is asked for now.
    ///
    /// # Errors
    /// How long it takes until one more may be asked for.
    pub fn take(&self, key: Key, pace: Pace, now: Instant) -> Result<(), Duration> {
        let mut due = self.shard(&key);
        if !has_room(&mut due, &key, now) {
            forget_least(&mut due);
        }
        let at = due.entry(key).or_insert(now);
        let next = (*at).max(now) + pace.interval;
        match next.checked_duration_since(now + pace.ahead()) {
            None | Some(Duration::ZERO) => {
                *at = next;
                Ok(())
            }
            Some(late) => Err(late),
        }
    }

    /// Names what limits its use now: only of that is told and heard.
    pub fn set_limited(&self, limited: Vec<Limited>) {
        *lock(&self.limited) = limited;
    }

    /// For another switch: clients that have used up more than half of what may come at once,
    /// [`EXPORTED`] at most. The next call goes on with the others, and begins again after all.
    pub fn export(&self, now: Instant) -> Vec<Used> {
        let limited = lock(&self.limited).clone();
        let mut told = Vec::new();
        if limited.is_empty() {
            return told;
        }
        let first = self.next.load(Ordering::Relaxed);
        let mut passed = 0;
        while passed < SHARDS {
            let some = used(
                &lock(&self.shards[(first + passed) % SHARDS]),
                &limited,
                now,
            );
            if told.len() + some.len() > EXPORTED {
                break;
            }
            told.extend(some);
            passed += 1;
        }
        self.next
            .store((first + passed) % SHARDS, Ordering::Relaxed);
        told
    }

    /// Takes in what another switch told: of each client the larger part that is used up counts.
    /// Nobody is kept out for longer than after a burst of its own, whatever was told; unknown
    /// listeners and routes are passed over.
    pub fn merge(&self, told: &[Used], now: Instant) {
        let limited = lock(&self.limited).clone();
        for used in told {
            let Some(meant) = limited.iter().find(|one| one.is_meant(used)) else {
                continue;
            };
            let due = Duration::from_millis(used.due.into()).min(meant.pace.ahead());
            if due.is_zero() {
                continue;
            }
            let key = Key {
                scope: meant.scope,
                who: used.who.canonical(),
            };
            let mut shard = self.shard(&key);
            if has_room(&mut shard, &key, now) {
                let at = shard.entry(key).or_insert(now);
                *at = (*at).max(now + due);
            }
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        lock(&self.shards[place])
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            next: AtomicUsize::new(0),
            limited: Mutex::default(),
        }
    }
}

/// Whether the client is remembered or can be. Where there is no room, clients go that have nothing
/// left to be due.
fn has_room(due: &mut Shard, key: &Key, now: Instant) -> bool {
    if due.len() < CLIENTS || due.contains_key(key) {
        return true;
    }
    due.retain(|_, at| *at > now);
    due.len() < CLIENTS
}

/// Forgets the one that gains least by it.
fn forget_least(due: &mut Shard) {
    let least = due.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
    if let Some(least) = least {
        due.remove(&least);
    }
}

fn used(due: &Shard, limited: &[Limited], now: Instant) -> Vec<Used> {
    let all = due.iter().filter_map(|(key, at)| {
        let limited = limited.iter().find(|limited| limited.scope == key.scope)?;
        let left = at.saturating_duration_since(now);
        (left > limited.pace.ahead() / 2).then(|| Used {
            of_route: key.scope.is_route(),
            name: limited.name.clone(),
            who: key.who,
            due: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
        })
    });
    all.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
