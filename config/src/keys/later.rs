/// Keys of the language that this version does not carry out yet: section and key.
const LATER: &[(&str, &str)] = &[
    ("", "contact"),
    ("", "tls"),
    ("listener", "protocols"),
    ("route", "split"),
    ("route", "limit"),
    ("route", "mirror"),
    ("retry", "budget"),
    ("retry", "on"),
    ("pool", "sticky"),
    ("pool", "eject"),
    ("pool", "slow_start"),
    ("pool", "forward"),
    ("pool", "panic"),
    ("pool", "queue"),
    ("pool", "discover"),
    ("pool", "tls"),
    ("backend", "backup"),
];

/// Whether the key belongs to the language but not yet to this version.
pub fn is_later_key(section: &str, key: &str) -> bool {
    LATER.contains(&(section, key))
}
