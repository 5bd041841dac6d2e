use std::collections::{HashMap, HashSet};

use crate::decode::Decoded;
use crate::diagnostics::Diagnostics;
use crate::policy::{HostPattern, Match, PathPattern};

/// The longest derived name, in characters.
const MAX_DERIVED: usize = 128;

/// Refuses a name that two routes have, and names the routes that have none by their match.
pub(super) fn name_routes(decoded: &mut Decoded, d: &mut Diagnostics) {
    let mut given = HashMap::new();
    for route in &decoded.routes {
        let Some(place) = route.places.name else {
            continue;
        };
        if let Some(first) = given.get(&route.item.name) {
            let other = d.sources.describe(*first);
            let message = format!("the name `{}` is already taken in {other}", route.item.name);
            d.error(place, "duplicate-name", message)
                .also(*first, "first taken here");
        } else {
            given.insert(route.item.name.clone(), place);
        }
    }
    let mut taken: HashSet<String> = given.into_keys().collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for route in decoded
        .routes
        .iter_mut()
        .filter(|route| route.places.name.is_none())
    {
        let derived = derived_name(&route.item.matches);
        let count = counts.entry(derived.clone()).or_default();
        let name = loop {
            *count += 1;
            let name = if *count == 1 {
                derived.clone()
            } else {
                format!("{derived}#{count}")
            };
            if taken.insert(name.clone()) {
                break name;
            }
        };
        route.item.name = name;
    }
}

/// A host and a path as an operator writes them: `shop.example.com/v1/*`; empty for neither.
pub(super) fn pattern(host: Option<&HostPattern>, path: Option<&PathPattern>) -> String {
    let host = match host {
        Some(HostPattern::Exact(host)) => host.clone(),
        Some(HostPattern::Wildcard(host)) => format!("*.{host}"),
        None => String::new(),
    };
    match path {
        Some(PathPattern::Exact(path)) => host + path,
        Some(PathPattern::Prefix(path)) => format!("{host}{path}/*"),
        None => host,
    }
}

/// `shop.example.com/v1/*`, `GET+POST:shop.example.com`, `*+x-canary`, `default`.
fn derived_name(matches: &Match) -> String {
    let mut name = pattern(matches.hosts.first(), matches.paths.first());
    if *matches == Match::default() {
        return "default".to_owned();
    }
    if name.is_empty() {
        name.push('*');
    }
    if !matches.methods.is_empty() {
        name = format!("{}:{name}", matches.methods.join("+"));
    }
    let conditions = [&matches.headers, &matches.cookies, &matches.query];
    for (condition, _) in conditions.into_iter().flatten() {
        name.push_str(&format!("+{condition}"));
    }
    for client in matches.clients.iter().take(1) {
        name.push_str(&format!("+{client}"));
    }
    for listener in matches.listeners.iter().take(1) {
        name.push_str(&format!("@{listener}"));
    }
    name.chars().take(MAX_DERIVED).collect()
}
