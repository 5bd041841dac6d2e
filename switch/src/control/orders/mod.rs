//! What operators ask of single backends: drain, disable, enable, weight. What would leave a pool
//! without anybody to serve is refused, unless it is forced.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::clock::rfc3339;
use super::journal::Happening;
use super::overlay::{MAX_ENTRIES, Order, Overlay, OverlayEntry, backend_of};
use super::state::State;
use crate::pool::Member;

/// An order about one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendOrder {
    /// The pool's name.
    pub pool: String,
    /// The backend's name within it, or the name or address of one of its endpoints.
    pub backend: String,
    /// What to do. [`Order::Enable`] takes back everything that holds for the backend.
    pub order: Order,
    /// The operator's reason.
    pub why: String,
    /// For how long; `None`: until it is taken back.
    pub time: Option<Duration>,
    /// Though nobody would be left to serve.
    pub force: bool,
}

/// What has become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub backend: String,
    /// `active`, `draining` or `disabled`.
    pub duty: String,
    /// The weight in force.
    pub weight: u32,
    /// When it ends by itself, RFC 3339.
    pub until: Option<String>,
    /// Requests and TCP connections that are under way there.
    pub in_flight: u32,
    /// In words.
    pub text: String,
}

/// Why nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such pool or backend.
    Unknown(String),
    /// Nobody would be left to serve.
    Unsafe(String),
    /// There are too many entries.
    Full(String),
}

/// Carries an order out. It comes into force with [`State::publish`].
///
/// # Errors
/// Why nothing has changed.
pub fn carry_out(state: &mut State, asked: &BackendOrder) -> Result<Done, Refusal> {
    let (pool, backend) = find(state, &asked.pool, &asked.backend)?;
    let now = SystemTime::now();
    let mut overlay = state.overlay().clone();
    let changed = match asked.order {
        Order::Enable => overlay.take_back(&asked.pool, &backend, &asked.why, now),
        order => {
            let given = overlay.give(&asked.pool, &backend, order, &asked.why, asked.time, now);
            given.map_err(|_| full())?;
            true
        }
    };
    let (before, after) = match pool {
        Some(place) => (
            state.snapshot().pools[place].members.clone(),
            state.members_under(&overlay).swap_remove(place),
        ),
        None => (Vec::new(), Vec::new()),
    };
    let serves = |members: &[Member]| members.iter().any(Member::is_usable);
    if serves(&before) && !serves(&after) && !asked.force {
        let pool = &asked.pool;
        return Err(Refusal::Unsafe(format!(
            "no backend of pool `{pool}` would be left to serve its requests"
        )));
    }
    *state.overlay_mut() = overlay;
    let done = done(asked, &backend, &after, changed, now);
    let event = Happening::info("overlay", done.text.clone());
    let event = event
        .about("pool", &done.pool)
        .about("order", asked.order.word());
    state.journal().tell(event.about("backend", &done.backend));
    Ok(done)
}

/// Tells of entries that have ended by themselves.
pub fn tell_of_ended(state: &State, ended: &[OverlayEntry]) {
    for entry in ended {
        let text = match entry.order.as_str() {
            "weight" => format!(
                "{}/{} has the policy's weight again",
                entry.pool, entry.backend
            ),
            _ => format!("{}/{} takes requests again", entry.pool, entry.backend),
        };
        let text = format!("{text}: the time of `{}` is over", entry.order);
        state.journal().tell(about("overlay-ended", text, entry));
    }
}

/// Tells of orders that were given at another switch of the group.
pub fn tell_of_heard(state: &State, heard: &[OverlayEntry]) {
    for entry in heard {
        let text = format!(
            "`{}` of {}/{} was ordered at another switch",
            entry.order, entry.pool, entry.backend
        );
        state.journal().tell(about("overlay", text, entry));
    }
}

/// Tells of entries of which a reload has left no backend.
pub fn tell_of_stray(state: &mut State) {
    let overlay: Overlay = state.overlay().clone();
    let members = state.members_under(&overlay);
    for entry in overlay.stray(&members, SystemTime::now()) {
        let text = format!(
            "{}/{} is not in the policy any more; `{}` waits for it until it is taken back",
            entry.pool, entry.backend, entry.order
        );
        let event = about("overlay-stray", text, &entry);
        state.journal().tell(Happening {
            level: "warning".to_owned(),
            ..event
        });
    }
}

