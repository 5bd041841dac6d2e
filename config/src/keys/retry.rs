use super::{DAY, Format, HOUR, Key, Kind, MILLISECOND, Section};

/// `route.retry`
pub(super) static RETRY: Section = Section {
    name: "retry",
    doc: "When another backend is tried. A failed connection is always safe to try again; what may \
          have reached a backend is tried again only for idempotent methods and requests with an \
          `Idempotency-Key`, and never once content of the request was passed on.",
    keys: &[
        Key::new(
            "attempts",
            Kind::Integer { min: 1, max: 10 },
            "Backends that a request is tried on at most, the first one counted; never the same one \
             twice.",
            "2",
        )
        .default("3"),
        Key::new(
            "on",
            Kind::Many(&Kind::AnyOf(&[
                Kind::Word(&[
                    ("connect", "no connection came about"),
                    (
                        "reset",
                        "the backend ended the connection before its answer",
                    ),
                    (
                        "timeout",
                        "no answer came within `timeouts.response`; the backend may still be at work",
                    ),
                    (
                        "5xx",
                        "an answer of that class; the last one is passed on when no other backend \
                         can be tried",
                    ),
                ]),
                Kind::Integer { min: 400, max: 599 },
                Kind::Text(Format::Statuses),
            ])),
            "After which failures another backend is tried, as far as that is safe: these words, \
             or codes from 400 to 599 and ranges of them. `[]`: after none.",
            "[\"connect\", \"reset\", \"502-504\"]",
        )
        .default("[\"connect\", \"reset\"]"),
        Key::new(
            "budget",
            Kind::Share,
            "Further tries and hedges at most, as a share of the pool's requests of the last ten \
             seconds; three a second are allowed in any case. A try after a connection that did not \
             come about is not counted: it burdens nobody.",
            "\"10%\"",
        )
        .default("\"20%\""),
        Key::new(
            "per_try",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "From the choice of a backend to the end of its answer's head; then the next one is \
             tried. Holds for requests that may be sent again and have no body. Without it: \
             `timeouts.response` alone.",
            "\"2s\"",
        ),
        Key::new(
            "hedge",
            Kind::AnyOf(&[
                Kind::Duration {
                    min: MILLISECOND,
                    max: HOUR,
                },
                Kind::Word(&[
                    ("p50", "what half of the pool's answers take"),
                    ("p75", "what a quarter of them exceed"),
                    ("p90", "what one of ten exceeds"),
                    ("p95", "what one of twenty exceeds"),
                    ("p99", "what one of a hundred exceeds"),
                ]),
                Kind::False,
            ]),
            "For GET, HEAD and OPTIONS without a body: when no answer has begun after so long, \
             another backend is asked as well. The first answer counts, and the other try is broken \
             off. Such tries count as `attempts`, and against the `budget`; interim answers (103) \
             are not passed on.",
            "\"50ms\"",
        ),
        Key::new(
            "unsafe",
            Kind::Bool,
            "Also try methods that are not idempotent again when they may have reached the backend.",
            "true",
        )
        .default("false"),
    ],
};
