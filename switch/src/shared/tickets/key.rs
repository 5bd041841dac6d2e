//! One key, and the form in which it travels.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{LIFE, ROTATION};

const NAME: usize = 16;
const SECRET: usize = 32;
const BORN: usize = 8;
/// Bytes of a key on its way: name, birth (seconds since 1970, big endian), secret.
const WHOLE: usize = NAME + BORN + SECRET;
/// The same in base64.
const ENCODED: usize = WHOLE.div_ceil(3) * 4;

/// One key. Its nonces are drawn at random, which is safe for 2^32 tickets (NIST SP 800-38D, 8.3):
/// for 12 hours at 99 000 a second.
pub(super) struct Key {
    name: [u8; NAME],
    /// Seconds since 1970.
    pub(super) born: u64,
    secret: [u8; SECRET],
    cipher: RandomizedNonceKey,
}

impl Key {
    /// A new one; `None` when the system gives no randomness.
    pub(super) fn draw(now: u64) -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
        rand::fill(&mut name).ok()?;
        rand::fill(&mut secret).ok()?;
        Self::new(name, now, secret)
    }

    fn new(name: [u8; NAME], born: u64, secret: [u8; SECRET]) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &secret).ok()?;
        Some(Self {
            name,
            born,
            secret,
            cipher,
        })
    }

    /// In base64.
    pub(super) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(WHOLE);
        bytes.extend(self.name);
        bytes.extend(self.born.to_be_bytes());
        bytes.extend(self.secret);
        STANDARD.encode(bytes)
    }

    /// `None` for what is no key.
    pub(super) fn decode(text: &str) -> Option<Self> {
        if text.len() != ENCODED {
            return None;
        }
        let bytes = STANDARD.decode(text).ok()?;
        let (name, rest) = bytes.split_first_chunk::<NAME>()?;
        let (born, rest) = rest.split_first_chunk::<BORN>()?;
        let secret = rest.try_into().ok()?;
        Self::new(*name, u64::from_be_bytes(*born), secret)
    }

    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        self.name == name
    }

    /// Whether new tickets may be made with it.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.age(now) < ROTATION.as_secs()
    }

    /// Whether its tickets are good no more.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.age(now) >= LIFE.as_secs()
    }

    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.born)
    }

    /// What it is told from others by; the older is the lesser one.
    pub(super) fn id(&self) -> (u64, [u8; NAME]) {
        (self.born, self.name)
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// A ticket: name, nonce, the encrypted state and its tag.
    pub(super) fn seal(&self, context: &[u8], state: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = state.to_vec();
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(context), &mut sealed)
            .ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + sealed.len());
        ticket.extend(self.name);
        ticket.extend(nonce.as_ref());
        ticket.extend(sealed);
        Some(ticket)
    }

    /// The state in what follows the name in a ticket.
    pub(super) fn open(&self, context: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut state = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(context), &mut state)
            .ok()?
            .len();
        state.truncate(length);
        Some(state)
    }
}

/// Without the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &u128::from_be_bytes(self.name))
            .field("born", &self.born)
            .finish_non_exhaustive()
    }
}

/// Splits the name of the key off a ticket.
pub(super) fn split(ticket: &[u8]) -> Option<(&[u8], &[u8])> {
    ticket.split_at_checked(NAME)
}
