use std::collections::{HashMap, HashSet};

use crate::decode::{Decoded, Placed, RoutePlaces};
use crate::diagnostics::Diagnostics;
use crate::policy::{Action, HashBy, Protocol, Route};
use crate::source::Place;
use crate::suggest::{closest, listed, quoted};

/// Names shown when nothing is close to what was written.
const MAX_LISTED: usize = 8;

/// Finds what names refer to: the pools of routes and listeners, the listeners of routes. Marks the
/// pools that are used.
pub(super) fn resolve(decoded: &mut Decoded, d: &mut Diagnostics) {
    let errors = d.errors();
    let mut used = HashSet::new();
    resolve_pools(decoded, &mut used, d);
    resolve_listeners(decoded, d);
    for pool in &mut decoded.pools {
        pool.item.used = used.contains(&pool.item.name);
    }
    // A pool may be meant by a route that could not be read, or that names none that there is.
    let all_sound = d.errors() == errors
        && decoded.routes.iter().all(|route| route.sound)
        && decoded.listeners.iter().all(|listener| listener.sound);
    for pool in decoded
        .pools
        .iter()
        .filter(|pool| all_sound && !pool.item.used)
    {
        let message = format!("nothing uses the pool `{}`", pool.item.name);
        d.warning(pool.places.name, "unused-pool", message)
            .help(format!(
                "name it in a [[route]] with pool = \"{}\", or take it out",
                pool.item.name
            ));
    }
}

fn resolve_pools(decoded: &Decoded, used: &mut HashSet<String>, d: &mut Diagnostics) {
    let pools: HashMap<_, _> = decoded
        .pools
        .iter()
        .map(|pool| (pool.item.name.as_str(), &pool.item))
        .collect();
    let names = || decoded.pools.iter().map(|pool| pool.item.name.as_str());
    for route in &decoded.routes {
        for (name, place) in targets(route) {
            if pools.contains_key(name) {
                used.insert(name.to_owned());
            } else if !name.is_empty() || route.sound {
                report_unknown(d, place, "pool", name, names());
            }
        }
    }
    for listener in &decoded.listeners {
        let Some(name) = listener.item.protocol.pool() else {
            continue;
        };
        let Some(pool) = pools.get(name) else {
            if !name.is_empty() || listener.sound {
                report_unknown(d, listener.places.pool, "pool", name, names());
            }
            continue;
        };
        used.insert(name.to_owned());
        let direct = pool.forward.direct();
        if direct.is_some_and(|direct| !direct.fallback) {
            continue;
        }
        if pool.limit.as_ref().is_some_and(|limit| limit.adaptive) {
            let message = format!("the pool `{name}` learns its limit from answers");
            d.error(listener.places.pool, "conflicting-keys", message)
                .help("a tcp listener sees none: write limit = { requests = 100 } in the pool");
        }
        if let Some(by) = pool.balance.hash_by()
            && *by != HashBy::ClientIp
        {
            let message = format!("the pool `{name}` hashes by what only requests have");
            d.error(listener.places.pool, "conflicting-keys", message)
                .help("a tcp listener's pool can hash by \"client-ip\" alone");
        }
    }
}

/// The pools that a route names, and where.
fn targets(route: &Placed<Route, RoutePlaces>) -> Vec<(&str, Place)> {
    match &route.item.action {
        Action::Pool(name) => vec![(name, route.places.action)],
        Action::Split(split) => {
            let names = split.pools.iter().map(|(name, _)| name.as_str());
            names.zip(route.places.shares.iter().copied()).collect()
        }
        Action::Redirect(_) | Action::Respond(_) => Vec::new(),
    }
}

fn resolve_listeners(decoded: &Decoded, d: &mut Diagnostics) {
    let listeners: HashMap<_, _> = decoded
        .listeners
        .iter()
        .map(|listener| (listener.item.name.as_str(), &listener.item.protocol))
        .collect();
    for route in &decoded.routes {
        for (name, place) in route
            .item
            .matches
            .listeners
            .iter()
            .zip(&route.places.listeners)
        {
            match listeners.get(name.as_str()) {
                Some(Protocol::Http) => {}
                Some(protocol) => {
                    let word = protocol.word();
                    let message = format!("the listener `{name}` speaks {word} and has no routes");
                    d.error(*place, "conflicting-keys", message)
                        .help("take it out of this route");
                }
                None => {
                    let names = decoded
                        .listeners
                        .iter()
                        .map(|known| known.item.name.as_str());
                    report_unknown(d, *place, "listener", name, names);
                }
            }
        }
    }
}

fn report_unknown<'a>(
    d: &mut Diagnostics,
    place: Place,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) {
    let code = if what == "pool" {
        "unknown-pool"
    } else {
        "unknown-listener"
    };
    let found = d.error(place, code, format!("there is no {what} {}", quoted(name)));
    if let Some(close) = closest(name, known.clone()) {
        found.help(format!("did you mean `{close}`?"));
        return;
    }
    let some: Vec<_> = known.clone().take(MAX_LISTED).collect();
    found.help(match known.count() {
        0 => format!("write [{what}.{name}]"),
        count if count > MAX_LISTED => format!("there are {} and others", listed(some)),
        _ => format!("there are {}", listed(some)),
    });
}
