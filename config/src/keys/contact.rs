use std::time::Duration;

use super::{Format, HOUR, Key, Kind, MILLISECOND, SECOND, Section, ZERO};

/// `[contact]`, `[[contact]]`
pub static CONTACT: Section = Section {
    name: "contact",
    doc: "Addresses that several switches hold between them. One of the switches answers at them \
          (`announce = \"vrrp\"`), or all do, and routers share the clients out (`\"bgp\"`). Every \
          switch of a group can have the same file but for `priority`, `source` and what is its own \
          beyond this table.",
    keys: &[
        Key::new(
            "address",
            Kind::OneOrMany(&Kind::Text(Format::InterfaceAddress)),
            "The addresses, each with the prefix length of its network: 20 of IPv4 and 20 of IPv6 at \
             most. VRRP for IPv6 wants a link-local address to come first (RFC 9568, 5.2.9): where \
             the first IPv6 address is another, the program puts `fe80::200:5eff:fe00:2XX/64` before \
             it, XX being `group` in hexadecimal.",
            "[\"192.0.2.10/24\", \"2001:db8::10/64\"]",
        )
        .required(),
        Key::new(
            "announce",
            Kind::Word(&[
                (
                    "vrrp",
                    "one switch is elected (VRRP version 3, RFC 9568) and answers ARP and neighbour \
                     discovery",
                ),
                (
                    "bgp",
                    "every switch holds the addresses on a device of its own, which is there for as \
                     long as the switch serves; a routing daemon such as BIRD announces them",
                ),
            ]),
            "How the network learns where the addresses are.",
            "\"bgp\"",
        )
        .default("\"vrrp\"")
        .inherited(),
        Key::new(
            "interface",
            Kind::Text(Format::Interface),
            "With `\"vrrp\"`, which needs it: the network interface on which the addresses are held. \
             With `\"bgp\"`: the name of the device that is made for them, `pointsman0` if none is \
             given. A contact takes it over from the defaults only if their `announce` is its own.",
            "\"eth0\"",
        )
        .inherited(),
        Key::new(
            "group",
            Kind::Integer { min: 1, max: 255 },
            "The number of the group (VRRP: the virtual router's identifier), the same on all its \
             switches and no other's on that network. `\"vrrp\"` needs it.",
            "51",
        ),
        Key::new(
            "priority",
            Kind::Integer { min: 1, max: 255 },
            "The switch of the highest priority holds the addresses. 255 is that of the addresses' \
             owner (RFC 9568), which always takes over.",
            "150",
        )
        .default("100")
        .inherited(),
        Key::new(
            "interval",
            Kind::Duration {
                min: Duration::from_millis(10),
                max: Duration::from_secs(40),
            },
            "From one VRRP advertisement to the next, in whole hundredths of a second. Without a \
             session (`secret`) a switch counts as dead after about three of them.",
            "\"1s\"",
        )
        .default("\"100ms\"")
        .inherited(),
        Key::new(
            "preempt",
            Kind::Bool,
            "A switch of a higher priority takes over from one that serves.",
            "false",
        )
        .default("true")
        .inherited(),
        Key::new(
            "preempt_delay",
            Kind::Duration {
                min: ZERO,
                max: HOUR,
            },
            "How long it waits before it does so.",
            "\"1m\"",
        )
        .default("\"0s\"")
        .inherited(),
        Key::new(
            "checksum",
            Kind::Word(&[
                (
                    "auto",
                    "sends with a pseudo-header, and answers each unicast peer as that peer does",
                ),
                (
                    "pseudo-header",
                    "with a pseudo-header, as keepalived reads RFC 5798",
                ),
                ("rfc9568", "over the message alone"),
            ]),
            "What the checksum of VRRP over IPv4 covers. Both ways are accepted.",
            "\"rfc9568\"",
        )
        .default("\"auto\"")
        .inherited(),
        Key::new(
            "virtual_mac",
            Kind::Bool,
            "The addresses have the group's own link-layer address, `00:00:5e:00:01:XX` or for IPv6 \
             `00:00:5e:00:02:XX` (RFC 9568, 7.3), in place of the interface's.",
            "true",
        )
        .default("false")
        .inherited(),
        Key::new(
            "peers",
            Kind::Many(&Kind::Text(Format::Ip)),
            "The addresses of the other switches, 32 at most. This switch's own may be among them, so \
             that all can have the same file. With peers VRRP is sent to them by unicast, otherwise \
             by multicast.",
            "[\"10.0.0.11\", \"10.0.0.12\"]",
        )
        .inherited(),
        Key::new(
            "source",
            Kind::Text(Format::Ip),
            "The address of this switch that it speaks from. Without it: the interface's first \
             address of the family.",
            "\"10.0.0.11\"",
        ),
        Key::new(
            "secret",
            Kind::Text(Format::Free),
            "What the switches authenticate each other with, 16 to 1024 bytes, best in a file that \
             only the program may read: `secret = \"${file:/etc/pointsman/contact.secret}\"`. With \
             it they keep a session with each of `peers`, and take over within milliseconds.",
            "\"a long text that nobody can guess\"",
        )
        .inherited(),
        Key::new(
            "port",
            Kind::Integer {
                min: 1,
                max: 65_535,
            },
            "The port of the switches among themselves: TCP for sessions, UDP for heartbeats.",
            "9200",
        )
        .default("9112")
        .inherited(),
        Key::new(
            "heartbeat",
            Kind::Duration {
                min: MILLISECOND,
                max: SECOND,
            },
            "From one heartbeat to the next within a session.",
            "\"10ms\"",
        )
        .default("\"5ms\"")
        .inherited(),
        Key::new(
            "misses",
            Kind::Integer { min: 2, max: 100 },
            "Heartbeats that are missed in a row until a switch counts as dead.",
            "5",
        )
        .default("3")
        .inherited(),
    ],
};
