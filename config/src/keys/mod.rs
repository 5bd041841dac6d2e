//! The one table of keys: what may be written where, of which kind, with which default, and what it
//! means. The decoder, the reference page and the JSON Schema all read it.

mod agents;
mod balance;
mod contact;
mod direct;
mod discover;
mod eject;
mod former;
mod health;
mod later;
mod listener;
mod pool;
mod pool_limit;
mod retry;
mod route;
mod route_limit;
mod split;
mod sticky;
mod tls;
mod top;
mod trace;

use std::time::Duration;

pub use contact::CONTACT;
pub use discover::BACKENDS_FILE;
pub use former::{foreign_name, foreign_word};
pub use later::later_key;
pub use listener::LISTENER;
pub use pool::POOL;
pub use route::ROUTE;
pub use top::{LOG_FIELDS, ROOT};

/// A table of the language and its keys.
#[derive(Debug)]
pub struct Section {
    /// How the table is called where it has no key of its own: `pool`, `match`.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its keys, in the order of the reference page.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// In snake_case.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// The value when nothing is written, as TOML; `None`: nothing.
    pub default: Option<&'static str>,
    /// Whether the table makes no sense without it.
    pub required: bool,
    /// Whether `[defaults.*]` may hold it.
    pub inherited: bool,
    /// What it does; Markdown.
    pub doc: &'static str,
    /// A value worth showing, as TOML.
    pub example: &'static str,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, doc: &'static str, example: &'static str) -> Self {
        Self {
            name,
            kind,
            default: None,
            required: false,
            inherited: false,
            doc,
            example,
        }
    }

    const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn inherited(mut self) -> Self {
        self.inherited = true;
        self
    }
}