fn about(event: &str, text: String, entry: &OverlayEntry) -> Happening {
    let event = Happening::info(event, text).about("pool", &entry.pool);
    event
        .about("backend", &entry.backend)
        .about("order", &entry.order)
}

/// The pool's place and the name under which the order is kept. An entry whose pool or backend has
/// vanished can still be taken back.
fn find(state: &State, pool: &str, backend: &str) -> Result<(Option<usize>, String), Refusal> {
    let snapshot = state.snapshot();
    let kept = || {
        let entries = state.overlay().export(false, SystemTime::now());
        let mut entries = entries.into_iter();
        entries.any(|entry| entry.pool == pool && entry.backend == backend)
    };
    let Some(place) = snapshot.pools.iter().position(|one| one.name == pool) else {
        if kept() {
            return Ok((None, backend.to_owned()));
        }
        let names = snapshot.pools.iter().map(|pool| pool.name.as_str());
        return Err(unknown(
            &format!("there is no pool `{pool}`"),
            "pools",
            names,
        ));
    };
    let members = &snapshot.pools[place].members;
    let names = || members.iter().map(|member| member.endpoint.name.as_str());
    let of_one = names().find(|name| *name == backend);
    let of_all = members.iter().map(|member| backend_of(&member.endpoint));
    let by_address = || {
        let mut all = members.iter();
        let found = all.find(|member| member.endpoint.address.to_string() == backend)?;
        Some(found.endpoint.name.as_str())
    };
    let known = of_one.or_else(|| of_all.into_iter().find(|name| *name == backend));
    match known.or_else(by_address) {
        Some(name) => Ok((Some(place), name.to_owned())),
        None if kept() => Ok((Some(place), backend.to_owned())),
        None => Err(unknown(
            &format!("there is no backend `{backend}` in pool `{pool}`"),
            "backends",
            names(),
        )),
    }
}

fn unknown<'n>(what: &str, of: &str, names: impl Iterator<Item = &'n str>) -> Refusal {
    const SHOWN: usize = 20;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown = names[..names.len().min(SHOWN)].join(", ");
    Refusal::Unknown(format!("{what}; {of}: {shown}{more}"))
}

fn full() -> Refusal {
    Refusal::Full(format!(
        "there are {MAX_ENTRIES} entries already: take some back, or write them into the policy"
    ))
}

fn done(
    asked: &BackendOrder,
    backend: &str,
    after: &[Member],
    changed: bool,
    now: SystemTime,
) -> Done {
    let own = || {
        let is_own = |member: &&Member| {
            member.endpoint.name == backend || backend_of(&member.endpoint) == backend
        };
        after.iter().filter(is_own)
    };
    let first = own().next();
    let until = asked.time.and_then(|time| now.checked_add(time));
    let in_flight = own().map(|member| member.endpoint.in_flight()).sum();
    let name = format!("{}/{backend}", asked.pool);
    let what = match asked.order {
        Order::Drain => format!("{name} is draining"),
        Order::Disable => format!("{name} is disabled"),
        Order::Weight(weight) => format!("{name} has weight {weight}"),
        Order::Enable | Order::FileWeight if changed => format!("{name} is as in the policy"),
        Order::Enable | Order::FileWeight => format!("{name} was as in the policy already"),
    };
    let end = until.map(|until| format!(" until {}", rfc3339(until)));
    let why = (!asked.why.is_empty()).then(|| format!(" ({})", asked.why));
    Done {
        pool: asked.pool.clone(),
        backend: backend.to_owned(),
        duty: first
            .map_or("active", |member| member.duty.word())
            .to_owned(),
        weight: first.map_or(0, |member| member.weight),
        until: until.map(rfc3339),
        in_flight,
        text: format!(
            "{what}{}{}, {in_flight} under way",
            end.unwrap_or_default(),
            why.unwrap_or_default()
        ),
    }
}
