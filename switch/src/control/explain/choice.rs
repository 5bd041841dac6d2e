//! Which backend of a pool a request would get, and why not another.

use std::time::{SystemTime, UNIX_EPOCH};

use pointsman_config::policy::HashBy;

use super::answer::{BackendAnswer, PoolAnswer};
use crate::balance::{Candidate, Choice, Tried};
use crate::control::random::SplitMix;
use crate::control::status::{BackendStatus, OverlayStatus, PoolStatus};
use crate::endpoint::clock;
use crate::pool::{Member, Pool};
use crate::route::{Asked, affinity};

/// Choices that are made to see how they fall: as many turns and chances.
const TRIES: u64 = 2000;

/// Chooses many times, each with another turn and another chance, as the workers would, and looks
/// how often each backend is chosen.
pub(super) fn explain(
    pool: &Pool,
    status: &PoolStatus,
    overlay: &[OverlayStatus],
    request: &Asked,
) -> PoolAnswer {
    let hash = pool.hash_by.as_ref().and_then(|by| affinity(request, by));
    let home = home(pool, request);
    let counts = match home {
        Some(place) => (0..pool.members.len())
            .map(|own| u64::from(own == place))
            .collect(),
        None => counts(pool, hash),
    };
    let tries = counts.iter().sum::<u64>().max(1);
    let entry = |name: &str| {
        let by_hand = overlay.iter().filter(|entry| entry.pool == pool.name);
        let mut by_hand = by_hand.filter(|entry| entry.order != "weight");
        by_hand.find(|entry| name == entry.backend || is_part(name, &entry.backend))
    };
    let backends = status.backends.iter().zip(&pool.members).zip(&counts);
    let backends: Vec<_> = backends
        .map(|((backend, member), count)| BackendAnswer {
            name: backend.name.clone(),
            state: backend.state.clone(),
            weight: backend.weight,
            in_flight: backend.in_flight,
            share: *count as f64 / tries as f64,
            why: match entry(&backend.name) {
                Some(entry) => by_hand(entry),
                None => why(pool, member, backend, *count > 0),
            },
        })
        .collect();
    let certain = backends.iter().find(|one| one.share >= 1.0);
    PoolAnswer {
        name: pool.name.clone(),
        balance: status.balance.clone(),
        panic: status.panic.as_deref().map(panic),
        hash: pool.hash_by.as_ref().map(|by| hashed(by, hash)),
        sticky: pool.sticky.as_ref().map(|sticky| {
            let name = String::from_utf8_lossy(sticky.name());
            match home.and_then(|place| pool.members.get(place)) {
                Some(member) => format!("cookie {name} leads to {}", member.endpoint.name),
                None => format!("cookie {name} leads nowhere yet: a new one is set"),
            }
        }),
        chosen: certain.map(|one| one.name.clone()),
        backends,
    }
}

/// The place of the member to which the request's cookie leads.
fn home(pool: &Pool, request: &Asked) -> Option<usize> {
    let sticky = pool.sticky.as_ref()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_secs() as u32);
    let home = sticky.home(request.cookies(sticky.name()), now)?;
    let id = pool.candidates.get(home.candidate)?.endpoint.id;
    let mut members = pool.members.iter();
    members.position(|member| member.endpoint.id == id)
}

/// How often each member is chosen.
fn counts(pool: &Pool, hash: Option<u64>) -> Vec<u64> {
    let mut random = SplitMix::new(1);
    let tried = Tried::default();
    let now = if pool.wants_time { clock::now() } else { 0 };
    let mut counts = vec![0; pool.members.len()];
    for cursor in 0..TRIES {
        let choice = Choice {
            cursor,
            entropy: random.next_u64(),
            hash,
            now,
            tried: &tried,
        };
        let Some(chosen) = pool.foresee(&choice) else {
            break;
        };
        let is_it = |member: &Member| member.endpoint.id == chosen.id;
        if let Some(place) = pool.members.iter().position(is_it) {
            counts[place] += 1;
        }
    }
    counts
}

/// Whether it is one of the addresses of the backend.
fn is_part(endpoint: &str, backend: &str) -> bool {
    let rest = endpoint.strip_prefix(backend);
    rest.is_some_and(|rest| rest.starts_with(" ("))
}

fn by_hand(entry: &OverlayStatus) -> String {
    let until = entry.until.as_ref().map(|until| format!(" until {until}"));
    let reason = (!entry.why.is_empty()).then(|| format!(": {}", entry.why));
    let (until, reason) = (until.unwrap_or_default(), reason.unwrap_or_default());
    format!("taken out by hand{until}{reason}")
}

fn panic(word: &str) -> String {
    let what = match word {
        "fail" => "every request is refused",
        _ => "everything that may answer is a candidate",
    };
    format!("in panic, too few backends are healthy: {what}")
}

fn why(pool: &Pool, member: &Member, backend: &BackendStatus, chosen: bool) -> String {
    let endpoint = &member.endpoint;
    let is = |candidates: &[Candidate]| candidates.iter().any(|one| one.endpoint.id == endpoint.id);
    let is_candidate = is(&pool.candidates);
    match &backend.ejection {
        Some(ejection) if is_candidate => {
            format!("a candidate, though ejected ({})", ejection.reason)
        }
        Some(ejection) => format!("ejected until {}: {}", ejection.until, ejection.reason),
        None if backend.weight == 0 => "weight 0".to_owned(),
        None if (is_candidate || is(&pool.reserve)) && !endpoint.has_room() => {
            "a candidate, but as much is under way there as its limit allows".to_owned()
        }
        None if chosen && backend.share.is_some() => {
            let share = backend.share.unwrap_or_default() * 100.0;
            format!("a candidate, in its slow start: {share:.0} % of its weight")
        }
        None if chosen => "a candidate".to_owned(),
        None if is_candidate => "a candidate, and never the one that is chosen".to_owned(),
        None if is(&pool.reserve) => {
            format!(
                "stands by: those before priority {} take everything",
                member.priority
            )
        }
        None => unfit(backend),
    }
}

/// Why it is no candidate: its health.
fn unfit(backend: &BackendStatus) -> String {
    let last = backend.last_check.as_ref();
    let error = last.and_then(|check| check.error.as_deref());
    match (backend.health.as_str(), error) {
        ("starting", _) => "not checked yet, and others are up".to_owned(),
        (health, Some(error)) => format!("{health}: {error}"),
        (health, None) => health.to_owned(),
    }
}

fn hashed(by: &HashBy, hash: Option<u64>) -> String {
    let what = match by {
        HashBy::ClientIp => "the client's address".to_owned(),
        HashBy::Path => "the path".to_owned(),
        HashBy::Header(name) => format!("header {name}"),
        HashBy::Cookie(name) => format!("cookie {name}"),
        HashBy::Query(name) => format!("query parameter {name}"),
    };
    match hash {
        Some(_) => format!("by {what}"),
        None => format!("by {what}, which this request has not"),
    }
}
