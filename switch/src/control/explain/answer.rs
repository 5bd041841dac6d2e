//! The answer to a question.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What would become of a request now. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explained {
    /// The request.
    pub request: String,
    /// The listener that it comes over.
    pub listener: ListenerAnswer,
    /// What becomes of it, in words.
    pub outcome: String,
    /// The route that takes it.
    pub route: Option<RouteAnswer>,
    /// More specific routes that do not, in the order of trying.
    pub passed_over: Vec<PassedOver>,
    /// Other routes, for other hosts or paths.
    pub not_matching: usize,
    /// The pool that it is forwarded to.
    pub pool: Option<PoolAnswer>,
}

/// Where a request is to be sent that is watched, and with what. Another version may leave out or add
/// fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchPlace {
    /// The value of the field; it is good once, and for a minute.
    pub token: String,
    /// The name of the field.
    pub field: String,
    /// The listener's name.
    pub listener: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Where it listens.
    pub addresses: Vec<String>,
}

/// A listener, and why it is that one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerAnswer {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A route, and what holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteAnswer {
    /// Its name.
    pub name: String,
    /// Its conditions, all of which hold.
    pub conditions: Vec<String>,
    /// How often it may be asked, if that is limited; whether this request would be beyond it is not
    /// looked at.
    pub limit: Option<String>,
}

/// A route that was passed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassedOver {
    /// Its name.
    pub route: String,
    /// The first condition that fails.
    pub condition: String,
}

/// A pool and who of it would be chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolAnswer {
    /// Its name.
    pub name: String,
    /// How a backend is chosen.
    pub balance: String,
    /// While too few backends are healthy: what that means.
    pub panic: Option<String>,
    /// What is hashed, and whether the request has it.
    pub hash: Option<String>,
    /// Where the cookie leads that keeps clients with their backend, if there is one.
    pub sticky: Option<String>,
    /// The backend that is chosen, where that is certain.
    pub chosen: Option<String>,
    /// All backends.
    pub backends: Vec<BackendAnswer>,
}

/// A backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendAnswer {
    /// Its name.
    pub name: String,
    /// As in the status: `up`, `down`, `draining` and so on.
    pub state: String,
    /// The weight in force.
    pub weight: u32,
    /// Requests and TCP connections under way.
    pub in_flight: u32,
    /// How likely it is chosen as things stand, 0.0 to 1.0.
    pub share: f64,
    /// Why it is, or is not.
    pub why: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        writeln!(f, "listener {}: {}", self.listener.name, self.listener.why)?;
        for PassedOver { route, condition } in &self.passed_over {
            writeln!(f, "not route {route}: {condition} does not hold")?;
        }
        if let Some(route) = &self.route {
            let all = match route.conditions.as_slice() {
                [] => "it takes everything".to_owned(),
                conditions => format!("{} hold", conditions.join(", ")),
            };
            writeln!(f, "route {}: {all}", route.name)?;
            if let Some(limit) = &route.limit {
                writeln!(f, "  {limit}; beyond it 429, reason rate_limit")?;
            }
        }
        if self.not_matching > 0 {
            let count = self.not_matching;
            writeln!(f, "{count} other routes are for other hosts or paths")?;
        }
        writeln!(f, "{}", self.outcome)?;
        match &self.pool {
            Some(pool) => pool.fmt(f),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PoolAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.as_deref().map(|hash| format!(", {hash}"));
        let (name, hash) = (&self.name, hash.unwrap_or_default());
        writeln!(f, "pool {name}: {}{hash}", self.balance)?;
        if let Some(panic) = &self.panic {
            writeln!(f, "  {panic}")?;
        }
        if let Some(sticky) = &self.sticky {
            writeln!(f, "  {sticky}")?;
        }
        let width = self.backends.iter().map(|one| one.name.chars().count());
        let width = width.max().unwrap_or(0);
        for one in &self.backends {
            writeln!(
                f,
                "  {:width$}  {:10}  weight {:4}  {:5} under way  {:>4.0}%  {}",
                one.name,
                one.state,
                one.weight,
                one.in_flight,
                one.share * 100.0,
                one.why
            )?;
        }
        match &self.chosen {
            Some(name) => writeln!(f, "chosen: {name}"),
            None if self.backends.iter().any(|one| one.share > 0.0) => {
                writeln!(f, "chosen: one of these, as likely as the share says")
            }
            None => writeln!(f, "chosen: nobody; 503, reason no_backend"),
        }
    }
}
