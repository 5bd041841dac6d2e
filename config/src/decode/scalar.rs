use std::time::Duration;

use super::reader::Reader;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind, foreign_word};
use crate::policy::{Rate, Secret};
use crate::source::{Node, Place, Value};
use crate::suggest::{closest, listed, quoted};
use crate::value::{
    Unfit, format_duration, format_size, parse_byte_rate, parse_duration, parse_rate, parse_share,
    parse_size,
};

pub(super) fn boolean(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<bool> {
    match node.value {
        Value::Boolean(value) => Some(value),
        _ => wrong_type(d, key, &key.kind, node),
    }
}

/// A secret under the key of this name, which is best kept in the file. No message may show any of it.
pub(super) fn secret(
    reader: &Reader<'_>,
    name: &str,
    file: &str,
    d: &mut Diagnostics,
) -> Option<Secret> {
    let found = reader.find(name)?;
    let Value::String(text) = &found.node.value else {
        return wrong_type(d, found.key, &found.key.kind, found.node);
    };
    if !(16..=1024).contains(&text.len()) {
        let message = format!("`{name}` must have 16 to 1024 bytes, not {}", text.len());
        d.error(found.node.place, "bad-value", message)
            .help(format!(
                "`openssl rand -base64 32` makes a good one; keep it in a file and write {name} = \
             \"${{file:/etc/pointsman/{file}}}\""
            ));
        return None;
    }
    Some(Secret::new(text.as_str()))
}

pub(super) fn integer(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<i64> {
    integer_of(d, key, &key.kind, node)
}

pub(super) fn integer_of(d: &mut Diagnostics, key: &Key, kind: &Kind, node: &Node) -> Option<i64> {
    let (min, max) = match *kind {
        Kind::Integer { min, max } | Kind::Numbers { min, max, .. } => (min, max),
        _ => return None,
    };
    match node.value {
        Value::Integer(Some(value)) if (min..=max).contains(&value) => Some(value),
        Value::Integer(_) => {
            let message = format!("`{}` must be from {min} to {max}", key.name);
            d.error(node.place, "out-of-range", message);
            None
        }
        _ => wrong_type(d, key, kind, node),
    }
}

pub(super) fn duration(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<Duration> {
    let Kind::Duration { min, max } = key.kind else {
        return None;
    };
    let value = text(d, key, node, parse_duration)?;
    let bounds = (format_duration(min), format_duration(max));
    within(d, key, node, (min..=max).contains(&value), bounds).then_some(value)
}

pub(super) fn size(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<u64> {
    let Kind::Size { min, max } = key.kind else {
        return None;
    };
    let value = text(d, key, node, parse_size)?;
    let bounds = (format_size(min), format_size(max));
    within(d, key, node, (min..=max).contains(&value), bounds).then_some(value)
}

pub(super) fn rate(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<Rate> {
    text(d, key, node, parse_rate)
}

pub(super) fn byte_rate(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<u64> {
    text(d, key, node, parse_byte_rate)
}

pub(super) fn share(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<f64> {
    text(d, key, node, parse_share)
}

/// One of the words of a key whose kind is, or among others is, a list of words.
pub(super) fn word(d: &mut Diagnostics, key: &Key, node: &Node) -> Option<&'static str> {
    let words = match &key.kind {
        Kind::Word(words) | Kind::Many(Kind::Word(words)) => *words,
        Kind::AnyOf(kinds) => kinds.iter().find_map(|kind| match kind {
            Kind::Word(words) => Some(*words),
            _ => None,
        })?,
        _ => return None,
    };
    let Value::String(written) = &node.value else {
        return wrong_type(d, key, &key.kind, node);
    };
    let allowed = || words.iter().map(|(word, _)| *word);
    if let Some(word) = allowed().find(|word| word == written) {
        return Some(word);
    }
    if holds_file(d, node.place) {
        return report_secret(d, node.place);
    }
    let message = format!("{} is not a value of `{}`", quoted(written), key.name);
    let list = format!("allowed: {}", listed(allowed()));
    d.error(node.place, "unknown-value", message).help(
        match foreign_word(key.name, written).or_else(|| closest(written, allowed())) {
            Some(word) => format!("did you mean `{word}`? ({list})"),
            None => list,
        },
    );
    None
}

/// A text with a parser of its own.
pub(super) fn text<T>(
    d: &mut Diagnostics,
    key: &Key,
    node: &Node,
    parse: impl Fn(&str) -> Result<T, Unfit>,
) -> Option<T> {
    match &node.value {
        Value::String(written) => parsed(d, node.place, written, parse),
        _ => wrong_type(d, key, &key.kind, node),
    }
}

/// A text that stands somewhere, such as a key.
pub(super) fn parsed<T>(
    d: &mut Diagnostics,
    place: Place,
    written: &str,
    parse: impl Fn(&str) -> Result<T, Unfit>,
) -> Option<T> {
    match parse(written) {
        Ok(value) => Some(value),
        Err(_) if holds_file(d, place) => report_secret(d, place),
        Err(unfit) => {
            let found = d.error(place, "bad-value", unfit.message);
            if let Some(help) = unfit.help {
                found.help(help);
            }
            None
        }
    }
}

/// Whether the value was taken in from a file: such a file is often a secret, which must not go
/// into a log with a message.
fn holds_file(d: &Diagnostics, place: Place) -> bool {
    d.sources.text_at(place).contains("${file:")
}

fn report_secret<T>(d: &mut Diagnostics, place: Place) -> Option<T> {
    d.error(place, "bad-value", "what this file holds does not fit here")
        .help("its content is not shown, since it may be a secret");
    None
}

/// Reports a value of the wrong type; always `None`.
pub(super) fn wrong_type<T>(d: &mut Diagnostics, key: &Key, kind: &Kind, node: &Node) -> Option<T> {
    if node.value == Value::Unset {
        return None;
    }
    let message = format!(
        "`{}` must be {}, not {}",
        key.name,
        kind.noun(),
        node.value.noun()
    );
    let hint = hint(kind, &node.value).filter(|_| !holds_file(d, node.place));
    let found = d.error(node.place, "wrong-type", message);
    if let Some(hint) = hint {
        found.help(hint);
    }
    None
}

fn hint(kind: &Kind, value: &Value) -> Option<String> {
    let number = match value {
        Value::Integer(Some(number)) if *number >= 0 => Some(number.to_string()),
        Value::Float(digits) => Some(digits.clone()),
        _ => None,
    };
    match (kind, value) {
        (Kind::Integer { .. } | Kind::Numbers { .. }, Value::String(text)) => text
            .parse::<i64>()
            .ok()
            .map(|number| format!("write {number} without quotes")),
        (Kind::Bool, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::Duration { .. }, Value::Integer(_)) => Some(format!("write \"{}s\"", number?)),
        (Kind::Size { .. }, Value::Integer(_)) => Some(format!("write \"{}B\"", number?)),
        (Kind::Rate, Value::Integer(_)) => Some(format!("write \"{}/s\"", number?)),
        (Kind::ByteRate, Value::Integer(_)) => Some(format!("write \"{}B/s\"", number?)),
        (Kind::Share, Value::Integer(_)) => Some(format!("write \"{}%\"", number?)),
        (Kind::Share, Value::Float(digits)) => {
            let share: f64 = digits.parse().ok()?;
            (0.0..=1.0)
                .contains(&share)
                .then(|| format!("write \"{}%\"", share * 100.0))
        }
        (Kind::List(section), Value::Table(_)) => Some(format!("write [[{}]]", section.name)),
        (Kind::Many(_), Value::String(_)) => Some("put it into brackets: [\"...\"]".to_owned()),
        _ => None,
    }
}

fn within(
    d: &mut Diagnostics,
    key: &Key,
    node: &Node,
    inside: bool,
    (min, max): (String, String),
) -> bool {
    if !inside {
        let message = format!("`{}` must be from \"{min}\" to \"{max}\"", key.name);
        d.error(node.place, "out-of-range", message);
    }
    inside
}
