use super::{Key, Kind, MILLISECOND, MINUTE, Section};

/// `pool.limit`
pub(super) static LIMIT: Section = Section {
    name: "limit",
    doc: "How much each backend of the pool may have under way, over all workers. What is beyond the \
          limits of all backends waits in the pool's `queue`.",
    keys: &[
        Key::new(
            "requests",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Requests under way at a backend at most; for tcp listeners: connections. Needed unless \
             `adaptive` or `connections` is set; with `adaptive` it is the most that may be found, 1000 \
             without it.",
            "200",
        ),
        Key::new(
            "connections",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Connections that are open to a backend at most, unused ones included. As many requests, \
             at most, are under way then. Health checks have connections of their own beside these.",
            "100",
        ),
        Key::new(
            "adaptive",
            Kind::Bool,
            "Finds for each backend how much it may have under way: as much as its answers do not \
             become slower by, measured against the shortest time that it has answered in lately. \
             For requests whose answers begin quickly compared with how long they are.",
            "true",
        )
        .default("false"),
    ],
};

/// `pool.queue`
pub(super) static QUEUE: Section = Section {
    name: "queue",
    doc: "Where requests wait for a backend that has room; one line for all workers. Who came first \
          is served first; when the first has waited for half of `timeout`, more comes than can be \
          served, and who came last is served first. A client that leaves frees its place.",
    keys: &[
        Key::new(
            "size",
            Kind::Integer {
                min: 0,
                max: 1_000_000,
            },
            "Requests that wait at most; more are refused at once with 503 and the reason \
             `queue_full`. 0: nothing waits.",
            "50",
        )
        .default("100"),
        Key::new(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: MINUTE.saturating_mul(10),
            },
            "How long a request waits at most; then it is refused with 503 and the reason \
             `queue_timeout`.",
            "\"200ms\"",
        )
        .default("\"1s\""),
    ],
};
