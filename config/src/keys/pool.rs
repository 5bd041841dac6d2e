use super::balance::{HASH, LOCALITY};
use super::direct::{DATAPATH, FALLBACK, FORWARD, ROUTE_OPTIMIZATION};
use super::discover::DISCOVER;
use super::eject::EJECT;
use super::health::HEALTH;
use super::pool_limit::{LIMIT, QUEUE};
use super::sticky::STICKY;
use super::{DAY, Format, HOUR, Key, Kind, MILLISECOND, MINUTE, Section};

/// `[pool.NAME]`
pub static POOL: Section = Section {
    name: "pool",
    doc: "Servers that requests are shared out among.",
    keys: &[
        BACKENDS,
        DISCOVER,
        FORWARD,
        DATAPATH,
        FALLBACK,
        ROUTE_OPTIMIZATION,
        Key::new(
            "tls",
            Kind::AnyOf(&[Kind::Bool, Kind::Table(&super::tls::POOL_TLS)]),
            "Speaks TLS with the backends, and verifies who they are: `true`, or a table that says how.",
            "{ ca = \"internal-ca.pem\" }",
        ),
        Key::new(
            "balance",
            Kind::Word(&[
                ("round-robin", "one after the other, by weight"),
                ("random", "at random, by weight"),
                (
                    "least-request",
                    "the less loaded of two random ones, by weight",
                ),
                (
                    "peak-ewma",
                    "of two random ones the one that answers sooner for what it has under way, by \
                     weight",
                ),
                ("hash", "always the same one for the same `hash`"),
                (
                    "locality",
                    "the one that has served the same `hash` before, for the sake of its cache, \
                     until it has too much to do",
                ),
            ]),
            "How a backend is chosen; docs/selection.md compares them.",
            "\"least-request\"",
        )
        .default("\"round-robin\"")
        .inherited(),
        Key::new(
            "hash",
            Kind::AnyOf(&[
                Kind::Word(&[
                    ("client-ip", "the client's address"),
                    ("path", "the request's path"),
                ]),
                Kind::Table(&HASH),
            ]),
            "What is hashed. Without it: with `balance = \"hash\"` the client's address, with \
             `balance = \"locality\"` the path.",
            "{ header = \"X-User\" }",
        )
        .inherited(),
        Key::new(
            "bound",
            Kind::Share,
            "With `balance = \"hash\"`: by how much a backend's load may exceed its fair share of \
             all that is under way; more goes to the next backend of the key. Without it: no \
             bound.",
            "\"25%\"",
        )
        .inherited(),
        Key::new(
            "decay",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(100),
                max: HOUR,
            },
            "With `balance = \"peak-ewma\"`: how long a slow answer is held against a backend. One \
             that has answered nothing for so long is asked again.",
            "\"5s\"",
        )
        .default("\"10s\"")
        .inherited(),
        Key::new(
            "locality",
            Kind::Table(&LOCALITY),
            "With `balance = \"locality\"`: when a target gets another backend.",
            "{ low = 8, high = 20 }",
        )
        .inherited(),
        Key::new(
            "spill",
            Kind::Share,
            "How much of a group's weight must be up for it to take everything. With less, the \
             group of the next `priority` takes the rest; with `\"0%\"` only when nothing of a \
             group is up.",
            "\"50%\"",
        )
        .default("\"70%\"")
        .inherited(),
        Key::new(
            "load_report",
            Kind::Bool,
            "Weighs backends by what they report of their load in the field \
             `endpoint-load-metrics` (ORCA) of answers and health checks. The field is not passed \
             on to clients.",
            "true",
        )
        .default("false")
        .inherited(),
        Key::new(
            "health",
            Kind::AnyOf(&[Kind::Table(&HEALTH), Kind::False]),
            "Active checks. With `path` a request is made, with `grpc` a call, with `send` and \
             `expect` a conversation; without them, a connection. Without this table backends are \
             taken as up until a connection fails, those of direct pools are checked by a connection \
             with the defaults below; `false` turns checks off.",
            "{ path = \"/healthz\", interval = \"2s\" }",
        )
        .inherited(),
        STICKY,
        Key::new(
            "limit",
            Kind::AnyOf(&[Kind::Table(&LIMIT), Kind::False]),
            "How much each backend may have under way. Without it there is no limit; `false` turns \
             an inherited one off.",
            "{ requests = 200 }",
        )
        .inherited(),
        Key::new(
            "queue",
            Kind::Table(&QUEUE),
            "With `limit`: where requests wait for a backend that has room.",
            "{ size = 50, timeout = \"200ms\" }",
        )
        .inherited(),
        Key::new(
            "eject",
            Kind::AnyOf(&[Kind::Table(&EJECT), Kind::False]),
            "Takes a backend out whose answers to clients fail though its checks pass. On with the \
             defaults below where nothing is written; `false` turns it off.",
            "{ errors = 5, for = \"30s\", max = \"50%\" }",
        )
        .inherited(),
        Key::new(
            "slow_start",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(100),
                max: HOUR,
            },
            "A backend that comes up while others serve begins with a tenth of its weight, and has \
             all of it after this time. It holds after a failed check, after an ejection, and for \
             backends that a reload adds; not at the start of the process.",
            "\"30s\"",
        )
        .inherited(),
        Key::new(
            "panic",
            Kind::Word(&[
                (
                    "spread",
                    "to all of them, but for those that are known to refuse connections",
                ),
                ("fail", "nowhere: they are answered with 503"),
            ]),
            "Where requests go when fewer backends are healthy than `panic_below`.",
            "\"fail\"",
        )
        .default("\"spread\"")
        .inherited(),
        Key::new(
            "panic_below",
            Kind::Share,
            "The share of healthy backends below which `panic` holds; \"0%\": never.",
            "\"20%\"",
        )
        .default("\"30%\"")
        .inherited(),
        Key::new(
            "timeouts",
            Kind::Table(&TIMEOUTS),
            "Time limits towards backends.",
            "{ connect = \"500ms\" }",
        )
        .inherited(),
    ],
};

