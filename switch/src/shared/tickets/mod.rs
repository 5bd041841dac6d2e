//! Keys of TLS session tickets (RFC 5077; RFC 8446, 4.6.1) that several switches have in common: a
//! client that shook hands with one of them resumes its session at any other.
//!
//! Every switch draws a key when it starts and tells the others. They all make tickets with the
//! same key then, the oldest that is fresh: one that has just started disturbs nobody. What a
//! switch has is a set, and sets are merged; so it does not matter who tells whom, how often and in
//! which order.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rustls::server::ProducesTickets;

use self::key::Key;

/// How long new tickets are made with a key.
pub const ROTATION: Duration = Duration::from_secs(12 * 3600);
/// How long after its birth a key opens tickets: none lives longer.
pub const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Keys that are held at most.
pub const MAX_KEYS: usize = 3;
/// Keys that are looked at in what another switch tells.
const MAX_OFFERED: usize = 16;

/// The keys of the whole process. Its listeners make and open tickets with them
/// ([`TicketKeys::ticketer`]); without randomness from the system there are none, and no tickets.
#[derive(Debug)]
pub struct TicketKeys {
    /// The oldest first.
    keys: RwLock<Vec<Key>>,
    version: AtomicU64,
}

impl TicketKeys {
    /// Keys with a random one.
    pub fn new() -> Arc<Self> {
        let keys = Self {
            keys: RwLock::default(),
            version: AtomicU64::new(0),
        };
        keys.rotate(SystemTime::now());
        Arc::new(keys)
    }

    /// Gives up keys whose time is over, and draws a new one if none is fresh. It costs next to
    /// nothing when there is nothing to do; every handshake does it.
    pub fn rotate(&self, now: SystemTime) {
        let now = seconds(now);
        if !is_settled(&self.read(), now) {
            self.change(Vec::new(), now);
        }
    }

    /// All keys for another switch, the newest first: name, birth and secret in base64. Whoever
    /// reads them can read the tickets.
    pub fn export(&self) -> Vec<String> {
        self.read().iter().rev().map(Key::encode).collect()
    }

    /// Takes in the keys of another switch. New tickets are made with the oldest fresh key of both.
    /// Where there are too many, the youngest go: they have made the fewest tickets. A key that is
    /// known already stays as it is, and one whose time is over is passed over.
    ///
    /// # Errors
    /// One of them is no key, or there are too many: none is taken in.
    pub fn adopt(&self, keys: &[String], now: SystemTime) -> Result<(), Malformed> {
        if keys.len() > MAX_OFFERED {
            return Err(Malformed);
        }
        let offered = keys.iter().map(|text| Key::decode(text).ok_or(Malformed));
        self.change(offered.collect::<Result<_, _>>()?, seconds(now));
        Ok(())
    }

    /// Counts the changes of the keys: when it has moved, the others are to be told.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes and opens the tickets of a server that is made of these parts: its certificates, and
    /// whom it lets in. They are good wherever the keys and all parts are the same. A client that saw
    /// other certificates must not end up here without seeing these, nor one without a certificate of
    /// its own where one is asked for: TLS itself binds a session to a name alone.
    pub fn ticketer<'a>(
        self: &Arc<Self>,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Arc<dyn ProducesTickets> {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Arc::new(Ticketer {
            keys: self.clone(),
            context: context.finish().as_ref().to_vec(),
        })
    }

    fn change(&self, offered: Vec<Key>, now: u64) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<_> = keys.iter().map(Key::id).collect();
        for key in offered {
            if !keys.iter().any(|known| known.is_named(key.name())) {
                keys.push(key);
            }
        }
        settle(&mut keys, now);
        if !keys.iter().map(Key::id).eq(before) {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    fn seal(&self, context: &[u8], state: &[u8], now: u64) -> Option<Vec<u8>> {
        let keys = self.read();
        keys[in_use(&keys, now)?].seal(context, state)
    }

    fn open(&self, context: &[u8], ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = key::split(ticket)?;
        let keys = self.read();
        let key = keys.iter().find(|key| key.is_named(name))?;
        (!key.is_over(now)).then(|| key.open(context, rest))?
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether time alone changes nothing about them.
fn is_settled(keys: &[Key], now: u64) -> bool {
    let stays = |key: &Key| key.born <= now && !key.is_over(now);
    in_use(keys, now).is_some() && keys.iter().all(stays)
}

/// Brings them to what they have to be at this time.
fn settle(keys: &mut Vec<Key>, now: u64) {
    for key in keys.iter_mut() {
        // The clock here is behind the other switch's, or was set back: no key may live longer.
        key.born = key.born.min(now);
    }
    keys.retain(|key| !key.is_over(now));
    if in_use(keys, now).is_none() {
        keys.extend(Key::draw(now));
    }
    keys.sort_by_key(Key::id);
    while keys.len() > MAX_KEYS {
        let last = keys.len() - 1;
        // The last one is in use where all others are too old for that.
        let youngest = if in_use(keys, now) == Some(last) {
            last - 1
        } else {
            last
        };
        keys.remove(youngest);
    }
}

/// The place of the key that new tickets are made with: the oldest that is fresh.
fn in_use(keys: &[Key], now: u64) -> Option<usize> {
    let fresh = keys.iter().enumerate().filter(|(_, key)| key.is_fresh(now));
    fresh
        .min_by_key(|(_, key)| key.id())
        .map(|(place, _)| place)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What was told by another switch are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are no keys of session tickets")
    }
}

impl std::error::Error for Malformed {}

/// What one certificate chain's servers use.
#[derive(Debug)]
struct Ticketer {
    keys: Arc<TicketKeys>,
    context: Vec<u8>,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // For so long the key of the youngest ticket is good at least.
        (LIFE - ROTATION).as_secs() as u32
    }

    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        let now = SystemTime::now();
        self.keys.rotate(now);
        self.keys.seal(&self.context, state, seconds(now))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let now = seconds(SystemTime::now());
        self.keys.open(&self.context, ticket, now)
    }
}
