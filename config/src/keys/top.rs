use super::agents::AGENTS;
use super::direct::DIRECT;
use super::trace::TRACE;
use super::{CONTACT, DAY, Format, Key, Kind, LISTENER, MIB, POOL, ROUTE, Section, TIB, ZERO};

/// The whole file.
pub static ROOT: Section = Section {
    name: "",
    doc: "A policy is one TOML file and what it includes. The order of tables has no meaning.",
    keys: &[
        Key::new(
            "include",
            Kind::OneOrMany(&Kind::Text(Format::IncludePattern)),
            "Files that are read as if their tables stood here: listeners, routes, pools, \
             contacts and defaults. Paths are relative to this file; `*`, `?`, `[a-z]` and `{a,b}` match within \
             one part of a path. Matches are read in sorted order. Included files cannot include \
             others.",
            "[\"conf.d/*.toml\"]",
        ),
        Key::new(
            "process",
            Kind::Table(&PROCESS),
            "Settings of the whole process.",
            "{ workers = 4, drain = \"30s\" }",
        ),
        Key::new(
            "admin",
            Kind::Table(&ADMIN),
            "The admin interface: dashboard, API, `/metrics`, `/ready`.",
            "{ listen = \"127.0.0.1:9900\" }",
        ),
        Key::new(
            "access_log",
            Kind::Table(&ACCESS_LOG),
            "One line of JSON per request. Without this table there is no access log.",
            "{ path = \"stdout\" }",
        ),
        Key::new(
            "trace",
            Kind::Table(&TRACE),
            "Distributed traces. Without this table, fields of traces pass untouched.",
            "{ endpoint = \"http://collector:4318/v1/traces\" }",
        ),
        Key::new(
            "listener",
            Kind::Named(&LISTENER),
            "Where clients connect. At least one is needed.",
            "{ web = { bind = \":8080\" } }",
        ),
        Key::new(
            "route",
            Kind::List(&ROUTE),
            "Which requests go where. The most specific route that matches takes a request.",
            "[{ pool = \"app\" }]",
        ),
        Key::new(
            "pool",
            Kind::Named(&POOL),
            "Servers that requests are shared out among.",
            "{ app = { backends = [\"127.0.0.1:3000\"] } }",
        ),
        Key::new(
            "contact",
            Kind::TableOrList(&CONTACT),
            "Addresses that several switches hold between them: clients keep the address, whichever \
             switch answers at it. One table `[contact]`, or several `[[contact]]`, also of included \
             files.",
            "{ address = \"192.0.2.10/24\", interface = \"eth0\", group = 51 }",
        ),
        Key::new(
            "agents",
            Kind::Table(&AGENTS),
            "Where agents register servers, for pools with `discover = { agents = true }`.",
            "{ listen = \"10.0.0.1:9113\", secret = \"a long text that nobody can guess\" }",
        ),
        Key::new(
            "defaults",
            Kind::Table(&DEFAULTS),
            "Values that every listener, route, pool or contact takes over. Tables are merged key by key: a \
             pool that writes only `health = { path = \"/up\" }` keeps the other health keys from \
             here.",
            "{ pool = { health = { path = \"/healthz\" } } }",
        ),
    ],
};

static PROCESS: Section = Section {
    name: "process",
    doc: "Settings of the whole process.",
    keys: &[
        Key::new(
            "workers",
            Kind::Integer { min: 1, max: 1024 },
            "Worker threads. Without it there is one per usable core.",
            "4",
        ),
        Key::new(
            "drain",
            Kind::Duration {
                min: ZERO,
                max: DAY,
            },
            "How long connections may go on after the process was told to end.",
            "\"1m\"",
        )
        .default("\"30s\""),
        Key::new(
            "max_connections",
            Kind::Integer {
                min: 1,
                max: 16_777_216,
            },
            "Client connections that the process holds at most.",
            "100000",
        )
        .default("65536"),
        Key::new(
            "max_buffers",
            Kind::Size { min: MIB, max: TIB },
            "Memory for bytes under way. Beyond it new requests get 503 until others have ended.",
            "\"256MiB\"",
        )
        .default("\"1GiB\""),
        Key::new(
            "direct",
            Kind::Table(&DIRECT),
            "What all pools with `forward = \"direct\"` have in common.",
            "{ pins = \"/sys/fs/bpf/edge\" }",
        ),
    ],
};

