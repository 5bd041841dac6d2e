//! What is known of the switch: as `GET /live` tells it, and as rows of a table.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::control::contact::status::ContactsStatus;
use crate::control::status::{OverlayStatus, ShareStatus};

/// What there is; see `control/live/shape.rs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shape {
    pub(super) version: String,
    pub(super) digest: String,
    states: Vec<String>,
    listeners: Vec<Listener>,
    routes: Vec<Route>,
    pools: Vec<Pool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Listener {
    name: String,
    protocol: String,
    tls: bool,
    addresses: Vec<String>,
    pool: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Route {
    name: String,
    pool: Option<String>,
    split: Vec<ShareStatus>,
    answer: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Pool {
    name: String,
    balance: String,
    backends: Vec<(String, Option<String>)>,
}

/// The figures; see `control/live/frame.rs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) uptime: f64,
    pub(super) state: String,
    pub(super) connections: u64,
    pub(super) whole: Numbers,
    listeners: Vec<Numbers>,
    routes: Vec<Numbers>,
    pools: Vec<PoolNumbers>,
    backends: Backends,
    pub(super) contact: Option<ContactsStatus>,
    overlay: Option<Vec<OverlayStatus>>,
}

/// Rate, errors, p99 in seconds, under way.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Numbers(
    pub(super) Option<f32>,
    pub(super) Option<f32>,
    pub(super) Option<f32>,
    pub(super) u32,
);

/// The same, then what waits, and the word for panic.
#[derive(Debug, Clone, Default, Deserialize)]
struct PoolNumbers(
    Option<f32>,
    Option<f32>,
    Option<f32>,
    u32,
    u64,
    Option<String>,
);

/// State, weight, rate, errors, p99 in seconds, under way, share in its slow start.
#[derive(Debug, Clone, Default, Deserialize)]
struct BackendNumbers(
    usize,
    u32,
    Option<f32>,
    Option<f32>,
    Option<f32>,
    u32,
    Option<f64>,
);

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Backends {
    All(Vec<BackendNumbers>),
    /// By place, in decimal.
    Some(BTreeMap<String, BackendNumbers>),
}

impl Default for Backends {
    fn default() -> Self {
        Self::Some(BTreeMap::new())
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) shape: Shape,
    pub(super) tick: Tick,
    backends: Vec<BackendNumbers>,
    overlay: Vec<OverlayStatus>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Access,
    Routes,
    Pools,
    Backends,
}

impl Page {
    pub(super) const ALL: [Self; 4] = [Self::Access, Self::Routes, Self::Pools, Self::Backends];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Access => "Access points",
            Self::Routes => "Routes",
            Self::Pools => "Pools",
            Self::Backends => "Backends",
        }
    }
}

/// A line of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) state: String,
    pub(super) mood: Mood,
    pub(super) rate: f32,
    pub(super) errors: f32,
    pub(super) p99: Option<f32>,
    pub(super) busy: u32,
    /// Of a backend: its pool and its name there.
    pub(super) backend: Option<(String, String)>,
}

/// How good a state is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Plain,
    Good,
    Between,
    Bad,
}

