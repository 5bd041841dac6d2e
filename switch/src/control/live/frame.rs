//! One frame: what is new since the last one, and all of it for those who begin or have missed one.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use pointsman_config::policy::Policy;
use serde::Serialize;

use super::shape::Shape;
use super::window::Turn;
use crate::control::clock::rfc3339;
use crate::control::history::point::{Point, Subject, state_place};
use crate::control::status::{BackendStatus, PoolStatus, Status};

/// Older frames are of a time when somebody else watched.
const OLD: Duration = Duration::from_millis(1500);

/// A frame, written as server-sent events.
#[derive(Debug)]
pub struct Frame {
    /// Counts the shapes.
    pub shape: u64,
    /// Counts the frames.
    pub seq: u64,
    at: Instant,
    shaped: Bytes,
    full: Bytes,
    delta: Bytes,
}

impl Frame {
    /// What somebody has to be told who has seen this shape and frame.
    pub(super) fn after(&self, seen: Option<(u64, u64)>) -> Bytes {
        match seen {
            Some((shape, seq)) if shape == self.shape && seq + 1 == self.seq => self.delta.clone(),
            Some((shape, _)) if shape == self.shape => self.full.clone(),
            _ => Bytes::from([&*self.shaped, &*self.full].concat()),
        }
    }

    /// Whether the next one is on its way.
    pub(super) fn is_old(&self) -> bool {
        self.at.elapsed() > OLD
    }

    #[cfg(test)]
    pub(super) fn for_tests(shape: u64, seq: u64) -> Self {
        Self {
            shape,
            seq,
            at: Instant::now(),
            shaped: Bytes::from_static(b"SHAPE "),
            full: Bytes::from_static(b"FULL"),
            delta: Bytes::from_static(b"DELTA"),
        }
    }
}

/// Makes frames, each from what is and from what the last one told.
#[derive(Debug, Default)]
pub(super) struct Composer {
    seq: u64,
    shape: u64,
    shaped: Bytes,
    backends: Vec<Row>,
    rest: Rest,
    /// The status of the last frame.
    known: Option<Status>,
}

/// A backend: state, weight, rate, errors, p99 in seconds, under way, share in its slow start.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row(u8, u32, f32, f32, Option<f32>, u32, Option<f64>);

/// What is told whole whenever it is another.
#[derive(Debug, Default, Clone, PartialEq)]
struct Rest {
    overlay: String,
    sources: String,
}

#[derive(Debug, Serialize)]
struct Tick<'t> {
    seq: u64,
    at: &'t str,
    uptime: f64,
    state: &'t str,
    generation: u64,
    connections: u64,
    whole: Numbers,
    listeners: Vec<Numbers>,
    routes: Vec<Numbers>,
    pools: Vec<PoolRow<'t>>,
    backends: Backends<'t>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<&'t crate::control::contact::status::ContactsStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<&'t [crate::control::status::OverlayStatus]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'t [crate::control::status::SourceStatus]>,
}

/// Rate, errors, p99 in seconds, under way.
#[derive(Debug, Default, Serialize)]
struct Numbers(f32, f32, Option<f32>, u32);

/// The same, then what waits, and the word for panic.
#[derive(Debug, Serialize)]
struct PoolRow<'t>(f32, f32, Option<f32>, u32, u64, Option<&'t str>);

/// All of them, or by place those that are other than before.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Backends<'t> {
    All(&'t [Row]),
    Some(BTreeMap<usize, &'t Row>),
}

impl Composer {
    /// Of which the composer knows what there is; at first one that no snapshot has.
    pub(super) fn generation(&self) -> u64 {
        self.known
            .as_ref()
            .map_or(0, |known| known.policy.generation)
    }

    /// From what has changed since [`Composer::generation`].
    pub(super) fn compose(&mut self, news: Status, policy: &Policy, turn: &Turn) -> Frame {
        self.seq += 1;
        let status = self.complete(news, policy);
        let known: HashMap<&Subject, &Point> = turn.lately.iter().map(|(s, p)| (s, p)).collect();
        let rows = rows(&status, &known);
        let (all, changed) = (Backends::All(&rows), self.changed(&rows));
        let rest = Rest::of(&status);
        let mut tick = tick(self.seq, &status, turn, &known);
        let at = rfc3339(SystemTime::now());
        (tick.at, tick.backends) = (&at, all);
        let full = event("tick", &tick);
        tick.backends = changed;
        tick.overlay = tick.overlay.filter(|_| rest.overlay != self.rest.overlay);
        tick.sources = tick.sources.filter(|_| rest.sources != self.rest.sources);
        let delta = event("tick", &tick);
        drop(tick);
        (self.backends, self.rest, self.known) = (rows, rest, Some(status));
        Frame {
            shape: self.shape,
            seq: self.seq,
            at: Instant::now(),
            shaped: self.shaped.clone(),
            full: Bytes::from(full),
            delta: Bytes::from(delta),
        }
    }

    /// With what there was before where it is the same: to tell of a thousand backends anew costs
    /// more than all the rest of a frame.
    fn complete(&mut self, mut news: Status, policy: &Policy) -> Status {
        match self.known.take() {
            Some(known) if known.policy.generation == news.policy.generation => {
                news.listeners = known.listeners;
                news.routes = known.routes;
                news.pools = known.pools;
            }
            _ => {
                let shaped = event("shape", &Shape::of(&news, policy));
                if shaped.as_bytes() != &*self.shaped {
                    self.shape += 1;
                    self.shaped = Bytes::from(shaped);
                }
            }
        }
        news
    }

    fn changed<'r>(&self, rows: &'r [Row]) -> Backends<'r> {
        let other = |(place, row): &(usize, &Row)| self.backends.get(*place) != Some(*row);
        Backends::Some(rows.iter().enumerate().filter(other).collect())
    }
}

