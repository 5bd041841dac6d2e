use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `pool.discover`: where a pool's backends are found. Equal ones find the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Discover {
    /// At every address of a name.
    Dns {
        /// The name.
        host: String,
        /// The port of every backend.
        port: u16,
        /// How it is looked up.
        lookup: Lookup,
    },
    /// As the SRV records of a service say (RFC 2782).
    Srv {
        /// The service, such as `_http._tcp.app.internal`.
        service: String,
        /// How it is looked up.
        lookup: Lookup,
    },
    /// As their agents register them (`[agents]`).
    Agents {
        /// The pool that they register for.
        pool: String,
    },
    /// In a file of backends.
    File {
        /// The file.
        path: PathBuf,
    },
}

/// How a name is looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lookup {
    /// The name servers; empty: those of the system, after its hosts file.
    pub resolvers: Vec<SocketAddr>,
    /// From one lookup to the next; `None`: as long as the records hold.
    pub refresh: Option<Duration>,
}

impl Discover {
    /// The addresses of a name that stands among the backends themselves.
    pub fn name(host: impl Into<String>, port: u16) -> Self {
        Self::Dns {
            host: host.into(),
            port,
            lookup: Lookup::default(),
        }
    }
}

/// What tells it from others in metrics and messages: `dns app.internal:8080`,
/// `srv _http._tcp.app.internal @10.0.0.2:53`, `agents app`, `file /etc/pointsman/app.backends.toml`.
impl fmt::Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lookup = match self {
            Self::Dns { host, port, lookup } => {
                write!(f, "dns {host}:{port}")?;
                lookup
            }
            Self::Srv { service, lookup } => {
                write!(f, "srv {service}")?;
                lookup
            }
            Self::Agents { pool } => return write!(f, "agents {pool}"),
            Self::File { path } => return write!(f, "file {}", path.display()),
        };
        for (at, resolver) in lookup.resolvers.iter().enumerate() {
            write!(f, "{}{resolver}", if at == 0 { " @" } else { "," })?;
        }
        Ok(())
    }
}
