/// Keys of the language that this version does not carry out yet: section, key, and the key of this
/// version that it takes the place of, if any.
const LATER: &[(&str, &str, Option<&str>)] = &[
    ("", "tls", None),
    ("listener", "protocols", None),
    ("route", "mirror", None),
];

/// Whether the key belongs to the language but not yet to this version; inside, the key of this
/// version that it takes the place of.
pub fn later_key(section: &str, key: &str) -> Option<Option<&'static str>> {
    let found = LATER
        .iter()
        .find(|(at, later, _)| *at == section && *later == key);
    found.map(|(_, _, instead_of)| *instead_of)
}
