use super::{Format, Key, Kind, Section};

/// `pool.forward`
pub(super) const FORWARD: Key = Key::new(
    "forward",
    Kind::Word(&[
        (
            "proxy",
            "the switch ends clients' connections and makes connections of its own to backends",
        ),
        (
            "direct",
            "the kernel passes clients' packets on, and backends answer the clients themselves: for \
             listeners with `protocol` \"tcp\" or \"udp\"",
        ),
    ]),
    "How packets reach the backends. docs/direct.md tells what `\"direct\"` wants of backends and \
     network.",
    "\"direct\"",
)
.default("\"proxy\"")
.inherited();

/// `pool.datapath`
pub(super) const DATAPATH: Key = Key::new(
    "datapath",
    Kind::Word(&[
        ("auto", "what suits the interface"),
        (
            "tc",
            "traffic control's ingress: right for virtual interfaces",
        ),
        (
            "xdp",
            "XDP in the driver: the fastest on network cards that have it",
        ),
        (
            "xdp-generic",
            "XDP without the driver's help, on any interface",
        ),
    ]),
    "With `forward = \"direct\"`: where in the kernel packets are taken up. An interface has one \
     datapath, for all pools.",
    "\"tc\"",
)
.default("\"auto\"")
.inherited();

/// `pool.fallback`
pub(super) const FALLBACK: Key = Key::new(
    "fallback",
    Kind::AnyOf(&[
        Kind::Word(&[(
            "proxy",
            "the switch proxies, warns, and tells it in `status`",
        )]),
        Kind::False,
    ]),
    "With `forward = \"direct\"`: what happens where direct return is not possible, as without the \
     capabilities that it needs. Without it the program does not start, or does not take the policy \
     over, and says what lacks. `false` turns an inherited one off.",
    "\"proxy\"",
)
.inherited();

/// `pool.route_optimization`
pub(super) const ROUTE_OPTIMIZATION: Key = Key::new(
    "route_optimization",
    Kind::AnyOf(&[
        Kind::Word(&[(
            "mptcp",
            "clients that speak MPTCP (RFC 8684) learn the backend's own address and move their \
             bytes there; others notice nothing",
        )]),
        Kind::False,
    ]),
    "With `forward = \"direct\"`: how connections get past the switch once they stand. The agents \
     of the backends see to it. `false` turns an inherited one off.",
    "\"mptcp\"",
)
.inherited();

/// `process.direct`
pub(super) static DIRECT: Section = Section {
    name: "direct",
    doc: "What all pools with `forward = \"direct\"` have in common. A change takes a restart.",
    keys: &[
        Key::new(
            "pins",
            Kind::Text(Format::File),
            "The folder of a BPF file system in which programs and tables stay while the process is \
             upgraded, restarted or dead. Two switches on one host need one each.",
            "\"/sys/fs/bpf/edge\"",
        )
        .default("\"/sys/fs/bpf/pointsman\""),
        Key::new(
            "connections",
            Kind::Integer {
                min: 1024,
                max: 16_777_216,
            },
            "Connections that the kernel remembers the backends of; beyond it, those forgotten first \
             are the ones that were silent longest. About 100 bytes each.",
            "1000000",
        )
        .default("262144"),
    ],
};
