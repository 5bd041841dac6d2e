use std::path::PathBuf;

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
    /// `trace_id`: in hexadecimal, absent without `[trace]`.
    TraceId,
    /// `user_agent`
    UserAgent,
    /// `referer`
    Referer,
}

impl LogField {
    /// What a line holds when nothing else is asked for: all but the fields that often carry
    /// personal data.
    pub const USUAL: [Self; 18] = [
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
        Self::TraceId,
    ];

    /// Every field.
    pub const ALL: [Self; 21] = [
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
        Self::TraceId,
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
            Self::TraceId => "trace_id",
            Self::UserAgent => "user_agent",
            Self::Referer => "referer",
        }
    }

    /// The field of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}
