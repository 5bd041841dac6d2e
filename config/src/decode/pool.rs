use super::discover::discover;
use super::health::health;
use super::reader::Reader;
use super::scalar;
use super::sticky::sticky;
use super::{Placed, PoolPlaces};
use crate::diagnostics::Diagnostics;
use crate::keys::{BACKENDS_FILE, Key, Kind, Section};
use crate::policy::{Backend, Balance, HashBy, Pool, PoolTimeouts};
use crate::source::{Node, Place, Table, Value};
use crate::suggest::quoted;
use crate::value::{Unfit, parse_backend, parse_field_name, parse_name, parse_token};

/// The most backends of a pool.
const MAX_BACKENDS: usize = 10_000;

pub(super) fn pool(
    d: &mut Diagnostics,
    name: &str,
    reader: &Reader<'_>,
) -> Placed<Pool, PoolPlaces> {
    let errors = d.errors();
    let (backends, places) = backends(reader, d);
    let (discover, sources) = discover(reader, d).into_iter().unzip();
    require_backends(reader, d);
    let item = Pool {
        name: name.to_owned(),
        balance: balance(reader, d),
        backends,
        discover,
        health: health(reader, d),
        sticky: sticky(reader, d),
        timeouts: timeouts(&reader.settings(d, "timeouts"), d),
        used: false,
    };
    let backends_key = reader
        .find("backends")
        .map_or(reader.place(), |found| found.key_place);
    let places = PoolPlaces {
        name: reader.place(),
        backends_key,
        backends: places,
        discover: sources,
    };
    Placed {
        item,
        places,
        sound: d.errors() == errors,
    }
}

/// Decodes a file that `discover.file` names.
pub(crate) fn backends_file(root: &Table, d: &mut Diagnostics) -> (Vec<Backend>, Vec<Place>) {
    let reader = Reader::new(d, &BACKENDS_FILE, "the file".to_owned(), root.place, root);
    reader.require(d, "backends");
    backends(&reader, d)
}

fn require_backends(reader: &Reader<'_>, d: &mut Diagnostics) {
    if reader.find("discover").is_some() || reader.may_be_meant("discover") {
        return;
    }
    reader.require(d, "backends");
    if let Some(found) = reader.find("backends")
        && matches!(&found.node.value, Value::Array(items) if items.is_empty())
    {
        let message = "a pool needs at least one backend";
        d.error(found.node.place, "bad-value", message).help(
            "list one, or say where they are found: discover = { dns = \"app.internal:8080\" }",
        );
    }
}

fn backends(reader: &Reader<'_>, d: &mut Diagnostics) -> (Vec<Backend>, Vec<Place>) {
    let Some(found) = reader.find("backends") else {
        return (Vec::new(), Vec::new());
    };
    let Some(section) = found.key.kind.sections().into_iter().next() else {
        return (Vec::new(), Vec::new());
    };
    if matches!(&found.node.value, Value::Array(items) if items.len() > MAX_BACKENDS) {
        let message = format!("a pool has {MAX_BACKENDS} backends at most");
        d.error(found.key_place, "out-of-range", message);
    }
    let backend = |d: &mut Diagnostics, key: &Key, node: &Node| backend(d, key, section, node);
    reader.items(d, "backends", backend).into_iter().unzip()
}

fn backend(
    d: &mut Diagnostics,
    key: &Key,
    section: &'static Section,
    node: &Node,
) -> Option<Backend> {
    match &node.value {
        Value::String(text) => {
            let addr = scalar::parsed(d, node.place, text, parse_backend)?;
            Some(Backend {
                name: text.clone(),
                addr,
                weight: 1,
            })
        }
        Value::Table(table) => {
            let title = "a backend".to_owned();
            let reader = Reader::new(d, section, title, node.place, table);
            reader.require(d, "addr");
            let addr = reader.text(d, "addr", |text| {
                Ok((parse_backend(text)?, text.to_owned()))
            });
            let name = reader.text(d, "name", parse_name);
            let weight = reader.count(d, "weight").unwrap_or_default();
            let (addr, written) = addr?;
            Some(Backend {
                name: name.unwrap_or(written),
                addr,
                weight,
            })
        }
        _ => match &key.kind {
            Kind::Many(kind) => scalar::wrong_type(d, key, kind, node),
            _ => None,
        },
    }
}

fn balance(reader: &Reader<'_>, d: &mut Diagnostics) -> Balance {
    let hash = hash_by(reader, d);
    let errors = d.errors();
    let balance = match reader.word(d, "balance") {
        Some("hash") => return Balance::Hash(hash.unwrap_or(HashBy::ClientIp)),
        Some("random") => Balance::Random,
        Some("least-request") => Balance::LeastRequest,
        _ => Balance::RoundRobin,
    };
    if d.errors() == errors {
        refuse_hash(reader, d);
    }
    balance
}

/// A `hash` of the pool itself says nothing under another balance; an inherited one is passed over.
fn refuse_hash(reader: &Reader<'_>, d: &mut Diagnostics) {
    if let Some(found) = reader.find_own("hash").filter(|_| !reader.is_partial()) {
        d.error(
            found.key_place,
            "conflicting-keys",
            "`hash` says nothing without `balance = \"hash\"`",
        )
        .help("write balance = \"hash\", or leave `hash` out");
    }
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

fn timeouts(reader: &Reader<'_>, d: &mut Diagnostics) -> PoolTimeouts {
    PoolTimeouts {
        connect: reader.duration(d, "connect"),
        idle: reader.duration(d, "idle"),
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
