//! The resolved policy: what the operator's files mean, with every default filled in and every
//! reference checked. Everything downstream reads this and nothing else.

mod build;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::report::Report;

/// A whole policy that has passed every check.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Process-wide settings.
    pub process: Process,
    /// Where the admin interface listens.
    pub admin: Admin,
    /// The access log, if one is asked for.
    pub access_log: Option<AccessLog>,
    /// Listeners in the order of the file.
    pub listeners: Vec<Listener>,
    /// Routes in the order of the file. The order has no meaning.
    pub routes: Vec<Route>,
    /// Pools in the order of the file.
    pub pools: Vec<Pool>,
    /// The files that were read, the main file first: what a watch has to look at.
    pub sources: Vec<PathBuf>,
    /// The folders in which includes with wildcards looked: a watch sees new files there.
    pub folders: Vec<PathBuf>,
    /// A short hexadecimal digest of all that was read.
    pub digest: String,
    /// Warnings: the policy stands, but something in it is probably not meant.
    pub warnings: Report,
}

/// `[process]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Worker threads; `None` means one per usable core.
    pub workers: Option<NonZeroUsize>,
    /// How long connections may go on after the process was told to end.
    pub drain: Duration,
    /// Client connections that the process holds at most.
    pub max_connections: usize,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// `None` where no `[admin]` is written: the program then chooses a Unix socket.
    pub listen: Option<BindAddr>,
}

/// `[access_log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub target: LogTarget,
    /// The fields of a line, in order.
    pub fields: Vec<LogField>,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to, opened again on SIGHUP.
    File(PathBuf),
}

/// One field of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogField {
    /// `time`: RFC 3339 with milliseconds, when the request's head was complete.
    Time,
    /// `listener`: the listener's name.
    Listener,
    /// `client`: the client's address without the port.
    Client,
    /// `method`
    Method,
    /// `host`
    Host,
    /// `path`: without the query.
    Path,
    /// `query`
    Query,
    /// `protocol`: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// `status`
    Status,
    /// `reason`: the word for what went wrong, absent when nothing did.
    Reason,
    /// `route`
    Route,
    /// `pool`
    Pool,
    /// `backend`
    Backend,
    /// `attempts`: backends that were tried.
    Attempts,
    /// `duration`: seconds from the head to the last byte.
    Duration,
    /// `backend_duration`: seconds from the attempt to the answer's head.
    BackendDuration,
    /// `request_bytes`: body bytes from the client.
    RequestBytes,
    /// `response_bytes`: body bytes to the client.
    ResponseBytes,
    /// `user_agent`
    UserAgent,
    /// `referer`
    Referer,
}

impl LogField {
    /// What a line holds when nothing else is asked for: all but the fields that often carry
    /// personal data.
    pub const USUAL: [Self; 17] = [
        Self::Time,
        Self::Listener,
        Self::Client,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Protocol,
        Self::Status,
        Self::Reason,
        Self::Route,
        Self::Pool,
        Self::Backend,
        Self::Attempts,
        Self::Duration,
        Self::BackendDuration,
        Self::RequestBytes,
        Self::ResponseBytes,
    ];

    /// Every field.
    pub const ALL: [Self; 20] = [
        Self::Time,
        Self::Listener,
        Self::Client,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Query,
        Self::Protocol,
        Self::Status,
        Self::Reason,
        Self::Route,
        Self::Pool,
        Self::Backend,
        Self::Attempts,
        Self::Duration,
        Self::BackendDuration,
        Self::RequestBytes,
        Self::ResponseBytes,
        Self::UserAgent,
        Self::Referer,
    ];

    /// The name in the policy and in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Listener => "listener",
            Self::Client => "client",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Reason => "reason",
            Self::Route => "route",
            Self::Pool => "pool",
            Self::Backend => "backend",
            Self::Attempts => "attempts",
            Self::Duration => "duration",
            Self::BackendDuration => "backend_duration",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
            Self::UserAgent => "user_agent",
            Self::Referer => "referer",
        }
    }

    /// The field of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BindAddr {
    /// `":8080"`: that port on every address, IPv6 and IPv4.
    Any(u16),
    /// `"127.0.0.1:8080"`, `"[::1]:8080"`.
    Socket(SocketAddr),
    /// `"unix:/run/x.sock"`.
    Unix(PathBuf),
}

