//! What there is to show: everything of a frame that seldom changes.

use std::collections::HashMap;

use pointsman_config::outline::Thing;
use pointsman_config::policy::{self, Action, Policy};
use serde::Serialize;

use crate::control::history::point::STATES;
use crate::control::status::{ShareStatus, Status};

/// The policy in force, as a map.
#[derive(Debug, Serialize)]
pub struct Shape<'s> {
    version: &'s str,
    pid: u32,
    digest: &'s str,
    file: Option<&'s str>,
    since: &'s str,
    /// Whether the policy has an admin token.
    token: bool,
    /// The words of the states, in the order of their places in rows.
    states: [&'static str; STATES.len()],
    listeners: Vec<Listener<'s>>,
    routes: Vec<Route<'s>>,
    pools: Vec<Pool<'s>>,
}

#[derive(Debug, Serialize)]
struct Listener<'s> {
    name: &'s str,
    protocol: &'s str,
    tls: bool,
    addresses: &'s [String],
    /// What it forwards everything to, or a redirect.
    pool: Option<&'s str>,
    redirect: bool,
}

#[derive(Debug, Serialize)]
struct Route<'s> {
    name: &'s str,
    /// Conditions as in the file; empty: every request.
    matches: Vec<String>,
    /// Where it holds; empty: everywhere.
    listeners: &'s [String],
    pool: Option<&'s str>,
    split: &'s [ShareStatus],
    /// What it answers itself.
    answer: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pool<'s> {
    name: &'s str,
    balance: &'s str,
    forward: &'static str,
    checked: bool,
    /// Names and addresses, in the order of the status.
    backends: Vec<(&'s str, Option<&'s str>)>,
}

impl<'s> Shape<'s> {
    /// Of what is in force.
    pub fn of(status: &'s Status, policy: &'s Policy) -> Self {
        Self {
            version: &status.version,
            pid: status.pid,
            digest: &status.policy.digest,
            file: status.policy.file.as_deref(),
            since: &status.policy.since,
            token: policy.admin.token.is_some(),
            states: STATES,
            listeners: listeners(status, policy),
            routes: routes(status, policy),
            pools: pools(status, policy),
        }
    }
}

fn listeners<'s>(status: &'s Status, policy: &'s Policy) -> Vec<Listener<'s>> {
    let by_name = |name: &str| policy.listeners.iter().find(|one| one.name == name);
    let listener = |one: &'s crate::control::status::ListenerStatus| {
        let known = by_name(&one.name);
        Listener {
            name: &one.name,
            protocol: &one.protocol,
            tls: one.tls,
            addresses: &one.addresses,
            pool: known.and_then(|known| known.protocol.pool()),
            redirect: known.is_some_and(|known| known.redirect.is_some()),
        }
    };
    status.listeners.iter().map(listener).collect()
}

fn routes<'s>(status: &'s Status, policy: &'s Policy) -> Vec<Route<'s>> {
    let known: HashMap<&str, &policy::Route> = policy
        .routes
        .iter()
        .map(|route| (route.name.as_str(), route))
        .collect();
    let things: HashMap<&str, &Thing> = policy
        .outline
        .things
        .iter()
        .filter(|thing| thing.kind == "route")
        .map(|thing| (thing.name.as_str(), thing))
        .collect();
    let route = |one: &'s crate::control::status::RouteStatus| {
        let known = known.get(one.name.as_str());
        Route {
            name: &one.name,
            matches: things
                .get(one.name.as_str())
                .map_or_else(Vec::new, |thing| conditions(thing)),
            listeners: known.map_or(&[], |known| &known.matches.listeners),
            pool: one.pool.as_deref(),
            split: &one.split,
            answer: known.and_then(|known| answer(&known.action)),
        }
    };
    status.routes.iter().map(route).collect()
}

fn conditions(thing: &Thing) -> Vec<String> {
    let settings = thing.settings.iter();
    let matches = settings.filter_map(|(key, value)| {
        let key = key.strip_prefix("match.")?;
        Some(format!("{key} = {value}"))
    });
    matches.collect()
}

fn answer(action: &Action) -> Option<String> {
    match action {
        Action::Pool(_) | Action::Split(_) => None,
        Action::Redirect(redirect) => Some(format!("{} to {}", redirect.status, redirect.to)),
        Action::Respond(respond) => Some(format!("{}", respond.status)),
    }
}

fn pools<'s>(status: &'s Status, policy: &'s Policy) -> Vec<Pool<'s>> {
    let by_name = |name: &str| policy.pools.iter().find(|one| one.name == name);
    let pool = |one: &'s crate::control::status::PoolStatus| {
        let known = by_name(&one.name);
        let backends = one.backends.iter();
        Pool {
            name: &one.name,
            balance: &one.balance,
            forward: match known.and_then(|known| known.forward.direct()) {
                Some(_) => "direct",
                None => "proxy",
            },
            checked: known.is_some_and(|known| known.health.is_some()),
            backends: backends
                .map(|one| (one.name.as_str(), one.address.as_deref()))
                .collect(),
        }
    };
    status.pools.iter().map(pool).collect()
}
