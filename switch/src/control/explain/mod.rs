//! `GET /explain`: which listener, route and backend a request would get now, and why. It asks the
//! router and the pools that requests are served with, and changes nothing.

mod answer;
mod choice;
mod kernel;
mod routing;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::Uri;
use pointsman_config::policy::{
    self, BindAddr, HashBy, LimitBy, Policy, Protocol, Rate, RouteLimit,
};

use super::direct::Direct;
use super::state::State;
use super::status::{OverlayStatus, PoolStatus, bind_word, overlay_statuses, pool_statuses};
use crate::route::{Asked, Split, affinity};
use crate::snapshot::{Action, ListenerSettings, Snapshot};

pub use answer::{
    BackendAnswer, Explained, ListenerAnswer, PassedOver, PoolAnswer, RouteAnswer, WatchPlace,
};

/// Header fields of a question at most.
const MAX_FIELDS: usize = 128;

/// A request that somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: String,
    /// Scheme, host and path.
    pub url: Uri,
    /// Header fields.
    pub fields: Vec<(String, String)>,
    /// Whom it is from; `None`: this machine.
    pub client: Option<IpAddr>,
    /// And from which port, which matters to direct pools alone.
    pub client_port: Option<u16>,
    /// The listener that it comes over; `None`: the one that the URL leads to.
    pub listener: Option<String>,
}

impl Question {
    /// Takes a question apart: pairs of `method`, `url`, `client`, `listener`, and `header` as
    /// `name: value`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut question = Self {
            method: "GET".to_owned(),
            url: Uri::default(),
            fields: Vec::new(),
            client: None,
            client_port: None,
            listener: None,
        };
        for (name, value) in pairs {
            match name.as_str() {
                "method" => question.method = method(&value)?,
                "url" => question.url = url(&value)?,
                "client" => {
                    let (client, port) = client(&value)?;
                    (question.client, question.client_port) = (Some(client), port);
                }
                "listener" => question.listener = Some(value),
                "header" if question.fields.len() < MAX_FIELDS => {
                    question.fields.push(field(&value)?);
                }
                "header" => return Err(format!("{MAX_FIELDS} header fields at most")),
                other => return Err(format!("`{other}` is not part of a question")),
            }
        }
        match question.url.host() {
            Some(_) => Ok(question),
            None => Err(BAD_URL.to_owned()),
        }
    }
}

const BAD_URL: &str = "write a URL with scheme and host, such as https://shop.example.com/path";

fn method(text: &str) -> Result<String, String> {
    let method = hyper::Method::from_bytes(text.as_bytes());
    let method = method.map_err(|_| format!("`{text}` is not a method"))?;
    Ok(method.as_str().to_owned())
}

fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|_| BAD_URL.to_owned())?;
    let scheme = url.scheme_str();
    match matches!(scheme, Some("http" | "https")) && url.host().is_some() {
        true => Ok(url),
        false => Err(BAD_URL.to_owned()),
    }
}

/// An address, perhaps with a port.
fn client(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(client) = text.parse::<SocketAddr>() {
        return Ok((client.ip(), Some(client.port())));
    }
    let client = text.parse::<IpAddr>().map(|client| (client, None));
    client.map_err(|_| format!("`{text}` is not an IP address"))
}

fn field(text: &str) -> Result<(String, String), String> {
    let bad = || format!("write a header field as \"name: value\", not {text:?}");
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let named = hyper::header::HeaderName::from_bytes(name.trim().as_bytes()).is_ok();
    let plain = !value.contains(['\r', '\n', '\0']);
    match named && plain {
        true => Ok((name.trim().to_owned(), value.trim().to_owned())),
        false => Err(bad()),
    }
}

