use super::{Format, HOUR, Key, Kind, MILLISECOND, Section};

pub(super) static HASH: Section = Section {
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

pub(super) static LOCALITY: Section = Section {
    name: "locality",
    doc: "When a target gets another backend. Loads are requests under way, for a backend of the \
          pool's mean weight.",
    keys: &[
        Key::new(
            "low",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "A backend with less has room for more targets.",
            "8",
        )
        .default("25"),
        Key::new(
            "high",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "With more, a target gets one more backend if there is one below `low`; with twice as \
             much in any case.",
            "20",
        )
        .default("65"),
        Key::new(
            "decay",
            Kind::Duration {
                min: MILLISECOND,
                max: HOUR,
            },
            "A target that has several backends, and got none for so long, loses one.",
            "\"1m\"",
        )
        .default("\"20s\""),
        Key::new(
            "targets",
            Kind::Integer {
                min: 64,
                max: 4_194_304,
            },
            "Targets that are remembered, the last used ones; 72 bytes each.",
            "1_000_000",
        )
        .default("65536"),
    ],
};
