use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::policy::{Balance, HashBy, Locality};
use crate::source::Value;
use crate::suggest::quoted;
use crate::value::{Unfit, parse_field_name, parse_token};

/// Keys that say something only with one of these balances.
const ONLY_WITH: &[(&str, &[&str])] = &[
    ("hash", &["hash", "locality"]),
    ("bound", &["hash"]),
    ("decay", &["peak-ewma"]),
    ("locality", &["locality"]),
];

/// Decodes `balance` of a pool and the keys that belong to it.
pub(super) fn balance(reader: &Reader<'_>, d: &mut Diagnostics) -> Balance {
    let by = hash_by(reader, d);
    let bound = reader.share(d, "bound");
    let decay = reader.duration(d, "decay");
    let errors = d.errors();
    let locality = locality(reader, d);
    let word = reader.word(d, "balance");
    if d.errors() == errors {
        refuse_idle_keys(reader, word.unwrap_or_default(), d);
    }
    match word {
        Some("random") => Balance::Random,
        Some("least-request") => Balance::LeastRequest,
        Some("peak-ewma") => Balance::PeakEwma { decay },
        Some("hash") => Balance::Hash {
            by: by.unwrap_or(HashBy::ClientIp),
            bound,
        },
        Some("locality") => Balance::Locality(Locality {
            by: by.unwrap_or(HashBy::Path),
            ..locality
        }),
        _ => Balance::RoundRobin,
    }
}

/// A key of the pool itself that says nothing under its balance; an inherited one is passed over.
fn refuse_idle_keys(reader: &Reader<'_>, balance: &str, d: &mut Diagnostics) {
    for (key, needed) in ONLY_WITH {
        let idle = !reader.is_partial() && !needed.contains(&balance);
        let Some(found) = reader.find_own(key).filter(|_| idle) else {
            continue;
        };
        let wanted: Vec<_> = needed
            .iter()
            .map(|word| format!("balance = \"{word}\""))
            .collect();
        let message = format!("`{key}` says nothing without `{}`", wanted.join("` or `"));
        d.error(found.key_place, "conflicting-keys", message)
            .help(format!(
                "write {}, or leave `{key}` out",
                wanted.join(" or ")
            ));
    }
}

/// `locality`, all but what a target is.
fn locality(pool: &Reader<'_>, d: &mut Diagnostics) -> Locality {
    let reader = pool.settings(d, "locality");
    let locality = Locality {
        by: HashBy::Path,
        low: reader.count(d, "low").unwrap_or(1),
        high: reader.count(d, "high").unwrap_or(1),
        decay: reader.duration(d, "decay"),
        targets: reader.count(d, "targets").unwrap_or(1),
    };
    if locality.high < locality.low
        && let Some(found) = reader.find("high").or_else(|| reader.find("low"))
    {
        let message = format!(
            "`high` ({}) must not be below `low` ({})",
            locality.high, locality.low
        );
        d.error(found.key_place, "conflicting-keys", message)
            .help("a backend beyond `high` is to be relieved by one below `low`");
    }
    locality
}

fn hash_by(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<HashBy> {
    let found = reader.find("hash")?;
    if let Value::String(_) = &found.node.value {
        return match scalar::word(d, found.key, found.node)? {
            "path" => Some(HashBy::Path),
            _ => Some(HashBy::ClientIp),
        };
    }
    let section = found.key.kind.sections().into_iter().next()?;
    // One way of hashing replaces another: tables are not merged here.
    let Value::Table(table) = &found.node.value else {
        return scalar::wrong_type(d, found.key, &found.key.kind, found.node);
    };
    let title = format!("`hash` of {}", reader.title());
    let reader = Reader::new(d, section, title, found.key_place, table);
    let given: Vec<_> = section
        .keys
        .iter()
        .filter_map(|key| reader.find(key.name))
        .collect();
    if given.len() != 1 {
        d.error(
            found.node.place,
            "conflicting-keys",
            "`hash` needs one of `header`, `cookie`, `query`",
        )
        .help("for example hash = { header = \"X-User\" }");
        return None;
    }
    match given[0].key.name {
        "header" => reader
            .text(d, "header", parse_field_name)
            .map(HashBy::Header),
        "cookie" => reader.text(d, "cookie", parse_token).map(HashBy::Cookie),
        _ => reader.text(d, "query", parameter).map(HashBy::Query),
    }
}

fn parameter(text: &str) -> Result<String, Unfit> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Unfit::new(format!(
            "{} is not the name of a parameter",
            quoted(text)
        )));
    }
    Ok(text.to_owned())
}
