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
mod tests {
    use std::collections::HashSet;

    use super::*;

    const RATE: Rate = Rate {
        count: 10,
        per: Duration::from_secs(1),
    };

    /// A listener `web` of this number.
    fn quotas(id: u32) -> Quotas {
        let quotas = Quotas::default();
        let name = "web".to_owned();
        quotas.set_limited(vec![Limited {
            scope: Scope::Listener(id),
            name,
            pace: Pace::new(RATE, RATE.count),
        }]);
        quotas
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    fn take(quotas: &Quotas, id: u32, client: IpAddr, rate: Rate, now: Instant) -> bool {
        let key = Key {
            scope: Scope::Listener(id),
            who: Who::client(client),
        };
        quotas.take(key, Pace::new(rate, rate.count), now).is_ok()
    }

    /// How many of so many attempts pass at once.
    fn passing(quotas: &Quotas, id: u32, client: IpAddr, attempts: u32, now: Instant) -> usize {
        (0..attempts)
            .filter(|_| take(quotas, id, client, RATE, now))
            .count()
    }

    fn told(client: IpAddr, due: u32) -> Used {
        Used {
            of_route: false,
            name: "web".to_owned(),
            who: Who::Network(client),
            due,
        }
    }

    #[test]
    fn a_burst_of_one_period_passes_and_then_the_rate_holds() {
        let (quotas, start) = (Quotas::default(), Instant::now());
        assert_eq!(passing(&quotas, 0, client(1), 50, start), 10);
        let steps = (1..=100).map(|n| start + Duration::from_millis(20) * n);
        let later = steps
            .filter(|now| take(&quotas, 0, client(1), RATE, *now))
            .count();
        assert_eq!(later, 20, "two seconds at ten per second");
    }

    #[test]
    fn clients_and_listeners_do_not_share() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        let once = Rate { count: 1, ..RATE };
        let (a, b) = (client(1), client(2));
        assert!(take(&quotas, 0, a, once, now));
        assert!(!take(&quotas, 0, a, once, now));
        assert!(take(&quotas, 0, b, once, now));
        assert!(take(&quotas, 1, a, once, now));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        let once = Rate { count: 1, ..RATE };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(take(&quotas, 0, ip("2001:db8::1"), once, now));
        assert!(!take(&quotas, 0, ip("2001:db8::2"), once, now));
        assert!(take(&quotas, 0, ip("2001:db8:0:1::1"), once, now));
    }