/// `pool.backends`
pub(super) const BACKENDS: Key = Key::new(
    "backends",
    Kind::Many(&EITHER),
    "The servers: addresses, or tables where a weight or name is wanted. A pool needs `backends` or \
     `discover`.",
    "[\"10.0.0.1:8080\", { addr = \"10.0.0.2:8080\", weight = 2 }]",
);

static EITHER: Kind = Kind::AnyOf(&[Kind::Text(Format::Backend), Kind::Table(&BACKEND)]);

static BACKEND: Section = Section {
    name: "backend",
    doc: "One server.",
    keys: &[
        Key::new(
            "addr",
            Kind::Text(Format::Backend),
            "Where it listens.",
            "\"10.0.0.1:8080\"",
        )
        .required(),
        Key::new(
            "weight",
            Kind::Integer { min: 0, max: 1000 },
            "Its share relative to the others; 0 takes no new requests.",
            "2",
        )
        .default("1"),
        Key::new(
            "name",
            Kind::Text(Format::Name),
            "The name in metrics, logs and the dashboard. Without it: the address.",
            "\"blue-1\"",
        ),
        Key::new(
            "priority",
            Kind::Integer { min: 0, max: 9 },
            "Its group: 0 is used first, the next one as far as `spill` says.",
            "1",
        )
        .default("0"),
        Key::new(
            "backup",
            Kind::Bool,
            "Puts it into the last group, behind every `priority`.",
            "true",
        )
        .default("false"),
    ],
};

static TIMEOUTS: Section = Section {
    name: "timeouts",
    doc: "Time limits towards backends.",
    keys: &[
        Key::new(
            "connect",
            Kind::Duration {
                min: MILLISECOND,
                max: MINUTE.saturating_mul(10),
            },
            "Until a connection stands.",
            "\"500ms\"",
        )
        .default("\"2s\""),
        Key::new(
            "idle",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "How long an unused connection is kept. Keep it below what the backends themselves \
             allow, which is often 5 s.",
            "\"30s\"",
        )
        .default("\"4s\""),
    ],
};
