use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{Redirect, Tls};

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
    /// Certificates and keys, if TLS is terminated.
    pub tls: Option<Tls>,
    /// Every request is answered by a redirect (`redirect = "https"`).
    pub redirect: Option<Redirect>,
    /// Time limits.
    pub timeouts: ListenerTimeouts,
    /// Size and count limits.
    pub limits: ListenerLimits,
    /// Networks whose X-Forwarded-*, Forwarded and PROXY headers are believed.
    pub trusted: Vec<IpNet>,
    /// Connections from trusted networks begin with a PROXY protocol header.
    pub proxy_protocol: bool,
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
    /// Datagrams are forwarded to the pool of this name, which is a direct one.
    Udp {
        /// The pool's name.
        pool: String,
    },
}

impl Protocol {
    /// The name of the pool that everything is forwarded to, if no routes say where.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Http => None,
            Self::Tcp { pool } | Self::Udp { pool } => Some(pool),
        }
    }

    /// The word of the policy.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp { .. } => "tcp",
            Self::Udp { .. } => "udp",
        }
    }
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
    /// Silence on a connection that a `tcp` listener forwards.
    pub tunnel: Duration,
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
    /// Requests per client address; `None`: no limit.
    pub requests_per_client: Option<Rate>,
    /// Bytes of a request's head.
    pub head: usize,
    /// Header fields of a request.
    pub fields: usize,
    /// HTTP/2 streams at once per connection.
    pub streams: u32,
}

/// So many in such a time. All of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In which time.
    pub per: Duration,
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
