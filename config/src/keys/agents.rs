use super::{Format, Key, Kind, MINUTE, Section, ZERO};

/// `[agents]`
pub(super) static AGENTS: Section = Section {
    name: "agents",
    doc: "Where the agents of servers (`pointsman-backend agent`) register them, for pools with \
          `discover = { agents = true }`. See [direct](direct.md).",
    keys: &[
        Key::new(
            "listen",
            Kind::OneOrMany(&Kind::Text(Format::Bind)),
            "Where agents connect, over TCP: an address of this switch alone and not a contact \
             address, for each switch has to know the servers by itself.",
            "\"10.0.0.1:9113\"",
        )
        .required(),
        Key::new(
            "secret",
            Kind::Text(Format::Free),
            "What agents and switch authenticate each other with, 16 to 1024 bytes, best in a file \
             that only the program may read: `secret = \"${file:/etc/pointsman/agents.secret}\"`. \
             Sessions that are open stay when it changes.",
            "\"a long text that nobody can guess\"",
        )
        .required(),
        Key::new(
            "from",
            Kind::OneOrMany(&Kind::Text(Format::Network)),
            "The networks that agents may connect from. Without it: all.",
            "\"10.0.0.0/8\"",
        ),
        Key::new(
            "addresses",
            Kind::OneOrMany(&Kind::Text(Format::Network)),
            "An agent may register the address that it connects from. With this key, it may register \
             any address of these networks as well: behind address translation, or for a server on \
             another host.",
            "\"10.0.0.0/24\"",
        ),
        Key::new(
            "grace",
            Kind::Duration {
                min: ZERO,
                max: MINUTE,
            },
            "How long a server stays in its pool when the session of its agent is lost without a \
             farewell: a short cut, or a restart of the switch or the agent, changes nothing.",
            "\"10s\"",
        )
        .default("\"3s\""),
    ],
};
