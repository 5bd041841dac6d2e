use super::{DAY, Format, HOUR, KIB, Key, Kind, MIB, MILLISECOND, Section};

/// `[listener.NAME]`
pub static LISTENER: Section = Section {
    name: "listener",
    doc: "Where clients connect.",
    keys: &[
        Key::new(
            "bind",
            Kind::OneOrMany(&Kind::Text(Format::Bind)),
            "The addresses to listen on. `\":8080\"` is that port on every address, IPv6 and IPv4; for a \
             direct pool, on every contact address.",
            "[\"127.0.0.1:8080\", \"[::1]:8080\"]",
        )
        .required(),
        Key::new(
            "protocol",
            Kind::Word(&[
                ("http", "HTTP/1.1 and HTTP/2, shared out by routes"),
                ("tcp", "bytes, forwarded to `pool`"),
                (
                    "udp",
                    "datagrams, forwarded to `pool`, which has `forward = \"direct\"`",
                ),
            ]),
            "What is spoken there.",
            "\"tcp\"",
        )
        .default("\"http\""),
        Key::new(
            "pool",
            Kind::Text(Format::PoolName),
            "With `protocol` \"tcp\" or \"udp\": the pool that connections or datagrams are forwarded to.",
            "\"database\"",
        ),
        Key::new(
            "tls",
            Kind::Table(&super::tls::TLS),
            "Certificates and keys; with them TLS is terminated here. They are watched: replace the files, \
             and new handshakes use them.",
            "{ cert = \"shop.pem\", key = \"shop.key\" }",
        ),
        Key::new(
            "redirect",
            Kind::AnyOf(&[
                Kind::Word(&[("https", "to the same host and path over https")]),
                Kind::Table(&super::route::REDIRECT),
            ]),
            "Answers every request by a redirect. `\"https\"` is short for \
             `{ to = \"https://{host}{uri}\", status = 308 }`.",
            "\"https\"",
        ),
        Key::new(
            "timeouts",
            Kind::Table(&TIMEOUTS),
            "Time limits towards clients.",
            "{ head = \"5s\", idle = \"30s\" }",
        )
        .inherited(),
        Key::new(
            "limits",
            Kind::Table(&LIMITS),
            "Size and count limits towards clients.",
            "{ connections_per_client = 100 }",
        )
        .inherited(),
        Key::new(
            "trusted",
            Kind::OneOrMany(&Kind::Text(Format::Network)),
            "Networks whose X-Forwarded-*, Forwarded and PROXY headers are believed. Those of \
             others are replaced.",
            "[\"10.0.0.0/8\"]",
        )
        .inherited(),
        Key::new(
            "proxy_protocol",
            Kind::Bool,
            "Connections from `trusted` networks begin with a PROXY protocol header (version 1 or 2) \
             that tells the client's address.",
            "true",
        )
        .default("false")
        .inherited(),
        Key::new(
            "desync",
            Kind::Word(&[
                ("strict", "only compliant requests pass"),
                (
                    "defensive",
                    "ambiguous ones pass once made plain, on a connection that ends",
                ),
                ("monitor", "what can be made plain passes and is counted"),
            ]),
            "How requests are treated that two parsers may read differently.",
            "\"defensive\"",
        )
        .default("\"strict\"")
        .inherited(),
    ],
};

static TIMEOUTS: Section = Section {
    name: "timeouts",
    doc: "Time limits towards clients.",
    keys: &[
        Key::new(
            "head",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "From a request's first byte to the end of its head.",
            "\"5s\"",
        )
        .default("\"10s\""),
        Key::new(
            "body_rate",
            Kind::ByteRate,
            "The least pace of a request's body, averaged over a few seconds; `\"0B/s\"` turns the \
             limit off.",
            "\"1KiB/s\"",
        )
        .default("\"240B/s\""),
        Key::new(
            "idle",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "Between requests.",
            "\"30s\"",
        )
        .default("\"60s\""),
        Key::new(
            "tunnel",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "Silence on a connection that a `tcp` listener forwards.",
            "\"10m\"",
        )
        .default("\"1h\""),
        Key::new(
            "handshake",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "The TLS handshake.",
            "\"5s\"",
        )
        .default("\"10s\""),
    ],
};

static LIMITS: Section = Section {
    name: "limits",
    doc: "Size and count limits towards clients.",
    keys: &[
        Key::new(
            "connections",
            Kind::Integer {
                min: 1,
                max: 16_777_216,
            },
            "Connections that are held at once. Without it, `process.max_connections` is the only \
             limit.",
            "10000",
        )
        .default("16777216"),
        Key::new(
            "connections_per_client",
            Kind::Integer {
                min: 1,
                max: 16_777_216,
            },
            "Connections that are held at once per client address. Without it there is no limit.",
            "100",
        ),
        Key::new(
            "requests_per_client",
            Kind::Rate,
            "Requests per client address; beyond it they get 429. A whole second's (minute's, hour's) \
             worth may come at once. Without it there is no limit.",
            "\"100/s\"",
        ),
        Key::new(
            "head",
            Kind::Size {
                min: KIB,
                max: 16 * MIB,
            },
            "A request's head.",
            "\"16KiB\"",
        )
        .default("\"64KiB\""),
        Key::new(
            "fields",
            Kind::Integer { min: 8, max: 4096 },
            "Header fields of a request.",
            "100",
        )
        .default("128"),
        Key::new(
            "streams",
            Kind::Integer {
                min: 1,
                max: 65_536,
            },
            "HTTP/2 streams at once per connection.",
            "250",
        )
        .default("100"),
    ],
};