impl Model {
    /// Another policy, or other members. The figures that come next are whole.
    pub(super) fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        self.backends.clear();
    }

    /// New figures.
    pub(super) fn update(&mut self, mut tick: Tick) {
        match std::mem::take(&mut tick.backends) {
            Backends::All(all) => self.backends = all,
            Backends::Some(some) => {
                for (place, row) in some {
                    let place: Option<usize> = place.parse().ok();
                    let known = place.and_then(|place| self.backends.get_mut(place));
                    if let Some(known) = known {
                        *known = row;
                    }
                }
            }
        }
        if let Some(overlay) = tick.overlay.take() {
            self.overlay = overlay;
        }
        self.tick = tick;
    }

    /// The rows of a page, in the order of the policy.
    pub(super) fn rows(&self, page: Page) -> Vec<Row> {
        match page {
            Page::Access => self.access(),
            Page::Routes => self.routes(),
            Page::Pools => self.pools(),
            Page::Backends => self.backend_rows(),
        }
    }

    /// Contact addresses and listeners.
    fn access(&self) -> Vec<Row> {
        let contacts = self.tick.contact.iter().flat_map(|all| &all.contacts);
        let contacts = contacts.map(|one| Row {
            name: one.addresses.join(", "),
            what: format!(
                "{} {} priority {}",
                one.announce, one.interface, one.priority
            ),
            mood: match one.role.as_str() {
                "active" => Mood::Good,
                "standby" => Mood::Plain,
                _ => Mood::Between,
            },
            state: one.role.clone(),
            ..Row::default()
        });
        let listeners = self.shape.listeners.iter().enumerate();
        let listeners = listeners.map(|(place, one)| {
            let tls = if one.tls { " tls" } else { "" };
            let pool = one.pool.as_ref().map(|pool| format!(" to {pool}"));
            Row {
                name: one.name.clone(),
                what: format!(
                    "{}{tls} {}{}",
                    one.protocol,
                    one.addresses.join(", "),
                    pool.unwrap_or_default()
                ),
                ..Row::default()
            }
            .with(self.tick.listeners.get(place))
        });
        contacts.chain(listeners).collect()
    }

    fn routes(&self) -> Vec<Row> {
        let routes = self.shape.routes.iter().enumerate();
        let row = |(place, one): (usize, &Route)| {
            let shares = one.split.iter();
            let shares: Vec<_> = shares
                .map(|share| format!("{} {}", share.pool, share.weight))
                .collect();
            let what = one.pool.clone().or_else(|| one.answer.clone());
            Row {
                name: one.name.clone(),
                what: what.unwrap_or_else(|| shares.join(", ")),
                ..Row::default()
            }
            .with(self.tick.routes.get(place))
        };
        routes.map(row).collect()
    }

    fn pools(&self) -> Vec<Row> {
        let mut begins = 0;
        let mut rows = Vec::new();
        for (place, pool) in self.shape.pools.iter().enumerate() {
            let all = pool.backends.len();
            let own = self.backends.iter().skip(begins).take(all);
            let up = own.filter(|one| self.serves(one.0)).count();
            begins += all;
            let numbers = self.tick.pools.get(place);
            let waiting = numbers.map_or(0, |numbers| numbers.4);
            let panic = numbers.and_then(|numbers| numbers.5.as_deref());
            let mut what = pool.balance.clone();
            if waiting > 0 {
                what += &format!(", {waiting} wait");
            }
            if let Some(panic) = panic {
                what += &format!(", panic: {panic}");
            }
            let row = Row {
                name: pool.name.clone(),
                what,
                state: format!("{up}/{all} up"),
                mood: match up {
                    0 => Mood::Bad,
                    up if up < all || panic.is_some() => Mood::Between,
                    _ => Mood::Good,
                },
                ..Row::default()
            };
            let numbers = numbers.map(|n| Numbers(n.0, n.1, n.2, n.3));
            rows.push(row.with(numbers.as_ref()));
        }
        rows
    }

    fn backend_rows(&self) -> Vec<Row> {
        let pools = self.shape.pools.iter();
        let all = pools.flat_map(|pool| pool.backends.iter().map(move |one| (&pool.name, one)));
        let row =
            |(place, (pool, (name, address))): (usize, (&String, &(String, Option<String>)))| {
                let numbers = self.backends.get(place).cloned().unwrap_or_default();
                let state = self.shape.states.get(numbers.0).cloned();
                let state = state.unwrap_or_default();
                let mut what = format!("weight {}", numbers.1);
                if let Some(share) = numbers.6 {
                    what += &format!(" at {:.0}%", share * 100.0);
                }
                let other = address.as_deref().filter(|address| *address != name);
                if let Some(address) = other {
                    what += &format!(", {address}");
                }
                let mut orders = self.overlay.iter();
                let order = orders.find(|order| order.pool == *pool && order.backend == *name);
                let why = order.map(|order| &order.why).filter(|why| !why.is_empty());
                if let Some(why) = why {
                    what += &format!(", {why}");
                }
                Row {
                    name: format!("{pool}/{name}"),
                    what,
                    mood: match state.as_str() {
                        "up" => Mood::Good,
                        "down" | "ejected" | "unresolved" => Mood::Bad,
                        _ => Mood::Between,
                    },
                    state,
                    backend: Some((pool.clone(), name.clone())),
                    ..Row::default()
                }
                .with(Some(&Numbers(numbers.2, numbers.3, numbers.4, numbers.5)))
            };
        all.enumerate().map(row).collect()
    }

    fn serves(&self, state: usize) -> bool {
        let state = self.shape.states.get(state);
        state.is_some_and(|state| matches!(state.as_str(), "up" | "slow-start"))
    }
}

impl Row {
    fn with(self, numbers: Option<&Numbers>) -> Self {
        let numbers = numbers.copied().unwrap_or_default();
        Self {
            rate: numbers.0.unwrap_or_default(),
            errors: numbers.1.unwrap_or_default(),
            p99: numbers.2,
            busy: numbers.3,
            ..self
        }
    }
}
