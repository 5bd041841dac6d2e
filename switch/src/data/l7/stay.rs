//! A client that stays with its backend: where its cookie leads, and the one that it gets.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::view::View;
use crate::balance::Tried;
use crate::endpoint::{Endpoint, clock};
use crate::pool::{Home, Pool, Sticky};

/// What holds for one request to a pool with `sticky`.
#[derive(Debug)]
pub struct Stay<'a> {
    pool: &'a Pool,
    sticky: &'a Sticky,
    view: &'a View<'a>,
    home: Option<Home>,
    /// Seconds since 1970; 0 where they do not matter.
    now: u32,
}

impl<'a> Stay<'a> {
    /// `None` where the pool keeps nobody.
    pub fn begin(pool: &'a Pool, view: &'a View<'a>) -> Option<Self> {
        let sticky = pool.sticky.as_ref()?;
        let now = if sticky.has_ttl() { seconds() } else { 0 };
        Some(Self {
            pool,
            sticky,
            view,
            home: sticky.home(view.cookies(sticky.name()), now),
            now,
        })
    }

    /// Whether the cookie leads somewhere.
    pub fn has_home(&self) -> bool {
        self.home.is_some()
    }

    /// The backend that the cookie leads to, unless it was tried; it is about to be asked.
    pub fn home(&self, tried: &Tried) -> Option<&'a Arc<Endpoint>> {
        let candidate = self.pool.candidates.get(self.home?.candidate)?;
        let endpoint = &candidate.endpoint;
        if tried.contains(endpoint.id) {
            return None;
        }
        let now = if self.pool.wants_time {
            clock::now()
        } else {
            0
        };
        self.pool.asked(endpoint, now);
        Some(endpoint)
    }

    /// The cookie's name: backends do not see it.
    pub fn cookie(&self) -> &'a [u8] {
        self.sticky.name()
    }

    /// The value of Set-Cookie for the client that this endpoint has answered, if it needs one.
    pub fn set_cookie(&self, chosen: &Endpoint, over_tls: bool) -> Option<String> {
        let home = self.home.filter(|home| !home.is_old);
        let home = home.and_then(|home| self.pool.candidates.get(home.candidate));
        if home.is_some_and(|home| home.endpoint.id == chosen.id) {
            return None;
        }
        let values = self.view.cookies(self.sticky.name());
        self.sticky
            .set_cookie(chosen.id, values, over_tls, self.now)
    }
}

/// The low bits of the time of day: cookies look at 30 of them.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as u32)
}
