use super::{Format, Key, Kind, Section};

/// `route.limit`
pub(super) static LIMIT: Section = Section {
    name: "limit",
    doc: "How often the route may be asked. What is beyond gets 429 with `Retry-After`, `RateLimit` \
          and `RateLimit-Policy`, and the reason `rate_limit`. 65,536 clients and keys are \
          remembered, of all routes and listeners; beyond that those are forgotten that have used \
          up least.",
    keys: &[
        Key::new(
            "rate",
            Kind::Rate,
            "How many requests may come in a second, minute or hour, evenly spread.",
            "\"100/s\"",
        )
        .required(),
        Key::new(
            "burst",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "How many may come at once after a pause. Without it: as many as `rate` allows in its \
             second, minute or hour.",
            "200",
        ),
        Key::new(
            "by",
            Kind::AnyOf(&[
                Kind::Word(&[
                    (
                        "client-ip",
                        "each client's address by itself; of IPv6 its /64",
                    ),
                    ("route", "all requests of the route together"),
                ]),
                Kind::Table(&BY),
            ]),
            "What is counted by itself.",
            "{ header = \"X-Api-Key\" }",
        )
        .default("\"client-ip\""),
    ],
};

static BY: Section = Section {
    name: "by",
    doc: "What is counted by itself.",
    keys: &[Key::new(
        "header",
        Kind::Text(Format::FieldName),
        "Each value of this header field; requests without it: each client's address.",
        "\"X-Api-Key\"",
    )
    .required()],
};
