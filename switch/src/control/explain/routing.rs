//! Which route takes a request, and why not another.

use pointsman_config::policy::{HostPattern, Match, PathPattern, Policy};
use pointsman_config::specificity::{Specificity, alternatives};

use super::answer::PassedOver;
use crate::route::{Asked, Condition, RequestView as _, Router, Witness, conditions, has_prefix};

/// Routes that are told of at most.
const SHOWN: usize = 50;

/// What is told of the routes.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The conditions of the route that takes it.
    pub(super) held: Vec<String>,
    /// More specific ones that do not.
    pub(super) passed_over: Vec<PassedOver>,
    /// Others, for other hosts or paths.
    pub(super) not_matching: usize,
}

/// Notes what the router passes over.
struct Notes<'p> {
    policy: &'p Policy,
    passed: Vec<(usize, PassedOver)>,
}

impl Witness for Notes<'_> {
    fn passed_over(&mut self, route: usize, condition: Condition<'_>) {
        let known = self.passed.iter().any(|(place, _)| *place == route);
        if known || self.passed.len() >= SHOWN {
            return;
        }
        let name = self
            .policy
            .routes
            .get(route)
            .map(|route| route.name.clone());
        let passed = PassedOver {
            route: name.unwrap_or_default(),
            condition: condition.to_string(),
        };
        self.passed.push((route, passed));
    }
}

/// The place of the route that takes the request.
pub(super) fn find(router: &Router, policy: &Policy, request: &Asked) -> (Option<usize>, Found) {
    let mut notes = Notes {
        policy,
        passed: Vec::new(),
    };
    let taken = router.find_before(request, &mut notes);
    let mut found = Found::default();
    let best = taken
        .and_then(|place| policy.routes.get(place))
        .map(|route| {
            found.held = held(&route.matches, request);
            rank(&route.matches, request)
        });
    let tried: Vec<usize> = notes.passed.iter().map(|(place, _)| *place).collect();
    found.passed_over = notes.passed.into_iter().map(|(_, passed)| passed).collect();
    for (place, route) in policy.routes.iter().enumerate() {
        if Some(place) == taken || tried.contains(&place) {
            continue;
        }
        match near_miss(&route.matches, best.flatten(), request) {
            Some(condition) if found.passed_over.len() < SHOWN => {
                found.passed_over.push(PassedOver {
                    route: route.name.clone(),
                    condition,
                });
            }
            _ if !fits(&route.matches, request) => found.not_matching += 1,
            _ => {}
        }
    }
    (taken, found)
}

/// The rank of the best pair of host and path that fits the request.
fn rank(matches: &Match, request: &Asked) -> Option<Specificity> {
    let all = alternatives(matches);
    let fitting = all.filter(|one| {
        one.host.is_none_or(|host| host_fits(host, request))
            && one.path.is_none_or(|path| path_fits(path, request))
    });
    fitting.map(|one| one.specificity).max()
}

fn fits(matches: &Match, request: &Asked) -> bool {
    rank(matches, request).is_some()
}

/// The path that a route for this very host asks for, if it would have come before.
fn near_miss(matches: &Match, best: Option<Specificity>, request: &Asked) -> Option<String> {
    let named = matches.hosts.iter().any(|host| host_fits(host, request));
    if !named || matches.paths.iter().any(|path| path_fits(path, request)) {
        return None;
    }
    let own = alternatives(matches).map(|one| one.specificity).max();
    let before = best.is_none_or(|best| own.is_some_and(|own| own > best));
    let paths: Vec<_> = matches.paths.iter().map(path_word).collect();
    before.then(|| format!("path = {paths:?}"))
}

fn held(matches: &Match, request: &Asked) -> Vec<String> {
    let mut hosts = matches.hosts.iter();
    let host = hosts.find(|host| host_fits(host, request));
    let mut paths = matches.paths.iter();
    let path = paths.find(|path| path_fits(path, request));
    let host = host.map(|host| match host {
        HostPattern::Exact(name) => format!("host = {name:?}"),
        HostPattern::Wildcard(name) => format!("host = \"*.{name}\""),
    });
    let path = path.map(|path| format!("path = {:?}", path_word(path)));
    let others = conditions(matches);
    host.into_iter().chain(path).chain(others).collect()
}

fn path_word(path: &PathPattern) -> String {
    match path {
        PathPattern::Exact(path) => path.clone(),
        PathPattern::Prefix(prefix) => format!("{prefix}/*"),
    }
}

fn host_fits(pattern: &HostPattern, request: &Asked) -> bool {
    match pattern {
        HostPattern::Exact(name) => name == request.host(),
        HostPattern::Wildcard(suffix) => {
            let label = request.host().strip_suffix(suffix.as_str());
            label.is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        }
    }
}

fn path_fits(pattern: &PathPattern, request: &Asked) -> bool {
    match pattern {
        PathPattern::Exact(path) => path == request.path(),
        PathPattern::Prefix(prefix) => has_prefix(request.path(), prefix),
    }
}
