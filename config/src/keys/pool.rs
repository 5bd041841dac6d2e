use super::discover::DISCOVER;
use super::sticky::STICKY;
use super::{DAY, Format, HOUR, Key, Kind, MILLISECOND, MINUTE, Section};

/// `[pool.NAME]`
pub static POOL: Section = Section {
    name: "pool",
    doc: "Servers that requests are shared out among.",
    keys: &[
        BACKENDS,
        DISCOVER,
        Key::new(
            "balance",
            Kind::Word(&[
                ("round-robin", "one after the other, by weight"),
                ("random", "at random, by weight"),
                (
                    "least-request",
                    "the less loaded of two random ones, by weight",
                ),
                ("hash", "always the same one for the same `hash`"),
            ]),
            "How a backend is chosen.",
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
            "With `balance = \"hash\"`: what is hashed. Without it: the client's address.",
            "{ header = \"X-User\" }",
        )
        .inherited(),
        Key::new(
            "health",
            Kind::AnyOf(&[Kind::Table(&HEALTH), Kind::False]),
            "Active checks. With `path` a request is made, without it a connection. Without this \
             table backends are taken as up until a connection fails; `false` turns inherited \
             checks off.",
            "{ path = \"/healthz\", interval = \"2s\" }",
        )
        .inherited(),
        STICKY,
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
    ],
};

static HASH: Section = Section {
    name: "hash",
    doc: "What is hashed; one of these.",
    keys: &[
        Key::new(
            "header",
            Kind::Text(Format::FieldName),
            "A header field.",
            "\"X-User\"",
        ),
        Key::new(
            "cookie",
            Kind::Text(Format::CookieName),
            "A cookie.",
            "\"session\"",
        ),
        Key::new(
            "query",
            Kind::Text(Format::Free),
            "A query parameter.",
            "\"user\"",
        ),
    ],
};

static HEALTH: Section = Section {
    name: "health",
    doc: "Active checks.",
    keys: &[
        Key::new(
            "path",
            Kind::Text(Format::PathAndQuery),
            "Asks for this path. Without it, a check is an accepted connection.",
            "\"/healthz\"",
        ),
        Key::new(
            "host",
            Kind::Text(Format::Authority),
            "The Host field of the request. Without it: the backend's address.",
            "\"shop.example.com\"",
        ),
        Key::new(
            "status",
            Kind::OneOrMany(&Kind::AnyOf(&[
                Kind::Integer { min: 100, max: 599 },
                Kind::Text(Format::Statuses),
            ])),
            "Accepted status codes.",
            "[200, \"300-399\"]",
        )
        .default("[\"200-299\"]"),
        Key::new(
            "body",
            Kind::Text(Format::Free),
            "A text that the first 64 KiB of the answer's body must hold.",
            "\"ok\"",
        ),
        Key::new(
            "interval",
            Kind::Duration {
                min: super::MILLISECOND.saturating_mul(10),
                max: HOUR,
            },
            "From one check to the next.",
            "\"5s\"",
        )
        .default("\"2s\""),
        Key::new(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "For one check.",
            "\"500ms\"",
        )
        .default("\"1s\""),
        Key::new(
            "fall",
            Kind::Integer { min: 1, max: 100 },
            "Failures in a row that take a backend out.",
            "2",
        )
        .default("3"),
        Key::new(
            "rise",
            Kind::Integer { min: 1, max: 100 },
            "Passes in a row that bring it back.",
            "1",
        )
        .default("2"),
        Key::new(
            "jitter",
            Kind::Share,
            "Share of the interval by which checks are spread.",
            "\"20%\"",
        )
        .default("\"10%\""),
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