impl Rest {
    fn of(status: &Status) -> Self {
        let text = |json: serde_json::Result<String>| json.unwrap_or_default();
        Self {
            overlay: text(serde_json::to_string(&status.overlay)),
            sources: text(serde_json::to_string(&status.sources)),
        }
    }
}

/// Without its time and its backends.
fn tick<'t>(
    seq: u64,
    status: &'t Status,
    turn: &Turn,
    known: &HashMap<&Subject, &Point>,
) -> Tick<'t> {
    let numbers = |subject: Subject| {
        known
            .get(&subject)
            .map_or(Numbers::default(), |p| (*p).into())
    };
    let listeners = status.listeners.iter();
    let routes = status.routes.iter();
    Tick {
        seq,
        at: "",
        uptime: status.uptime.round(),
        state: &status.state,
        generation: status.policy.generation,
        connections: turn.open,
        whole: numbers(Subject::Whole),
        listeners: listeners
            .map(|one| numbers(Subject::Listener(one.name.clone())))
            .collect(),
        routes: routes
            .map(|one| numbers(Subject::Route(one.name.clone())))
            .collect(),
        pools: status
            .pools
            .iter()
            .map(|one| pool_row(one, numbers(Subject::Pool(one.name.clone())), turn))
            .collect(),
        backends: Backends::All(&[]),
        contact: status.contact.as_ref(),
        overlay: Some(&status.overlay),
        sources: Some(&status.sources),
    }
}

fn pool_row<'t>(pool: &'t PoolStatus, numbers: Numbers, turn: &Turn) -> PoolRow<'t> {
    let waiting = turn.waiting.iter().find(|(name, _)| *name == pool.name);
    PoolRow(
        numbers.0,
        numbers.1,
        numbers.2,
        numbers.3,
        waiting.map_or(0, |(_, waiting)| *waiting),
        pool.panic.as_deref(),
    )
}

fn rows(status: &Status, known: &HashMap<&Subject, &Point>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(status.pools.iter().map(|pool| pool.backends.len()).sum());
    for pool in &status.pools {
        let start = rows.len();
        rows.extend(pool.backends.iter().map(|one| row(pool, one, known)));
        // The kernel knows what is left at a backend that is drained there.
        let direct = status.direct.iter().flat_map(|direct| &direct.backends);
        let drained = direct.filter(|one| one.pool == pool.name && one.state == "draining");
        for left in drained {
            let place = pool
                .backends
                .iter()
                .position(|one| one.name == left.backend);
            if let (Some(place), Some(direct)) = (place, &status.direct) {
                rows[start + place].5 = direct.left(&pool.name, &left.backend);
            }
        }
    }
    rows
}

fn row(pool: &PoolStatus, one: &BackendStatus, known: &HashMap<&Subject, &Point>) -> Row {
    let subject = Subject::Backend(pool.name.clone(), one.name.clone());
    let numbers = known.get(&subject);
    let Numbers(rate, errors, p99, in_flight) = numbers.map_or(Numbers::default(), |p| (*p).into());
    let state = state_place(&one.state);
    Row(state, one.weight, rate, errors, p99, in_flight, one.share)
}

impl From<&Point> for Numbers {
    fn from(point: &Point) -> Self {
        let p99 = point.p99.is_finite().then(|| rounded(point.p99, 1e5));
        Self(
            rounded(point.rate, 1e2),
            rounded(point.errors, 1e2),
            p99,
            point.in_flight,
        )
    }
}

fn rounded(number: f32, parts: f64) -> f32 {
    ((f64::from(number) * parts).round() / parts) as f32
}

/// As a server-sent event (HTML, 9.2.6); JSON has no line breaks of its own.
fn event(name: &str, data: &impl Serialize) -> String {
    match serde_json::to_string(data) {
        Ok(json) => format!("event: {name}\ndata: {json}\n\n"),
        Err(error) => format!(": {error}\n\n"),
    }
}
