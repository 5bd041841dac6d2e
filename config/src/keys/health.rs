use super::{Format, HOUR, Key, Kind, MILLISECOND, Section};

/// `health` of a pool.
pub(super) static HEALTH: Section = Section {
    name: "health",
    doc: "Active checks.",
    keys: &[
        Key::new(
            "path",
            Kind::Text(Format::PathAndQuery),
            "Asks for this path.",
            "\"/healthz\"",
        ),
        Key::new(
            "host",
            Kind::Text(Format::Authority),
            "The Host field of the request, or the authority of the call. Without it: the \
             backend's address.",
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
            "grpc",
            Kind::AnyOf(&[Kind::Text(Format::GrpcService), Kind::Bool]),
            "Asks by the gRPC health checking protocol, over HTTP/2, for this service; \
             `true` for the server as a whole. SERVING passes.",
            "\"shop.Cart\"",
        ),
        Key::new(
            "send",
            Kind::Text(Format::Bytes),
            "Sends this on a connection. Beside what TOML knows, `\\xFF` stands for any byte; \
             literal strings ('...') keep it readable.",
            "'PING\\r\\n'",
        ),
        Key::new(
            "expect",
            Kind::Text(Format::Bytes),
            "What has to come, anywhere in the first 64 KiB. Written like `send`.",
            "\"+PONG\"",
        ),
        Key::new(
            "steps",
            Kind::Many(&Kind::Table(&STEP)),
            "A longer conversation: pairs of `send` and `expect`, one after the other. Either may \
             be left out.",
            "[{ expect = \"220 \" }, { send = 'QUIT\\r\\n', expect = \"221 \" }]",
        ),
        Key::new(
            "port",
            Kind::Integer { min: 1, max: 65535 },
            "Another port of the backend's host to check. Without it: the backend's own.",
            "8081",
        ),
        Key::new(
            "interval",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(10),
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

static STEP: Section = Section {
    name: "step",
    doc: "One exchange of a conversation.",
    keys: &[
        Key::new(
            "send",
            Kind::Text(Format::Bytes),
            "What is sent; without it, only `expect` is waited for.",
            "'EHLO lb\\r\\n'",
        ),
        Key::new(
            "expect",
            Kind::Text(Format::Bytes),
            "What has to come before the next step.",
            "\"250 \"",
        ),
    ],
};
