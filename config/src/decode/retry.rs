use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind};
use crate::policy::{Hedge, Quantile, Retry, RetryOn};
use crate::source::{Node, Value};
use crate::suggest::{closest, quoted};
use crate::value::{Unfit, parse_duration, parse_statuses};

/// Words of `on`.
const WORDS: [&str; 4] = ["connect", "reset", "timeout", "5xx"];

/// Codes that another backend may be tried after.
const ERRORS: RangeInclusive<u16> = 400..=599;

/// Decodes `retry` of a route.
pub(super) fn retry(reader: &Reader<'_>, d: &mut Diagnostics) -> Retry {
    Retry {
        attempts: reader.count(d, "attempts").unwrap_or_default(),
        on: on(reader, d),
        budget: reader.share(d, "budget").unwrap_or_default(),
        per_try: reader.optional_duration(d, "per_try"),
        hedge: hedge(reader, d),
        unsafe_methods: reader.boolean(d, "unsafe").unwrap_or_default(),
    }
}

/// One member of `on`.
enum After {
    Word(String),
    Statuses(RangeInclusive<u16>),
}

fn on(reader: &Reader<'_>, d: &mut Diagnostics) -> RetryOn {
    let mut on = RetryOn {
        connect: false,
        reset: false,
        timeout: false,
        statuses: Vec::new(),
    };
    for (after, _) in reader.items(d, "on", after) {
        match after {
            After::Statuses(statuses) => on.statuses.push(statuses),
            After::Word(word) => match word.as_str() {
                "connect" => on.connect = true,
                "reset" => on.reset = true,
                "timeout" => on.timeout = true,
                _ => on.statuses.push(500..=599),
            },
        }
    }
    on
}

fn after(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<After> {
    match &node.value {
        Value::String(text) => scalar::parsed(d, node.place, text, word_or_statuses),
        Value::Integer(_) => {
            let kind = &Kind::Integer { min: 400, max: 599 };
            let code = scalar::integer_of(d, key, kind, node)?;
            let code = u16::try_from(code).ok()?;
            Some(After::Statuses(code..=code))
        }
        _ => match &key.kind {
            Kind::Many(kind) => scalar::wrong_type(d, key, kind, node),
            _ => None,
        },
    }
}

fn word_or_statuses(text: &str) -> Result<After, Unfit> {
    if WORDS.contains(&text) {
        return Ok(After::Word(text.to_owned()));
    }
    match parse_statuses(text) {
        Ok(range) if ERRORS.contains(range.start()) && ERRORS.contains(range.end()) => {
            Ok(After::Statuses(range))
        }
        Ok(_) => Err(Unfit::new(format!(
            "{} is no answer after which another backend could help",
            quoted(text)
        ))
        .help("codes from 400 to 599 may stand here")),
        Err(_) => {
            let list = "allowed: \"connect\", \"reset\", \"timeout\", \"5xx\" and codes such as \"502-504\"";
            let help = match closest(text, WORDS) {
                Some(word) => format!("did you mean `{word}`? ({list})"),
                None => list.to_owned(),
            };
            Err(Unfit::new(format!("{} is not a value of `on`", quoted(text))).help(help))
        }
    }
}

fn hedge(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Hedge> {
    let found = reader.find("hedge")?;
    let hedge = match &found.node.value {
        Value::Boolean(false) => return None,
        Value::String(text) => scalar::parsed(d, found.node.place, text, when)?,
        _ => return scalar::wrong_type(d, found.key, &found.key.kind, found.node),
    };
    if let Some(attempts) = reader.find("attempts").filter(|found| !found.inherited)
        && attempts.node.value == Value::Integer(Some(1))
        && !found.inherited
    {
        d.error(
            found.key_place,
            "conflicting-keys",
            "`hedge` needs a second backend, and `attempts` allows one alone",
        )
        .also(attempts.node.place, "the limit")
        .help("write attempts = 2");
    }
    Some(hedge)
}

fn when(text: &str) -> Result<Hedge, Unfit> {
    if let Some(quantile) = Quantile::ALL.into_iter().find(|one| one.word() == text) {
        return Ok(Hedge::Quantile(quantile));
    }
    match parse_duration(text) {
        Ok(after) if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&after) => {
            Ok(Hedge::After(after))
        }
        Ok(_) => Err(Unfit::new("`hedge` must be from \"1ms\" to \"1h\"")),
        Err(_) => Err(Unfit::new(format!(
            "{} is neither a duration nor a quantile",
            quoted(text)
        ))
        .help("write \"50ms\", or one of \"p50\", \"p75\", \"p90\", \"p95\" and \"p99\"")),
    }
}
