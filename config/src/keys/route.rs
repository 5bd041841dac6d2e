use super::retry::RETRY;
use super::route_limit::LIMIT;
use super::split::{SPLIT, SPLIT_BY};
use super::{DAY, Format, Key, Kind, MILLISECOND, Section, TIB};

/// `[[route]]`
pub static ROUTE: Section = Section {
    name: "route",
    doc: "Which requests go where. Exactly one of `pool`, `split`, `redirect` and `respond` \
          is needed.",
    keys: &[
        Key::new(
            "name",
            Kind::Text(Format::Name),
            "The name in metrics, logs and the dashboard. Without it, it is made from `match`.",
            "\"shop\"",
        ),
        Key::new(
            "match",
            Kind::Table(&MATCH),
            "Which requests the route takes; every condition must hold. Without it: all. The most \
             specific route wins, whatever the order: an exact host before a longer wildcard before \
             a shorter one before none; then an exact path before a longer prefix before a shorter \
             one before none; then a method, the number of headers, of cookies, of parameters, the \
             longer client network, a listener. Two equally specific routes that can match the same \
             request are an error.",
            "{ host = \"api.example.com\", path = \"/v1/*\" }",
        ),
        Key::new(
            "pool",
            Kind::Text(Format::PoolName),
            "Forwards to the pool of this name.",
            "\"app\"",
        ),
        SPLIT,
        SPLIT_BY,
        Key::new(
            "redirect",
            Kind::AnyOf(&[
                Kind::Word(&[("https", "to the same host and path over https")]),
                Kind::Table(&REDIRECT),
            ]),
            "Answers by a redirect. `\"https\"` is short for \
             `{ to = \"https://{host}{uri}\", status = 308 }`.",
            "{ to = \"https://www.example.com{uri}\", status = 301 }",
        ),
        Key::new(
            "respond",
            Kind::Table(&RESPOND),
            "Answers here, without a backend.",
            "{ status = 404, body = \"nothing here\" }",
        ),
        Key::new(
            "rewrite",
            Kind::Table(&REWRITE),
            "How the path changes on its way to the backend.",
            "{ prefix = \"/\" }",
        ),
        Key::new(
            "request_headers",
            Kind::Table(&HEADERS),
            "Edits of the request's header.",
            "{ set = { X-Env = \"prod\" }, remove = [\"X-Debug\"] }",
        )
        .inherited(),
        Key::new(
            "response_headers",
            Kind::Table(&HEADERS),
            "Edits of the response's header.",
            "{ set = { Strict-Transport-Security = \"max-age=31536000\" } }",
        )
        .inherited(),
        Key::new(
            "timeout",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "Short for `timeouts = { total = ... }`.",
            "\"15s\"",
        )
        .inherited(),
        Key::new(
            "timeouts",
            Kind::Table(&TIMEOUTS),
            "Time limits of an exchange.",
            "{ response = \"30s\", total = \"1m\" }",
        )
        .inherited(),
        Key::new(
            "deadline_header",
            Kind::Text(Format::FieldName),
            "Tells the backend in this field how many milliseconds it has left: what remains of \
             `timeouts.total`, or of `retry.per_try` if that is less. Where a client sends that field \
             or `grpc-timeout`, its time holds if it is shorter, and `grpc-timeout` is shortened to \
             what remains.",
            "\"X-Request-Timeout-Ms\"",
        )
        .inherited(),
        Key::new(
            "retry",
            Kind::Table(&RETRY),
            "When another backend is tried.",
            "{ attempts = 2 }",
        )
        .inherited(),
        Key::new(
            "limit",
            Kind::AnyOf(&[Kind::Table(&LIMIT), Kind::False]),
            "How often the route may be asked. Without it there is no limit; `false` turns an \
             inherited one off.",
            "{ rate = \"100/s\", burst = 200, by = \"client-ip\" }",
        )
        .inherited(),
        Key::new(
            "max_body",
            Kind::Size { min: 0, max: TIB },
            "The largest body of a request. Without it there is no limit.",
            "\"10MiB\"",
        )
        .inherited(),
    ],
};