fn limit(limit: &RouteLimit) -> String {
    let by = match &limit.by {
        LimitBy::ClientIp => "each client".to_owned(),
        LimitBy::Header(name) => format!("each value of {name}"),
        LimitBy::Route => "all clients together".to_owned(),
    };
    let Rate { count, per } = limit.rate;
    let (per, burst) = (per.as_secs(), limit.burst);
    format!("limited to {count} requests in {per} s, {burst} at once, for {by}")
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Look {
    policy: Arc<Policy>,
    snapshot: Arc<Snapshot>,
    pools: Vec<PoolStatus>,
    overlay: Vec<OverlayStatus>,
    addresses: Vec<(String, BindAddr)>,
    direct: Option<Arc<Direct>>,
}

impl Look {
    /// The state now; `addresses`: where it listens in fact; `direct`: who is asked about what the kernel
    /// passes on.
    pub fn at(
        state: &State,
        addresses: Vec<(String, BindAddr)>,
        direct: Option<Arc<Direct>>,
    ) -> Self {
        let snapshot = state.snapshot();
        Self {
            policy: state.policy().clone(),
            pools: pool_statuses(state, &snapshot),
            overlay: overlay_statuses(state, &snapshot),
            snapshot,
            addresses,
            direct,
        }
    }

    /// Explains what would become of a request.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn explain(&self, question: &Question) -> Result<Explained, String> {
        let (listener, why) = self.listener(question)?;
        let spec = &listener.policy;
        let request = self.request(question, spec);
        let mut explained = Explained {
            request: format!("{} {}", question.method, question.url),
            listener: ListenerAnswer {
                name: spec.name.clone(),
                why,
            },
            ..Explained::default()
        };
        if let Some(pool) = spec.protocol.pool() {
            explained.outcome = format!("every connection is forwarded to pool `{pool}`");
            let place = listener.pool.unwrap_or(usize::MAX);
            explained.pool = self.choose(place, &request);
            if listener.direct {
                explained.outcome = format!("the kernel passes packets on to pool `{pool}`");
                if let Some(pool) = &mut explained.pool {
                    self.ask_kernel(question, &spec.name, pool);
                }
            }
            return Ok(explained);
        }
        if let Some(redirect) = &spec.redirect {
            explained.outcome = format!(
                "this listener redirects every request: {} to {}",
                redirect.status, redirect.to
            );
            return Ok(explained);
        }
        let (found, route) = routing::find(&self.snapshot.routes.router, &self.policy, &request);
        explained.passed_over = route.passed_over;
        explained.not_matching = route.not_matching;
        let taken = found.and_then(|place| self.snapshot.routes.routes.get(place));
        let Some(taken) = taken else {
            explained.outcome = "no route takes it: 404, reason no_route".to_owned();
            return Ok(explained);
        };
        explained.route = Some(RouteAnswer {
            name: taken.name.clone(),
            conditions: route.held,
            limit: taken.limit.as_ref().map(limit),
        });
        explained.outcome = match &taken.action {
            Action::Pool(place) => {
                explained.pool = self.choose(*place, &request);
                let name = explained.pool.as_ref().map(|pool| pool.name.as_str());
                format!("forwarded to pool `{}`", name.unwrap_or_default())
            }
            Action::Split(split) => {
                let place = self.share(split, &request);
                explained.pool = place.and_then(|place| self.choose(place, &request));
                let name = explained.pool.as_ref().map(|pool| pool.name.as_str());
                format!(
                    "forwarded to pool `{}`, its share of a split",
                    name.unwrap_or_default()
                )
            }
            Action::Redirect(redirect) => {
                format!("redirected: {} to {}", redirect.status, redirect.to)
            }
            Action::Respond(respond) => format!("answered here: {}", respond.status),
        };
        Ok(explained)
    }

    /// Where to send a request that asks this; without a token yet.
    ///
    /// # Errors
    /// Why there is no such place.
    pub fn place(&self, question: &Question) -> Result<WatchPlace, String> {
        let (listener, _) = self.listener(question)?;
        let spec = &listener.policy;
        if spec.protocol != Protocol::Http {
            let why = format!(
                "listener `{}` does not speak HTTP: nothing is known of requests",
                spec.name
            );
            return Err(why);
        }
        let own = self.addresses.iter().filter(|(name, _)| *name == spec.name);
        Ok(WatchPlace {
            listener: spec.name.clone(),
            tls: spec.tls.is_some(),
            addresses: own.map(|(_, address)| bind_word(address)).collect(),
            ..WatchPlace::default()
        })
    }

    fn request(&self, question: &Question, listener: &policy::Listener) -> Asked {
        let host = question.url.authority().map_or("", |host| host.as_str());
        let target = question.url.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let client = question.client.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let given = |name: &str| {
            let mut fields = question.fields.iter();
            fields.find(|field| field.0.eq_ignore_ascii_case(name))
        };
        // As a client would: the Host field may be another one than the URL's.
        let host = given("host").map_or(host, |field| field.1.as_str());
        let asked = Asked::new(&question.method, host, target, client, &listener.name);
        let fields = question.fields.iter();
        let asked = fields.fold(asked, |asked, (name, value)| asked.with(name, value));
        match given("host") {
            Some(_) => asked,
            None => asked.with("host", host),
        }
    }

    /// The listener that a request comes over, and why it is that one.
    fn listener(&self, question: &Question) -> Result<(&Arc<ListenerSettings>, String), String> {
        let all = &self.snapshot.listeners;
        let names = |some: &[&Arc<ListenerSettings>]| {
            let names = some.iter().map(|one| one.policy.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        if let Some(name) = &question.listener {
            let found = all.iter().find(|one| one.policy.name == *name);
            let all: Vec<_> = all.iter().collect();
            let found = found.ok_or_else(|| {
                format!("there is no listener `{name}`; listeners: {}", names(&all))
            })?;
            return Ok((found, "it was named".to_owned()));
        }
        let secure = question.url.scheme_str() == Some("https");
        let usual = if secure { 443 } else { 80 };
        let port = question.url.port_u16().unwrap_or(usual);
        if let Some(found) = self.direct_listener(question, port) {
            return Ok((found, "it serves this very address".to_owned()));
        }
        let is_http = |one: &&Arc<ListenerSettings>| one.policy.protocol == Protocol::Http;
        let http: Vec<_> = all.iter().filter(is_http).collect();
        let keep = |keep: &dyn Fn(&ListenerSettings) -> bool| -> Vec<_> {
            http.iter().copied().filter(|one| keep(one)).collect()
        };
        let here = keep(&|one| self.listens_at(one, port));
        let tries = [
            (here, format!("it listens at port {port}")),
            (
                keep(&|one| one.policy.tls.is_some() == secure),
                format!(
                    "it is the only one for {}",
                    if secure { "https" } else { "http" }
                ),
            ),
            (http.clone(), "it is the only one for HTTP".to_owned()),
        ];
        for (found, why) in tries {
            if let [one] = found[..] {
                return Ok((one, why));
            }
        }
        Err(format!(
            "which listener is meant? name one with --listener: {}",
            names(&http)
        ))
    }

    fn listens_at(&self, listener: &ListenerSettings, port: u16) -> bool {
        let name = &listener.policy.name;
        let mut own = self.addresses.iter().filter(|(of, _)| of == name);
        own.any(|(_, address)| match address {
            BindAddr::Any(own) => *own == port,
            BindAddr::Socket(socket) => socket.port() == port,
            BindAddr::Unix(_) => false,
        })
    }

    /// The place of the pool that a split has for this client, as for a request that has come.
    fn share(&self, split: &Split, request: &Asked) -> Option<usize> {
        let key = affinity(request, split.by());
        let key = key.or_else(|| affinity(request, &HashBy::ClientIp));
        let pools = &self.snapshot.pools;
        let can_serve = |place: usize| pools.get(place).is_some_and(|pool| pool.can_serve());
        split.draw(key.unwrap_or_default(), can_serve)
    }

    fn choose(&self, place: usize, request: &Asked) -> Option<PoolAnswer> {
        let (pool, status) = (self.snapshot.pools.get(place)?, self.pools.get(place)?);
        Some(choice::explain(pool, status, &self.overlay, request))
    }
}