    #[test]
    fn a_burst_and_the_time_until_the_next_are_as_the_pace_says() {
        let (quotas, start) = (Quotas::default(), Instant::now());
        let pace = Pace::new(RATE, 3);
        let key = Key {
            scope: Scope::Route(0),
            who: Who::All,
        };
        for _ in 0..3 {
            assert_eq!(quotas.take(key, pace, start), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(quotas.take(key, pace, start), Err(wait));
        assert_eq!(
            quotas.take(key, pace, start),
            Err(wait),
            "asking costs nothing"
        );
        assert_eq!(quotas.take(key, pace, start + wait), Ok(()));
        let other = Key {
            scope: Scope::Listener(0),
            ..key
        };
        assert_eq!(quotas.take(other, pace, start), Ok(()), "of something else");
    }

    #[test]
    fn whoever_makes_up_names_drives_out_none_that_has_used_up_much() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        let pace = Pace::new(RATE, 10);
        let named = |name: &str| Key {
            scope: Scope::Route(0),
            who: Who::named(name.as_bytes()),
        };
        while quotas.take(named("heavy"), pace, now).is_ok() {}
        for number in 0..100_000 {
            assert!(quotas.take(named(&number.to_string()), pace, now).is_ok());
        }
        assert!(quotas.take(named("heavy"), pace, now).is_err());
        let held = quotas.shards.iter().map(|shard| lock(shard).len());
        assert!(held.sum::<usize>() <= SHARDS * CLIENTS);
    }

    #[test]
    fn what_a_client_has_used_up_here_is_used_up_there() {
        let (here, there, now) = (quotas(3), quotas(8), Instant::now());
        passing(&here, 3, client(1), 8, now);
        passing(&here, 3, client(2), 5, now);
        let used = here.export(now);
        assert_eq!(used, [told(client(1), 800)], "half and less is not told");
        there.merge(&used, now);
        there.merge(&used, now);
        assert_eq!(passing(&there, 8, client(1), 50, now), 2);
        assert_eq!(passing(&there, 8, client(2), 50, now), 10);
    }

    #[test]
    fn what_was_used_up_of_a_route_is_used_up_there_by_whatever_name() {
        let pace = Pace::new(RATE, 4);
        let quotas = |id| {
            let quotas = Quotas::default();
            quotas.set_limited(vec![Limited {
                scope: Scope::Route(id),
                name: "api".to_owned(),
                pace,
            }]);
            quotas
        };
        let (here, there, now) = (quotas(1), quotas(2), Instant::now());
        for who in [Who::named(b"a key"), Who::All, Who::client(client(1))] {
            let key = |scope| Key { scope, who };
            while here.take(key(Scope::Route(1)), pace, now).is_ok() {}
            let told = serde_json::to_string(&here.export(now)).expect("it can be written");
            let told: Vec<Used> = serde_json::from_str(&told).expect("it can be read");
            there.merge(&told, now);
            assert!(
                there.take(key(Scope::Route(2)), pace, now).is_err(),
                "{who:?}"
            );
            let later = now + pace.interval;
            assert!(there.take(key(Scope::Route(2)), pace, later).is_ok());
        }
    }

    #[test]
    fn what_is_heard_never_gives_back_what_was_used_up() {
        let (quotas, now) = (quotas(0), Instant::now());
        passing(&quotas, 0, client(1), 9, now);
        quotas.merge(&[told(client(1), 100), told(client(1), 0)], now);
        assert_eq!(passing(&quotas, 0, client(1), 50, now), 1);
    }

    #[test]
    fn nobody_is_locked_out_for_longer_than_a_period_whatever_is_told() {
        let (quotas, now) = (quotas(0), Instant::now());
        quotas.merge(&[told(client(1), u32::MAX)], now);
        assert_eq!(passing(&quotas, 0, client(1), 50, now), 0);
        assert_eq!(passing(&quotas, 0, client(1), 50, now + RATE.per), 10);
    }

    #[test]
    fn unknown_listeners_are_passed_over_and_mapped_addresses_understood() {
        let (quotas, now) = (quotas(0), Instant::now());
        let other = Used {
            name: "other".to_owned(),
            ..told(client(1), 1000)
        };
        let mapped = "::ffff:10.0.0.2".parse().unwrap();
        let route = Used {
            of_route: true,
            ..told(client(1), 1000)
        };
        quotas.merge(&[other, route, told(mapped, 1000)], now);
        assert_eq!(passing(&quotas, 0, client(1), 50, now), 10);
        assert_eq!(passing(&quotas, 0, client(2), 50, now), 0);
    }

    #[test]
    fn every_client_gets_its_turn_and_none_twice_in_one_round() {
        let (quotas, now) = (quotas(0), Instant::now());
        for number in 0..10_000 {
            passing(&quotas, 0, client(number), 6, now);
        }
        let (mut seen, mut calls) = (HashSet::new(), 0);
        while seen.len() < 10_000 {
            let used = quotas.export(now);
            assert!(used.len() <= EXPORTED && used.len() > EXPORTED / 2);
            calls += 1;
            assert!(calls < 20, "{} after {calls} calls", seen.len());
            seen.extend(used.into_iter().map(|used| used.who));
        }
    }

    #[test]
    fn what_is_told_of_strangers_takes_no_more_memory_than_clients_do() {
        let (quotas, now) = (quotas(0), Instant::now());
        let strangers: Vec<_> = (0..200_000).map(|n| told(client(n), 900)).collect();
        quotas.merge(&strangers, now);
        let held = || {
            quotas
                .shards
                .iter()
                .map(|shard| lock(shard).len())
                .sum::<usize>()
        };
        assert_eq!(held(), SHARDS * CLIENTS);
        // Their time over, they make room.
        passing(&quotas, 0, client(1 << 20), 1, now + RATE.per);
        assert!(held() < SHARDS * CLIENTS);
    }

    #[test]
    fn a_listener_that_has_no_limit_any_more_is_told_of_no_more() {
        let (quotas, now) = (quotas(0), Instant::now());
        passing(&quotas, 0, client(1), 10, now);
        assert_eq!(quotas.export(now).len(), 1);
        quotas.set_limited(Vec::new());
        assert!(quotas.export(now).is_empty());
    }
}
