use super::{Format, Key, Kind, Section};

/// `route.split`
pub(super) const SPLIT: Key = Key::new(
    "split",
    Kind::Numbers {
        key: Format::PoolName,
        min: 0,
        max: 1_000_000,
    },
    "Forwards each client to one of these pools, by weight; what the weights add up to does not \
     matter. The same client gets the same pool as long as the weights stay, and a change of them \
     moves no more clients than it must. A pool of weight 0 gets none. While no backend of a client's \
     pool can be used, the client gets another of the pools.",
    "{ api = 95, api-canary = 5 }",
);

/// `route.split_by`
pub(super) const SPLIT_BY: Key = Key::new(
    "split_by",
    Kind::AnyOf(&KINDS),
    "With `split`: what tells clients apart. For a request without that cookie or header it is the \
     client's address.",
    "{ cookie = \"session\" }",
)
.default("\"client-ip\"")
.inherited();

static KINDS: [Kind; 2] = [
    Kind::Word(&[("client-ip", "the client's address")]),
    Kind::Table(&BY),
];

static BY: Section = Section {
    name: "split_by",
    doc: "What tells clients apart; one of these.",
    keys: &[
        Key::new(
            "cookie",
            Kind::Text(Format::CookieName),
            "A cookie.",
            "\"session\"",
        ),
        Key::new(
            "header",
            Kind::Text(Format::FieldName),
            "A header field.",
            "\"X-User\"",
        ),
    ],
};
