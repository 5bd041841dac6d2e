//! An entry of the overlay as it is told to others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Held, Key, backend_of, cut};
use crate::endpoint::Endpoint;

/// Bytes of a pool's or backend's name at most, far more than a policy's names have.
const MAX_NAME: usize = 512;
/// The greatest weight.
pub(super) const MAX_WEIGHT: u32 = 1000;

/// What an operator wants of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// No new requests; what is under way is finished.
    Drain,
    /// No new requests; TCP connections and tunnels are closed.
    Disable,
    /// Requests again.
    Enable,
    /// This weight, 0 to 1000, in place of the policy's.
    Weight(u32),
    /// The policy's weight again.
    FileWeight,
}

/// What an order is about: one about the weight leaves one about requests as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aspect(u8);

pub(super) const DUTY: Aspect = Aspect(0);
pub(super) const WEIGHT: Aspect = Aspect(1);

impl Order {
    pub(super) fn aspect(self) -> Aspect {
        match self {
            Self::Drain | Self::Disable | Self::Enable => DUTY,
            Self::Weight(_) | Self::FileWeight => WEIGHT,
        }
    }

    /// Whether it lays something over the policy; the others take something back.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Drain | Self::Disable | Self::Weight(_))
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Weight(_) => "weight",
            Self::FileWeight => "file-weight",
        }
    }

    fn of(word: &str, weight: Option<u32>) -> Option<Self> {
        Some(match word {
            "drain" => Self::Drain,
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "weight" => Self::Weight(weight.filter(|weight| *weight <= MAX_WEIGHT)?),
            "file-weight" => Self::FileWeight,
            _ => return None,
        })
    }
}

/// An order as it is told to another process or switch. Another version may leave out or add
/// fields, and know other words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverlayEntry {
    /// The pool's name.
    pub pool: String,
    /// The backend's name within the pool.
    pub backend: String,
    /// `drain`, `disable`, `weight`; `enable` and `file-weight` where something was taken back.
    pub order: String,
    /// With `weight`: 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The operator's reason, [`super::MAX_WHY`] characters at most; may be empty.
    pub why: String,
    /// The version: milliseconds since 1970. Of two entries for the same thing the later one
    /// holds.
    pub at: u64,
    /// When it ends, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl OverlayEntry {
    pub(super) fn of(pool: &str, backend: &str, held: &Held) -> Self {
        Self {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            order: held.order.word().to_owned(),
            weight: match held.order {
                Order::Weight(weight) => Some(weight),
                _ => None,
            },
            why: held.why.clone(),
            at: held.at,
            until: held.until,
        }
    }

    /// `None` when it makes no sense here.
    pub(super) fn read(self) -> Option<(Key, Held)> {
        let order = Order::of(&self.order, self.weight)?;
        let named = |name: &str| (1..=MAX_NAME).contains(&name.len());
        if !named(&self.pool) || !named(&self.backend) {
            return None;
        }
        let held = Held {
            at: self.at,
            order,
            until: self.until,
            why: cut(&self.why),
        };
        let key = Key {
            pool: self.pool,
            backend: self.backend,
            aspect: order.aspect(),
        };
        Some((key, held))
    }

    /// Whether the endpoint is the backend that it names, or one of its addresses.
    pub fn is_about(&self, endpoint: &Endpoint) -> bool {
        self.pool == endpoint.pool
            && (self.backend == endpoint.name || self.backend == backend_of(endpoint))
    }

    /// When it was given.
    pub fn since(&self) -> SystemTime {
        from_millis(self.at)
    }

    /// When it ends, if it does.
    pub fn end(&self) -> Option<SystemTime> {
        self.until.map(from_millis)
    }
}

/// A time that no clock can show counts as 1970.
fn from_millis(millis: u64) -> SystemTime {
    let since = Duration::from_millis(millis);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
