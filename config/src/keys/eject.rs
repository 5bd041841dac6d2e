use super::{DAY, HOUR, Key, Kind, MILLISECOND, Section};

/// `eject` of a pool.
pub(super) static EJECT: Section = Section {
    name: "eject",
    doc: "When a backend is taken out for what clients get from it, and for how long. An error is a \
          status of 500, 502, 503 or 504, a connection that failed or was reset, an answer that is \
          not HTTP, came too late or broke off. The last backend that serves is never taken out.",
    keys: &[
        Key::new(
            "errors",
            Kind::Integer { min: 1, max: 1000 },
            "So many errors in a row take a backend out. After its return the first one does, until \
             a request has gone well.",
            "3",
        )
        .default("5"),
        Key::new(
            "for",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(10),
                max: HOUR,
            },
            "How long it is out the first time. Each further time in a row is twice as long; every \
             such time that it has behaved since takes one back.",
            "\"10s\"",
        )
        .default("\"30s\""),
        Key::new(
            "for_max",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(10),
                max: DAY,
            },
            "The longest time out.",
            "\"1m\"",
        )
        .default("\"5m\""),
        Key::new(
            "max",
            Kind::Share,
            "The share of the pool that may be out by ejection at once; one backend always may.",
            "\"30%\"",
        )
        .default("\"50%\""),
        Key::new(
            "ratio",
            Kind::AnyOf(&[Kind::Share, Kind::False]),
            "Such a share of errors within `window` also takes a backend out, if it is more than \
             twice that of the other backends together: what fails everywhere is not one \
             backend's fault. `false` turns this off.",
            "\"20%\"",
        )
        .default("\"50%\""),
        Key::new(
            "window",
            Kind::Duration {
                min: MILLISECOND.saturating_mul(100),
                max: HOUR,
            },
            "The time over which `ratio` is taken.",
            "\"30s\"",
        )
        .default("\"5s\""),
        Key::new(
            "requests",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "With fewer requests than that within `window`, `ratio` says nothing.",
            "100",
        )
        .default("20"),
    ],
};
