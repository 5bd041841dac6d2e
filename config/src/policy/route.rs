use std::time::Duration;

use ipnet::IpNet;

use super::{Retry, RouteLimit, Split};

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The given name, or one made from the match (`shop.example.com/v1/*`, `default`).
    pub name: String,
    /// Which requests it takes.
    pub matches: Match,
    /// What becomes of them.
    pub action: Action,
    /// How the path changes on its way.
    pub rewrite: Option<Rewrite>,
    /// Edits of the request's fields.
    pub request_headers: HeaderEdits,
    /// Edits of the response's fields.
    pub response_headers: HeaderEdits,
    /// Time limits.
    pub timeouts: RouteTimeouts,
    /// The field that tells backends how many milliseconds they have left (lower-case name).
    pub deadline_header: Option<String>,
    /// When another backend is tried.
    pub retry: Retry,
    /// How often it may be asked; `None`: no limit.
    pub limit: Option<RouteLimit>,
    /// Bytes of a request's body; `None`: no limit.
    pub max_body: Option<u64>,
}

/// `route.match`. Every condition that is present must hold; an empty list is no condition; within
/// `hosts`, `paths`, `methods`, `clients` and `listeners` one hit suffices; of `headers`, `cookies`
/// and `query` every one must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// Host names, lower case, without port.
    pub hosts: Vec<HostPattern>,
    /// Paths.
    pub paths: Vec<PathPattern>,
    /// Methods, as written (they are case-sensitive, RFC 9110 9.1).
    pub methods: Vec<String>,
    /// Header fields; names in lower case.
    pub headers: Vec<(String, ValuePattern)>,
    /// Cookies.
    pub cookies: Vec<(String, ValuePattern)>,
    /// Query parameters, compared after percent-decoding.
    pub query: Vec<(String, ValuePattern)>,
    /// Client networks.
    pub clients: Vec<IpNet>,
    /// Names of the listeners on which the route holds.
    pub listeners: Vec<String>,
}

/// `match.host`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `shop.example.com`
    Exact(String),
    /// `*.example.com`, kept as `example.com`: one or more labels before it.
    Wildcard(String),
}

/// `match.path`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// `/v1/status`
    Exact(String),
    /// `/v1/*`, kept as `/v1`: that path and all below it. `/*` is kept as the empty string.
    Prefix(String),
}

/// A pattern for the value of a header, cookie or query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValuePattern {
    /// `"*"`: it is there.
    Present,
    /// `"abc"`
    Exact(String),
    /// `"abc*"`, kept as `abc`.
    Prefix(String),
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is forwarded to the pool of this name.
    Pool(String),
    /// It is forwarded to one of several pools.
    Split(Split),
    /// It is answered by a redirect.
    Redirect(Redirect),
    /// It is answered here.
    Respond(Respond),
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The Location; `{host}`, `{path}`, `{query}` and `{uri}` (path and query) are replaced by the
    /// request's own. `redirect = "https"` is `https://{host}{uri}`.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A fixed response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Its Content-Type.
    pub content_type: String,
}

/// `route.rewrite`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// `{ path = "/new" }`: the whole path; the query stays.
    Path(String),
    /// `{ prefix = "/new" }`: what the prefix pattern matched is replaced.
    Prefix(String),
}

/// `route.request_headers`, `route.response_headers`; names in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Replaces every field of that name.
    pub set: Vec<(String, String)>,
    /// Put beside those that are there.
    pub add: Vec<(String, String)>,
    /// Taken out.
    pub remove: Vec<String>,
}

/// `route.timeouts`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// From the request's last byte to the end of the response's head, per try.
    pub response: Duration,
    /// The whole exchange; `None`: no limit.
    pub total: Option<Duration>,
    /// Silence on an upgraded connection (WebSocket).
    pub tunnel: Duration,
}
