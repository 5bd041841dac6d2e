use std::collections::{HashMap, HashSet};

use super::names::pattern;
use super::overlap::{covers, overlap};
use crate::decode::{Decoded, Placed, RoutePlaces};
use crate::diagnostics::Diagnostics;
use crate::policy::{HostPattern, PathPattern, Protocol, Route};
use crate::specificity::{Alternative, alternatives};

type PlacedRoute = Placed<Route, RoutePlaces>;

/// Routes by their alternatives: only those of one host and one path can be equal, and only those
/// can hide each other.
type Index<'r> = HashMap<
    (Option<&'r HostPattern>, Option<&'r PathPattern>),
    Vec<(&'r PlacedRoute, Alternative<'r>)>,
>;

/// Refuses routes of equal rank that meet; warns of routes that never take a request.
pub(super) fn check_routes(decoded: &Decoded, d: &mut Diagnostics) {
    let mut index = Index::new();
    for route in decoded.routes.iter().filter(|route| route.sound) {
        for alternative in alternatives(&route.item.matches) {
            let key = (alternative.host, alternative.path);
            index.entry(key).or_default().push((route, alternative));
        }
    }
    let mut equal = HashSet::new();
    for route in decoded.routes.iter().filter(|route| route.sound) {
        check_equal(route, &index, &mut equal, d);
    }
    if equal.is_empty() {
        check_reached(decoded, &index, d);
    }
}

/// Reports the first other route, written before this one, that has the same rank and meets it.
fn check_equal<'r>(
    route: &'r PlacedRoute,
    index: &Index<'r>,
    equal: &mut HashSet<*const PlacedRoute>,
    d: &mut Diagnostics,
) {
    for alternative in alternatives(&route.item.matches) {
        let rivals = index
            .get(&(alternative.host, alternative.path))
            .into_iter()
            .flatten();
        let earlier = rivals.take_while(|(rival, _)| !std::ptr::eq(*rival, route));
        let twin = earlier.filter(|(_, rival)| rival.specificity == alternative.specificity);
        let mut twin = twin.filter(|(rival, _)| overlap(&rival.item.matches, &route.item.matches));
        if let Some((twin, _)) = twin.next() {
            equal.insert(std::ptr::from_ref(route));
            let other = d.sources.describe(twin.places.route);
            let message = format!(
                "the routes `{}` and `{}` ({other}) match {} equally well",
                route.item.name,
                twin.item.name,
                match pattern(alternative.host, alternative.path) {
                    pair if pair.is_empty() => "the same requests".to_owned(),
                    pair => format!("`{pair}`"),
                }
            );
            d.error(route.places.route, "equal-routes", message)
                .also(twin.places.route, "the other route")
                .help("make one more specific; the order of routes has no meaning");
            return;
        }
    }
}

fn check_reached(decoded: &Decoded, index: &Index<'_>, d: &mut Diagnostics) {
    let answering: Vec<&str> = decoded
        .listeners
        .iter()
        .map(|listener| &listener.item)
        .filter(|listener| listener.protocol == Protocol::Http && listener.redirect.is_none())
        .map(|listener| listener.name.as_str())
        .collect();
    if decoded.listeners.iter().any(|listener| !listener.sound) {
        return;
    }
    for route in decoded.routes.iter().filter(|route| route.sound) {
        let wanted = &route.item.matches.listeners;
        let listeners: Vec<&str> = answering
            .iter()
            .copied()
            .filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
            .collect();
        if listeners.is_empty() {
            let message = format!("the route `{}` is never reached", route.item.name);
            d.warning(route.places.route, "unreachable-route", message)
                .help("its listeners answer every request by a redirect");
        } else if let Some(winner) = hidden_by(route, &listeners, index) {
            let other = d.sources.describe(winner.places.route);
            let message = format!(
                "the route `{}` is never reached: `{}` ({other}) always wins",
                route.item.name, winner.item.name
            );
            d.warning(route.places.route, "unreachable-route", message)
                .also(winner.places.route, "this route wins")
                .help("take one of them out, or make this one more specific");
        }
    }
}

/// A route that, perhaps along with others, takes every request of this one on all its listeners.
fn hidden_by<'r>(
    route: &PlacedRoute,
    listeners: &[&str],
    index: &Index<'r>,
) -> Option<&'r PlacedRoute> {
    let mut winner = None;
    for alternative in alternatives(&route.item.matches) {
        winner = Some(winner_over(route, &alternative, listeners, index)?);
    }
    winner
}

fn winner_over<'r>(
    route: &PlacedRoute,
    alternative: &Alternative<'_>,
    listeners: &[&str],
    index: &Index<'r>,
) -> Option<&'r PlacedRoute> {
    // `/*` takes every request that no path condition takes.
    let everything = PathPattern::Prefix(String::new());
    let mut keys = vec![(alternative.host, alternative.path)];
    if alternative.path.is_none() {
        keys.push((alternative.host, Some(&everything)));
    }
    let winners = keys
        .iter()
        .filter_map(|key| index.get(key))
        .flatten()
        .filter(|(rival, other)| {
            !std::ptr::eq(*rival, route)
                && other.specificity > alternative.specificity
                && covers(&rival.item.matches, &route.item.matches)
        });
    let mut open: HashSet<&str> = listeners.iter().copied().collect();
    for (rival, _) in winners {
        let held = &rival.item.matches.listeners;
        open.retain(|name| !held.is_empty() && !held.iter().any(|held| held == name));
        if open.is_empty() {
            return Some(rival);
        }
    }
    None
}
