use super::{DAY, Format, Key, Kind, SECOND, Section};

/// `pool.sticky`
pub(super) const STICKY: Key = Key::new(
    "sticky",
    Kind::AnyOf(&KINDS),
    "Keeps a client with its backend by a cookie, which holds a keyed hash and tells no name or \
     address. It is a preference: when its backend cannot be chosen, another one is, with a new \
     cookie. Backends do not see the cookie. Pools may share a cookie's name. `false` turns an \
     inherited `sticky` off.",
    "{ cookie = \"SRV\", ttl = \"1h\" }",
)
.inherited();

static KINDS: [Kind; 2] = [Kind::Table(&TABLE), Kind::False];

static TABLE: Section = Section {
    name: "sticky",
    doc: "A cookie that keeps a client with its backend.",
    keys: &[
        Key::new(
            "cookie",
            Kind::Text(Format::CookieName),
            "The cookie's name. It should be none that the backends use.",
            "\"SRV\"",
        )
        .required(),
        Key::new(
            "ttl",
            Kind::Duration {
                min: SECOND,
                max: DAY.saturating_mul(400),
            },
            "How long the client keeps the cookie. It is renewed when half of that is over. Without \
             it: until the client ends.",
            "\"1h\"",
        ),
        Key::new(
            "path",
            Kind::Text(Format::Path),
            "The path below which the client sends the cookie.",
            "\"/shop\"",
        )
        .default("\"/\""),
        Key::new(
            "domain",
            Kind::Text(Format::Authority),
            "The domain that the client sends the cookie to, and all below it. Without it: the host \
             that set it alone.",
            "\"example.com\"",
        ),
        Key::new(
            "secure",
            Kind::Bool,
            "Whether the client sends the cookie over TLS alone. Without it: if it was set over TLS \
             of this listener.",
            "true",
        ),
        Key::new(
            "same_site",
            Kind::Word(&[
                ("strict", "no request from another site brings the cookie"),
                ("lax", "links from other sites do"),
                ("none", "all requests do; over TLS alone"),
            ]),
            "Whether requests that begin at another site bring the cookie along.",
            "\"strict\"",
        )
        .default("\"lax\""),
        Key::new(
            "http_only",
            Kind::Bool,
            "Whether the cookie is kept from scripts.",
            "false",
        )
        .default("true"),
        Key::new(
            "key",
            Kind::Text(Format::Free),
            "What the hash is keyed with, 16 to 1024 bytes: the same for all switches that one client \
             may meet. Without it: made from the `secret` of `[contact]` where there is one, otherwise \
             from the host's own `/etc/machine-id`.",
            "\"a long text that nobody can guess\"",
        ),
    ],
};
