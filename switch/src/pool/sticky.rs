//! Cookies that keep a client with its backend.
//!
//! A cookie is a row of entries with dots between, one for each pool that the client has met under
//! the cookie's name, so that pools may share it:
//!
//! ```text
//! TTTTHHHHHHHHHHHHHHHHHHHHHH[SSSSS]     base64url
//! ```
//!
//! 24 bits tell whose entry it is, 128 bits which backend is meant, and with a `ttl` 30 bits the
//! second in which it was made. The first two are SipHash-2-4 (Aumasson, Bernstein 2012) with a key:
//! without it, neither does an entry tell a name or an address, nor can one be made for a backend
//! that the client has not met. Nothing is hashed per request: the entries of all candidates stand in
//! a table. The second is not keyed: who changes it gets a new cookie sooner or later.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pointsman_config::policy::{self, SameSite, StickyKey};
use siphasher::sip128::SipHasher24;

use crate::balance::Candidate;
use crate::endpoint::{Address, EndpointId};
use crate::sys::machine_id::machine_id;

/// Entries of other pools that are kept at most.
const OTHERS: usize = 4;
/// Entries of a cookie that are looked at.
const LOOKED_AT: usize = 16;
/// Digits of base64url for the pool, the backend and the second.
const TAG: usize = 4;
const TOKEN: usize = 22;
const STAMP: usize = 5;
/// Seconds are counted modulo this.
const ERA: u32 = 1 << 30;

type Token = [u8; TOKEN];

/// The cookies of one pool, made for its candidates.
#[derive(Debug)]
pub struct Sticky {
    name: String,
    /// Half of the cookie's time, in seconds.
    half: Option<u32>,
    /// What follows the value: see [`Sticky::set_cookie`].
    attributes: String,
    /// Whether the cookie is for TLS alone; `None`: if it is set over TLS.
    secure: Option<bool>,
    tag: [u8; TAG],
    /// Sorted by token.
    table: Vec<(Token, Place)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    candidate: u32,
    endpoint: EndpointId,
}

/// Where a cookie leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The place among the candidates.
    pub candidate: usize,
    /// Whether half of the cookie's time is over.
    pub is_old: bool,
}

impl Sticky {
    /// The cookies of this pool for these candidates.
    pub fn build(spec: &policy::Sticky, pool: &str, candidates: &[Candidate]) -> Self {
        let maker = Maker::new(&spec.key);
        let entry = |(place, candidate): (u32, &Candidate)| {
            let endpoint = &candidate.endpoint;
            let place = Place {
                candidate: place,
                endpoint: endpoint.id,
            };
            (maker.token(pool, &endpoint.address), place)
        };
        let mut table: Vec<_> = (0..).zip(candidates).map(entry).collect();
        table.sort_unstable();
        Self {
            name: spec.cookie.clone(),
            half: spec.ttl.map(|ttl| half(ttl.as_secs())),
            attributes: attributes(spec),
            secure: spec
                .secure
                .or((spec.same_site == SameSite::None).then_some(true)),
            tag: maker.tag(pool),
            table,
        }
    }

    /// The cookie's name.
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// Whether the second of a cookie counts.
    pub fn has_ttl(&self) -> bool {
        self.half.is_some()
    }

    /// The backend that one of these values of the cookie leads to, if it may be chosen. `now` is the
    /// time in seconds since 1970; without a `ttl` it does not matter.
    pub fn home<'v>(&self, values: impl Iterator<Item = &'v [u8]>, now: u32) -> Option<Home> {
        let (token, stamp) = values
            .flat_map(entries)
            .find_map(|entry| entry.own(&self.tag))?;
        let at = self
            .table
            .binary_search_by(|(known, _)| known[..].cmp(token));
        let (_, place) = self.table.get(at.ok()?)?;
        Some(Home {
            candidate: place.candidate as usize,
            is_old: self.half.is_some_and(|half| age(stamp, now) >= half),
        })
    }

    /// The value of Set-Cookie (RFC 6265 4.1) that leads to this endpoint, with what `values` has
    /// for other pools; `None` if it is not one of the candidates.
    pub fn set_cookie<'v>(
        &self,
        endpoint: EndpointId,
        values: impl Iterator<Item = &'v [u8]>,
        over_tls: bool,
        now: u32,
    ) -> Option<String> {
        let mut known = self.table.iter();
        let (token, _) = known.find(|(_, place)| place.endpoint == endpoint)?;
        let mut cookie = String::with_capacity(256);
        cookie.push_str(&self.name);
        cookie.push('=');
        push(&mut cookie, &self.tag);
        push(&mut cookie, token);
        if self.half.is_some() {
            push(&mut cookie, &stamp(now));
        }
        let others = values
            .flat_map(entries)
            .filter(|entry| entry.own(&self.tag).is_none());
        for other in others.take(OTHERS) {
            cookie.push('.');
            push(&mut cookie, other.0);
        }
        cookie.push_str(&self.attributes);
        if self.secure.unwrap_or(over_tls) {
            cookie.push_str("; Secure");
        }
        Some(cookie)
    }
}