/// What may stand behind a key.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// `false` only: turns off what is inherited.
    False,
    /// A whole number.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// `"1m30s"`.
    Duration {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// `"10MiB"`.
    Size {
        /// Smallest, in bytes.
        min: u64,
        /// Largest, in bytes.
        max: u64,
    },
    /// `"240B/s"`.
    ByteRate,
    /// A number of events per second, minute or hour.
    Rate,
    /// `"20%"`.
    Share,
    /// One of these words, each with what it means.
    Word(&'static [(&'static str, &'static str)]),
    /// A text of this format.
    Text(Format),
    /// A table with these keys.
    Table(&'static Section),
    /// A table of tables, each under a name of the operator's choice.
    Named(&'static Section),
    /// An array of tables.
    List(&'static Section),
    /// One table, or an array of such tables.
    TableOrList(&'static Section),
    /// A table with those keys of the section that are inherited.
    Defaults(&'static Section),
    /// A table of texts under keys of the operator's choice.
    Map(Format, Format),
    /// A table of whole numbers under keys of the operator's choice.
    Numbers {
        /// What the keys are.
        key: Format,
        /// The smallest number.
        min: i64,
        /// The largest number.
        max: i64,
    },
    /// An array.
    Many(&'static Kind),
    /// A single value or an array of them.
    OneOrMany(&'static Kind),
    /// Any of these.
    AnyOf(&'static [Kind]),
}

impl Kind {
    /// What may stand here, with its article, for messages and the reference.
    pub fn noun(&self) -> String {
        match self {
            Self::Bool => "`true` or `false`".to_owned(),
            Self::False => "`false`".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { .. } => "a duration such as \"2s\"".to_owned(),
            Self::Size { .. } => "a size such as \"10MiB\"".to_owned(),
            Self::Rate => "a rate such as \"100/s\"".to_owned(),
            Self::ByteRate => "a rate such as \"240B/s\"".to_owned(),
            Self::Share => "a share such as \"20%\"".to_owned(),
            Self::Word(words) => {
                let words: Vec<_> = words
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                words.join(" or ")
            }
            Self::Text(format) => format.noun().to_owned(),
            Self::Table(_) | Self::Defaults(_) | Self::Map(..) => "a table".to_owned(),
            Self::Numbers { min, max, .. } => {
                format!("a table of whole numbers from {min} to {max}")
            }
            Self::Named(section) => format!("tables `[{}.NAME]`", section.name),
            Self::List(section) => format!("tables `[[{}]]`", section.name),
            Self::TableOrList(section) => {
                format!("a table `[{0}]`, or several `[[{0}]]`", section.name)
            }
            Self::Many(item) => format!("an array, each {}", item.noun()),
            Self::OneOrMany(item) => format!("{} or an array of such", item.noun()),
            Self::AnyOf(kinds) => kinds
                .iter()
                .map(Self::noun)
                .collect::<Vec<_>>()
                .join(" or "),
        }
    }

    /// The tables that may stand here.
    pub fn sections(&self) -> Vec<&'static Section> {
        match self {
            Self::Table(section)
            | Self::Named(section)
            | Self::List(section)
            | Self::TableOrList(section)
            | Self::Defaults(section) => vec![section],
            Self::Many(item) | Self::OneOrMany(item) => item.sections(),
            Self::AnyOf(kinds) => kinds.iter().flat_map(Self::sections).collect(),
            _ => Vec::new(),
        }
    }
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Any text.
    Free,
    /// A path or pattern of files to include.
    IncludePattern,
    /// A path of a file; relative ones start at the folder of the policy file.
    File,
    /// A name of the operator's choice.
    Name,
    /// A name of a pool.
    PoolName,
    /// A name of a listener.
    ListenerName,
    /// An address to listen on.
    Bind,
    /// An address of a backend.
    Backend,
    /// A name to look up, and a port.
    NameAndPort,
    /// A service that has SRV records.
    Service,
    /// An address of a name server.
    Resolver,
    /// A network in CIDR notation.
    Network,
    /// An IP address.
    Ip,
    /// An IP address and the length of its network's prefix.
    InterfaceAddress,
    /// A name of a network interface.
    Interface,
    /// A host, perhaps with a wildcard.
    Host,
    /// A path pattern.
    PathPattern,
    /// A path.
    Path,
    /// A path, perhaps with a query.
    PathAndQuery,
    /// A method.
    Method,
    /// A name of a header field.
    FieldName,
    /// A value of a header field.
    FieldValue,
    /// A name of a cookie.
    CookieName,
    /// A pattern of a value.
    ValuePattern,
    /// Where a redirect leads.
    Location,
    /// A host, perhaps with a port.
    Authority,
    /// A code or range of codes.
    Statuses,
    /// The name of a gRPC service.
    GrpcService,
    /// Bytes, with escapes for those that are no text.
    Bytes,
    /// A URL of the scheme `http`.
    HttpUrl,
}

impl Format {
    /// What it is, with its article.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Free => "a string",
            Self::IncludePattern => "a path such as \"conf.d/*.toml\"",
            Self::File => "a path of a file",
            Self::Name => "a name",
            Self::PoolName => "the name of a pool",
            Self::ListenerName => "the name of a listener",
            Self::Bind => "an address such as \":8080\"",
            Self::Backend => "an address such as \"10.0.0.1:8080\"",
            Self::NameAndPort => "a name and port such as \"app.internal:8080\"",
            Self::Service => "a service such as \"_http._tcp.app.internal\"",
            Self::Resolver => "an address such as \"10.0.0.2\" or \"127.0.0.1:8600\"",
            Self::Network => "a network such as \"10.0.0.0/8\"",
            Self::Ip => "an address such as \"10.0.0.11\"",
            Self::InterfaceAddress => "an address such as \"192.0.2.10/24\"",
            Self::Interface => "the name of a network interface",
            Self::Host => "a host such as \"shop.example.com\" or \"*.example.com\"",
            Self::PathPattern => "a path such as \"/status\" or \"/v1/*\"",
            Self::Path => "a path such as \"/v1\"",
            Self::PathAndQuery => "a path such as \"/healthz\"",
            Self::Method => "a method such as \"GET\"",
            Self::FieldName => "the name of a header field",
            Self::FieldValue => "the value of a header field",
            Self::CookieName => "the name of a cookie",
            Self::ValuePattern => "a value, a start such as \"abc*\", or \"*\" for any",
            Self::Location => "a location such as \"https://{host}{uri}\"",
            Self::Authority => "a host such as \"shop.example.com\"",
            Self::Statuses => "a code or range such as \"200-299\"",
            Self::GrpcService => "the name of a service such as \"shop.Cart\"",
            Self::Bytes => "a text such as \"PING\"",
            Self::HttpUrl => "a URL such as \"http://collector:4318/v1/traces\"",
        }
    }

    /// A regular expression (ECMA 262) that all texts of this format match; `None`: no restriction
    /// worth stating.
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Name => Some("^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"),
            Self::Bind => {
                Some(r"^(:[0-9]{1,5}|[0-9.]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}|unix:/.+)$")
            }
            Self::Backend => {
                Some(r"^([A-Za-z0-9._-]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}|unix:/.+)$")
            }
            Self::NameAndPort => Some(r"^[A-Za-z0-9._-]+:[0-9]{1,5}$"),
            Self::Service => Some("^[A-Za-z0-9._-]+$"),
            Self::Resolver => {
                Some(r"^([0-9A-Fa-f:.]+|[0-9.]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5})$")
            }
            Self::Network => Some(r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"),
            Self::Ip => Some("^[0-9A-Fa-f:.]+$"),
            Self::InterfaceAddress => Some("^[0-9A-Fa-f:.]+/[0-9]{1,3}$"),
            Self::Interface => Some(r"^[^/:%\s]{1,15}$"),
            Self::Host => Some(r"^((\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$"),
            Self::PathPattern => Some(r"^/[^?#*\s]*(/?\*)?$"),
            Self::Path => Some(r"^/[^?#\s]*$"),
            Self::PathAndQuery => Some(r"^/[^#\s]*$"),
            Self::Method => Some("^[!#$%&'*+.^_`|~0-9A-Z-]+$"),
            Self::FieldName | Self::CookieName => Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
            Self::FieldValue => Some(r"^[\t -~]*$"),
            Self::GrpcService => Some("^[A-Za-z_][A-Za-z0-9_.]*$"),
            Self::HttpUrl => Some(r"^http://[^#@\s]+$"),
            Self::Statuses => Some("^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"),
            _ => None,
        }
    }
}

const ZERO: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const TIB: u64 = 1024 * 1024 * MIB;
