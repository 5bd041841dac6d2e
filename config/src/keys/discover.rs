use super::pool::BACKENDS;
use super::{Format, HOUR, Key, Kind, SECOND, Section};

/// `pool.discover`
pub(super) const DISCOVER: Key = Key::new(
    "discover",
    Kind::OneOrMany(&KIND),
    "Where backends are found, beside those in `backends`: at the addresses of a name, as SRV records \
     say, in a file, or as they register themselves by an agent. What was found last stays while nothing can be found; a backend that is not \
     found any more finishes what it has. See [discovery](discovery.md).",
    "{ dns = \"app.internal:8080\" }",
);

static KIND: Kind = Kind::Table(&TABLE);

static TABLE: Section = Section {
    name: "discover",
    doc: "A place where backends are found: exactly one of `dns`, `srv`, `agents` and `file`.",
    keys: &[
        Key::new(
            "dns",
            Kind::Text(Format::NameAndPort),
            "Every address of this name, A and AAAA, is a backend.",
            "\"app.internal:8080\"",
        ),
        Key::new(
            "srv",
            Kind::Text(Format::Service),
            "Every SRV record of this service is a backend, with its port and weight (RFC 2782). \
             Priorities become groups in their order.",
            "\"_http._tcp.app.internal\"",
        ),
        Key::new(
            "agents",
            Kind::Bool,
            "`true`: the servers that `pointsman-backend agent` registers for this pool, as the table \
             `[agents]` lets it. They come and go by themselves, with their weight, readiness and load.",
            "true",
        ),
        Key::new(
            "file",
            Kind::Text(Format::File),
            "A TOML file whose `backends` is a list as in `[pool.NAME]`. It is watched: replace it by \
             a rename. While it cannot be read, the last list holds.",
            "\"/etc/pointsman/app.backends.toml\"",
        ),
        Key::new(
            "resolvers",
            Kind::OneOrMany(&Kind::Text(Format::Resolver)),
            "With `dns` or `srv`: the name servers that are asked, and no others. Without it: those \
             of `/etc/resolv.conf`, after `/etc/hosts`.",
            "\"127.0.0.1:8600\"",
        ),
        Key::new(
            "refresh",
            Kind::Duration {
                min: SECOND,
                max: HOUR,
            },
            "With `dns` or `srv`: from one lookup to the next. Without it: as long as the records \
             hold, 1 s at least and 5 minutes at most.",
            "\"30s\"",
        ),
    ],
};

/// A file that `discover.file` names.
pub static BACKENDS_FILE: Section = Section {
    name: "file",
    doc: "A list of backends.",
    keys: &[BACKENDS.required()],
};
