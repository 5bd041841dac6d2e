use std::ops::RangeInclusive;

use super::reader::{Found, Reader};
use super::scalar;
use super::script::script;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind};
use crate::policy::{Check, Health};
use crate::source::{Node, Value};
use crate::suggest::quoted;
use crate::value::{Unfit, parse_field_value, parse_statuses};

/// A kind of check: the keys of which each makes a check one of it, and keys that say something
/// only about it.
struct CheckKind {
    marks: &'static [&'static str],
    belongings: &'static [&'static str],
}

const KINDS: [CheckKind; 3] = [
    CheckKind {
        marks: &["path"],
        belongings: &["host", "status", "body"],
    },
    CheckKind {
        marks: &["grpc"],
        belongings: &["host"],
    },
    CheckKind {
        marks: &["send", "expect", "steps"],
        belongings: &[],
    },
];

/// Decodes `health` of a pool; `None` where there are no active checks.
pub(super) fn health(pool: &Reader<'_>, d: &mut Diagnostics) -> Option<Health> {
    let found = pool.find("health")?;
    if found.node.value == Value::Boolean(false) {
        return None;
    }
    let section = found.key.kind.sections().into_iter().next()?;
    let reader = pool.table(d, "health", section)?;
    let health = Health {
        check: check(&reader, d),
        port: reader.count(d, "port"),
        interval: reader.duration(d, "interval"),
        timeout: reader.duration(d, "timeout"),
        fall: reader.count(d, "fall").unwrap_or_default(),
        rise: reader.count(d, "rise").unwrap_or_default(),
        jitter: reader.share(d, "jitter").unwrap_or_default(),
    };
    Some(health)
}

/// The check that is written. Values that do not count are looked at all the same.
fn check(reader: &Reader<'_>, d: &mut Diagnostics) -> Check {
    let checks = [
        Some(http_check(reader, d)),
        grpc_check(reader, d),
        script(reader, d),
    ];
    let kind = kind(reader, d);
    if !reader.is_partial() {
        refuse_strangers(reader, kind, d);
    }
    let check = kind.and_then(|kind| checks.into_iter().nth(kind).flatten());
    check.unwrap_or(Check::Tcp)
}

/// Which of [`KINDS`] it is. What the pool itself says goes before what it inherits, so that one
/// pool can be checked otherwise than the rest.
fn kind(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<usize> {
    let own = marks(|name| reader.find_own(name));
    if let [_, (_, second), ..] = own.as_slice() {
        let message = "a check is made by `path`, by `grpc`, or by `send` and `expect`: by one of \
                       them";
        d.error(second.key_place, "conflicting-keys", message);
    }
    let any = || marks(|name| reader.find(name));
    let first = own.into_iter().next().or_else(|| any().into_iter().next());
    first.map(|(kind, _)| kind)
}

/// The kinds whose marks are found, with the first mark of each.
fn marks<'a>(find: impl Fn(&str) -> Option<Found<'a>>) -> Vec<(usize, Found<'a>)> {
    let is_on = |found: &Found<'_>| found.node.value != Value::Boolean(false);
    let kinds = KINDS.iter().enumerate();
    let found = kinds.filter_map(|(at, kind)| {
        let mut found = kind.marks.iter().filter_map(|name| find(name));
        Some((at, found.find(is_on)?))
    });
    found.collect()
}

/// Keys of the pool itself that say nothing about this kind of check.
fn refuse_strangers(reader: &Reader<'_>, kind: Option<usize>, d: &mut Diagnostics) {
    let belongings: &[&str] = kind.map_or(&[], |kind| KINDS[kind].belongings);
    let strangers = ["host", "status", "body"]
        .into_iter()
        .filter(|name| !belongings.contains(name));
    for found in strangers.filter_map(|name| reader.find_own(name)) {
        let name = found.key.name;
        let needed = if name == "host" {
            "`path` or `grpc`"
        } else {
            "`path`"
        };
        let message = format!("`{name}` says nothing without {needed}");
        d.error(found.key_place, "conflicting-keys", message)
            .help("with `path` a check is a request");
    }
}

fn http_check(reader: &Reader<'_>, d: &mut Diagnostics) -> Check {
    Check::Http {
        path: reader.text(d, "path", path_and_query).unwrap_or_default(),
        host: reader.text(d, "host", authority),
        status: statuses(reader, d),
        body: reader.text(d, "body", body),
    }
}

fn grpc_check(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Check> {
    let found = reader.find("grpc")?;
    let service = match &found.node.value {
        Value::Boolean(_) => String::new(),
        Value::String(text) => scalar::parsed(d, found.node.place, text, service)?,
        _ => return scalar::wrong_type(d, found.key, &found.key.kind, found.node),
    };
    Some(Check::Grpc {
        service,
        host: reader.text(d, "host", authority),
    })
}

fn statuses(reader: &Reader<'_>, d: &mut Diagnostics) -> Vec<RangeInclusive<u16>> {
    let status = |d: &mut Diagnostics, key: &Key, node: &Node| match &node.value {
        Value::Integer(_) => {
            let kind = &Kind::Integer { min: 100, max: 599 };
            let code = u16::try_from(scalar::integer_of(d, key, kind, node)?).ok()?;
            Some(code..=code)
        }
        Value::String(text) => scalar::parsed(d, node.place, text, parse_statuses),
        _ => scalar::wrong_type(d, key, &key.kind, node),
    };
    if let Some(found) = reader.find("status")
        && matches!(&found.node.value, Value::Array(items) if items.is_empty())
    {
        d.error(
            found.node.place,
            "bad-value",
            "`status` is empty: no check could pass",
        );
    }
    reader
        .items(d, "status", status)
        .into_iter()
        .map(|(range, _)| range)
        .collect()
}

fn path_and_query(text: &str) -> Result<String, Unfit> {
    let fits = text.starts_with('/')
        && text.len() <= 2048
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Unfit::new(format!("{} is not a path", quoted(text)))
            .help("write a path, perhaps with a query: \"/healthz?full=1\"")),
    }
}

fn authority(text: &str) -> Result<String, Unfit> {
    let fits = !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    match fits {
        true => Ok(parse_field_value(text)?),
        false => Err(Unfit::new(format!("{} is not a host", quoted(text)))
            .help("write \"shop.example.com\" or \"shop.example.com:8080\"")),
    }
}

fn body(text: &str) -> Result<String, Unfit> {
    if text.is_empty() || text.len() > 4096 {
        return Err(Unfit::new("`body` must have 1 to 4096 bytes"));
    }
    Ok(text.to_owned())
}

fn service(text: &str) -> Result<String, Unfit> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fits = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    match begins && fits && text.len() <= 255 {
        true => Ok(text.to_owned()),
        false => Err(
            Unfit::new(format!("{} is not a gRPC service", quoted(text)))
                .help("write \"package.Service\", or true for the server as a whole"),
        ),
    }
}