/// `[listener.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// NAME.
    pub name: String,
    /// Where clients connect; at least one.
    pub bind: Vec<BindAddr>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Certificate and key, if TLS is terminated.
    pub tls: Option<TlsFiles>,
    /// Every request is answered by a redirect (`redirect = "https"`).
    pub redirect: Option<Redirect>,
    /// Time limits.
    pub timeouts: ListenerTimeouts,
    /// Size and count limits.
    pub limits: ListenerLimits,
    /// Networks whose X-Forwarded-*, Forwarded and PROXY headers are believed.
    pub trusted: Vec<IpNet>,
    /// How doubtful requests are treated.
    pub desync: Desync,
}

/// `listener.protocol`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2.
    Http,
    /// Bytes are forwarded to the pool of this name.
    Tcp {
        /// The pool's name.
        pool: String,
    },
}

/// `tls = { cert = "...", key = "..." }`; both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// The certificate chain, the leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `listener.timeouts`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// Bytes per second that a body must come with, averaged over a few seconds.
    pub body_rate: u64,
    /// Between requests.
    pub idle: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
}

/// `listener.limits`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections that are held at once.
    pub connections: usize,
    /// Connections held at once per client address; `None`: no limit.
    pub connections_per_client: Option<usize>,
    /// Bytes of a request's head.
    pub head: usize,
    /// Header fields of a request.
    pub fields: usize,
    /// HTTP/2 streams at once per connection.
    pub streams: u32,
}

/// `listener.desync`: what happens to requests that two parsers may read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desync {
    /// Only compliant and acceptable requests pass.
    Strict,
    /// Ambiguous ones pass once made plain, on a connection that ends with them.
    Defensive,
    /// As `Defensive`; and everything that can be made plain is counted, not refused.
    Monitor,
}

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
    /// When another backend is tried.
    pub retry: Retry,
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

/// `route.retry`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Backends that a request is tried on at most, the first one counted; never the same one twice.
    pub attempts: u32,
    /// Also try methods that are not idempotent again when they may have reached the backend.
    pub unsafe_methods: bool,
}

/// `[pool.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// NAME.
    pub name: String,
    /// How a backend is chosen.
    pub balance: Balance,
    /// The servers; at least one.
    pub backends: Vec<Backend>,
    /// Active checks; `None`: backends are taken as up until a connection fails.
    pub health: Option<Health>,
    /// Time limits.
    pub timeouts: PoolTimeouts,
    /// `true`: routes forward to it, or a TCP listener does.
    pub used: bool,
}

/// `pool.balance`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round-robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// The less loaded of two random ones, by weight.
    LeastRequest,
    /// Maglev hashing.
    Hash(HashBy),
}

/// `pool.hash`: what is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    ClientIp,
    /// The request's path.
    Path,
    /// The value of a header field (lower-case name).
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a query parameter.
    Query(String),
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The given name, or the address as it is written.
    pub name: String,
    /// Where it listens.
    pub addr: BackendAddr,
    /// 0 to 1000; 0 takes no new requests.
    pub weight: u32,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendAddr {
    /// An address and port.
    Socket(SocketAddr),
    /// A name to look up, and a port.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// `pool.health`
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What is asked of the backend.
    pub check: Check,
    /// From one check to the next.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Failures in a row that take a backend out.
    pub fall: u32,
    /// Passes in a row that bring it back.
    pub rise: u32,
    /// Share of the interval by which checks are spread, 0.0 to 1.0.
    pub jitter: f64,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The connection is accepted.
    Tcp,
    /// A request is answered as expected.
    Http {
        /// Path and query.
        path: String,
        /// The Host field; `None`: the backend's address.
        host: Option<String>,
        /// Accepted status codes.
        status: Vec<RangeInclusive<u16>>,
        /// A text that the first 64 KiB of the body must hold.
        body: Option<String>,
    },
}

/// `pool.timeouts`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// Until a connection to a backend stands.
    pub connect: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle: Duration,
}