static ADMIN: Section = Section {
    name: "admin",
    doc: "The admin interface.",
    keys: &[
        Key::new(
            "listen",
            Kind::Text(Format::Bind),
            "Where it listens. Without it the program uses a Unix socket in its run folder.",
            "\"127.0.0.1:9900\"",
        ),
        Key::new(
            "token",
            Kind::Text(Format::Free),
            "Who shows it (`Authorization: Bearer TOKEN`) may change something over TCP: 16 to 1024 \
             visible ASCII characters, best in a file that only the program may read. Without it, \
             changes are accepted over a Unix socket or a loopback address, and refused over any \
             other; with it, a loopback address asks for it as well.",
            "\"a-long-text-that-nobody-can-guess\"",
        ),
    ],
};

static ACCESS_LOG: Section = Section {
    name: "access_log",
    doc: "One line of JSON per request.",
    keys: &[
        Key::new(
            "path",
            Kind::Text(Format::File),
            "`stdout`, or a file that lines are appended to. The file is opened again on SIGHUP.",
            "\"/var/log/pointsman/access.log\"",
        )
        .default("\"stdout\""),
        Key::new(
            "fields",
            Kind::Many(&Kind::Word(LOG_FIELDS)),
            "The fields of a line, in this order. Without it: all but `query`, `user_agent` and \
             `referer`.",
            "[\"time\", \"client\", \"method\", \"path\", \"status\", \"duration\"]",
        ),
    ],
};

static DEFAULTS: Section = Section {
    name: "defaults",
    doc: "Values that are taken over by every listener, route, pool or contact.",
    keys: &[
        Key::new(
            "listener",
            Kind::Defaults(&LISTENER),
            "For every listener.",
            "{ timeouts = { idle = \"30s\" } }",
        ),
        Key::new(
            "route",
            Kind::Defaults(&ROUTE),
            "For every route.",
            "{ max_body = \"10MiB\" }",
        ),
        Key::new(
            "pool",
            Kind::Defaults(&POOL),
            "For every pool.",
            "{ balance = \"random\" }",
        ),
        Key::new(
            "contact",
            Kind::Defaults(&CONTACT),
            "For every contact.",
            "{ interface = \"eth0\", peers = [\"10.0.0.11\", \"10.0.0.12\"] }",
        ),
    ],
};

/// The fields of an access log line.
pub const LOG_FIELDS: &[(&str, &str)] = &[
    ("time", "when the request's head was complete, RFC 3339"),
    ("listener", "the listener's name"),
    ("client", "the client's address"),
    ("method", "the method"),
    ("host", "the host"),
    ("path", "the path without the query"),
    ("query", "the query"),
    ("protocol", "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`"),
    ("status", "the status code"),
    (
        "reason",
        "the word for what went wrong, absent when nothing did",
    ),
    ("route", "the route's name"),
    ("pool", "the pool's name"),
    ("backend", "the backend's name"),
    ("attempts", "backends that were tried"),
    ("duration", "seconds from the head to the last byte"),
    (
        "backend_duration",
        "seconds from the attempt to the answer's head",
    ),
    ("request_bytes", "body bytes from the client"),
    ("response_bytes", "body bytes to the client"),
    (
        "trace_id",
        "the id of the request's trace, absent without `[trace]`",
    ),
    ("user_agent", "the User-Agent field"),
    ("referer", "the Referer field"),
];
