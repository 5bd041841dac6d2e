use std::ops::RangeInclusive;

use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind};
use crate::policy::{Check, Health};
use crate::source::{Node, Value};
use crate::suggest::quoted;
use crate::value::{Unfit, parse_field_value, parse_statuses};

/// Keys that say something only about a check by a request.
const HTTP_ONLY: [&str; 3] = ["host", "status", "body"];

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
        interval: reader.duration(d, "interval"),
        timeout: reader.duration(d, "timeout"),
        fall: reader.count(d, "fall").unwrap_or_default(),
        rise: reader.count(d, "rise").unwrap_or_default(),
        jitter: reader.share(d, "jitter").unwrap_or_default(),
    };
    Some(health)
}

fn check(reader: &Reader<'_>, d: &mut Diagnostics) -> Check {
    if reader.find("path").is_none() {
        for found in HTTP_ONLY.iter().filter_map(|name| reader.find_own(name)) {
            if !reader.is_partial() {
                let message = format!("`{}` says nothing without `path`", found.key.name);
                d.error(found.key_place, "conflicting-keys", message)
                    .help("with `path` a check is a request, without it only a connection");
            }
        }
        // Their values are looked at all the same.
        http_check(reader, d);
        return Check::Tcp;
    }
    http_check(reader, d)
}

fn http_check(reader: &Reader<'_>, d: &mut Diagnostics) -> Check {
    Check::Http {
        path: reader.text(d, "path", path_and_query).unwrap_or_default(),
        host: reader.text(d, "host", authority),
        status: statuses(reader, d),
        body: reader.text(d, "body", body),
    }
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