static MATCH: Section = Section {
    name: "match",
    doc: "Conditions; every one that is written must hold.",
    keys: &[
        Key::new(
            "host",
            Kind::OneOrMany(&Kind::Text(Format::Host)),
            "The host, without port. `\"*.example.com\"` stands for one or more labels before \
             `example.com`.",
            "[\"shop.example.com\", \"*.shop.example.com\"]",
        ),
        Key::new(
            "path",
            Kind::OneOrMany(&Kind::Text(Format::PathPattern)),
            "The path: `\"/v1/status\"` is that path alone, `\"/v1/*\"` is `/v1` and all below it.",
            "\"/v1/*\"",
        ),
        Key::new(
            "method",
            Kind::OneOrMany(&Kind::Text(Format::Method)),
            "The method, in capitals.",
            "[\"GET\", \"HEAD\"]",
        ),
        Key::new(
            "header",
            Kind::Map(Format::FieldName, Format::ValuePattern),
            "Header fields and their values: `\"abc\"` exact, `\"abc*\"` a start, `\"*\"` any.",
            "{ X-Canary = \"yes\" }",
        ),
        Key::new(
            "cookie",
            Kind::Map(Format::CookieName, Format::ValuePattern),
            "Cookies and their values, as for `header`.",
            "{ beta = \"*\" }",
        ),
        Key::new(
            "query",
            Kind::Map(Format::Free, Format::ValuePattern),
            "Query parameters and their values, as for `header`; compared after percent-decoding.",
            "{ version = \"2\" }",
        ),
        Key::new(
            "client",
            Kind::OneOrMany(&Kind::Text(Format::Network)),
            "The client's network.",
            "\"10.0.0.0/8\"",
        ),
        Key::new(
            "listener",
            Kind::OneOrMany(&Kind::Text(Format::ListenerName)),
            "The listeners on which the route holds. Without it: on all.",
            "\"internal\"",
        ),
    ],
};

pub(super) static REDIRECT: Section = Section {
    name: "redirect",
    doc: "A redirect.",
    keys: &[
        Key::new(
            "to",
            Kind::Text(Format::Location),
            "The Location. `{host}`, `{path}`, `{query}` and `{uri}` (path and query) stand for the \
             request's own.",
            "\"https://www.example.com{uri}\"",
        )
        .required(),
        Key::new(
            "status",
            Kind::Integer { min: 301, max: 308 },
            "301, 302, 303, 307 or 308.",
            "301",
        )
        .default("308"),
    ],
};

static RESPOND: Section = Section {
    name: "respond",
    doc: "A fixed response.",
    keys: &[
        Key::new(
            "status",
            Kind::Integer { min: 200, max: 599 },
            "The status code.",
            "404",
        )
        .default("200"),
        Key::new(
            "body",
            Kind::Text(Format::Free),
            "The body, up to 64 KiB.",
            "\"nothing here\"",
        )
        .default("\"\""),
        Key::new(
            "content_type",
            Kind::Text(Format::FieldValue),
            "Its Content-Type.",
            "\"application/json\"",
        )
        .default("\"text/plain; charset=utf-8\""),
    ],
};

static REWRITE: Section = Section {
    name: "rewrite",
    doc: "How the path changes; one of the two.",
    keys: &[
        Key::new(
            "path",
            Kind::Text(Format::Path),
            "The whole path; the query stays.",
            "\"/index.html\"",
        ),
        Key::new(
            "prefix",
            Kind::Text(Format::Path),
            "What the prefix of `match.path` matched is replaced by this; every `match.path` must \
             be a prefix.",
            "\"/api\"",
        ),
    ],
};

static HEADERS: Section = Section {
    name: "headers",
    doc: "Edits of a header, in this order: `remove`, `set`, `add`. Fields that frame the message \
          or concern one connection cannot be edited.",
    keys: &[
        Key::new(
            "set",
            Kind::Map(Format::FieldName, Format::FieldValue),
            "Replaces every field of that name.",
            "{ X-Env = \"prod\" }",
        ),
        Key::new(
            "add",
            Kind::Map(Format::FieldName, Format::FieldValue),
            "Put beside those that are there.",
            "{ Via = \"1.1 edge\" }",
        ),
        Key::new(
            "remove",
            Kind::OneOrMany(&Kind::Text(Format::FieldName)),
            "Taken out.",
            "[\"X-Debug\"]",
        ),
    ],
};

static TIMEOUTS: Section = Section {
    name: "timeouts",
    doc: "Time limits of an exchange.",
    keys: &[
        Key::new(
            "response",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "From the request's last byte to the end of the response's head, per attempt.",
            "\"30s\"",
        )
        .default("\"60s\""),
        Key::new(
            "total",
            Kind::Duration {
                min: MILLISECOND,
                max: DAY,
            },
            "The whole exchange. Without it there is no limit.",
            "\"1m\"",
        ),
        Key::new(
            "tunnel",
            Kind::Duration {
                min: MILLISECOND,
                max: super::DAY.saturating_mul(30),
            },
            "Silence on an upgraded connection (WebSocket).",
            "\"10m\"",
        )
        .default("\"1h\""),
    ],
};