/// An entry of the right form.
#[derive(Debug, Clone, Copy)]
struct Entry<'v>(&'v [u8]);

impl<'v> Entry<'v> {
    /// Backend and second, if it is this pool's.
    fn own(self, tag: &[u8; TAG]) -> Option<(&'v [u8], &'v [u8])> {
        let rest = self.0.strip_prefix(&tag[..])?;
        rest.split_at_checked(TOKEN)
    }
}

fn entries(value: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let entries = value.split(|byte| *byte == b'.').take(LOOKED_AT);
    let fits = |entry: &&[u8]| {
        let long = entry.len();
        (long == TAG + TOKEN || long == TAG + TOKEN + STAMP) && entry.iter().all(is_digit)
    };
    entries.filter(fits).map(Entry)
}

fn is_digit(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Pushes ASCII.
fn push(text: &mut String, ascii: &[u8]) {
    text.extend(ascii.iter().map(|byte| char::from(*byte)));
}

fn half(ttl: u64) -> u32 {
    u32::try_from(ttl.div_ceil(2))
        .unwrap_or(ERA / 2)
        .min(ERA / 2)
}

fn attributes(spec: &policy::Sticky) -> String {
    let mut text = format!("; Path={}", spec.path);
    // Writing into a String cannot fail.
    if let Some(domain) = &spec.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if let Some(ttl) = spec.ttl {
        let _ = write!(text, "; Max-Age={}", ttl.as_secs());
    }
    if spec.http_only {
        text.push_str("; HttpOnly");
    }
    text.push_str(match spec.same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    text
}

/// The digits of base64url, in their order.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn stamp(now: u32) -> [u8; STAMP] {
    let digit = |at: usize| DIGITS[(now >> (24 - 6 * at)) as usize % DIGITS.len()];
    std::array::from_fn(digit)
}

/// Seconds since the stamp; very many if it cannot be read or lies ahead.
fn age(stamp: &[u8], now: u32) -> u32 {
    let value = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    let mut then = 0u32;
    for byte in stamp {
        let Some(value) = value(byte) else {
            return ERA;
        };
        then = (then << 6) | value as u32;
    }
    match stamp.len() {
        STAMP => now.wrapping_sub(then) % ERA,
        _ => ERA,
    }
}

/// Makes entries with one key.
struct Maker(SipHasher24);

impl Maker {
    fn new(key: &StickyKey) -> Self {
        let (kind, root) = match key {
            StickyKey::Given(secret) => ("given", secret.expose()),
            StickyKey::Group(secret) => ("group", secret.expose()),
            StickyKey::Host => ("host", machine_id()),
        };
        // The root has other uses: what is made of it here must tell nothing for them.
        let root = hmac::Key::new(hmac::HMAC_SHA256, root.as_bytes());
        let made = hmac::sign(
            &root,
            format!("pointsman sticky cookie 1 {kind}").as_bytes(),
        );
        let mut key = [0; 16];
        for (byte, made) in key.iter_mut().zip(made.as_ref()) {
            *byte = *made;
        }
        Self(SipHasher24::new_with_key(&key))
    }

    fn tag(&self, pool: &str) -> [u8; TAG] {
        let hash = self.0.hash(format!("pool\0{pool}").as_bytes()).as_bytes();
        digits(&hash[..3])
    }

    /// What tells the backend: its address within the pool. Its name may change without moving
    /// anybody, and a name that is looked up has many.
    fn token(&self, pool: &str, address: &Address) -> Token {
        let text = match address {
            Address::Tcp(socket) => format!("backend\0{pool}\0{socket}"),
            Address::Unix(path) => format!("backend\0{pool}\0unix:{}", path.display()),
        };
        digits(&self.0.hash(text.as_bytes()).as_bytes())
    }
}

/// In base64url, cut to length.
fn digits<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let mut digits = [b'A'; N];
    for (digit, byte) in digits.iter_mut().zip(text.bytes()) {
        *digit = byte;
    }
    digits
}

#[cfg(test)]
mod tests;
