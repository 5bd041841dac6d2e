use super::balance::balance;
use super::direct::{forward, usual_health};
use super::discover::discover;
use super::eject::{eject, panic};
use super::health::health;
use super::pool_limit::{limit, refuse_queue};
use super::reader::Reader;
use super::scalar;
use super::sticky::sticky;
use super::tls::pool_tls;
use super::{Placed, PoolPlaces};
use crate::diagnostics::Diagnostics;
use crate::keys::{BACKENDS_FILE, Key, Kind, Section};
use crate::policy::{Backend, Balance, Pool, PoolTimeouts};
use crate::source::{Node, Place, Table, Value};
use crate::value::{parse_backend, parse_name};

/// The most backends of a pool.
const MAX_BACKENDS: usize = 10_000;

pub(super) fn pool(
    d: &mut Diagnostics,
    name: &str,
    reader: &Reader<'_>,
) -> Placed<Pool, PoolPlaces> {
    let errors = d.errors();
    let (backends, places) = backends(reader, d);
    let (discover, sources) = discover(name, reader, d).into_iter().unzip();
    require_backends(reader, d);
    let forward = forward(reader, d);
    let is_direct = forward.direct().is_some();
    let sees_answers = forward.direct().is_none_or(|direct| direct.fallback);
    let balance = balance(reader, d);
    let (tls, tls_places) = pool_tls(reader, d);
    refuse_queue(reader, d);
    let item = Pool {
        name: name.to_owned(),
        load_report: load_report(reader, &balance, d),
        forward,
        tls,
        balance,
        spill: reader.share(d, "spill").unwrap_or_default(),
        backends,
        discover,
        health: match is_direct {
            true => usual_health(reader, d),
            false => health(reader, d),
        },
        sticky: sticky(reader, d),
        limit: limit(reader, d),
        eject: eject(reader, d).filter(|_| sees_answers),
        slow_start: reader.optional_duration(d, "slow_start"),
        panic: panic(reader, d),
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
        has_health: reader.find("health").is_some(),
        tls: tls_places,
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
                priority: 0,
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
            let priority = priority(&reader, d);
            let (addr, written) = addr?;
            Some(Backend {
                name: name.unwrap_or(written),
                addr,
                weight,
                priority,
            })
        }
        _ => match &key.kind {
            Kind::Many(kind) => scalar::wrong_type(d, key, kind, node),
            _ => None,
        },
    }
}

/// Keys of a hash would move with the load.
fn load_report(reader: &Reader<'_>, balance: &Balance, d: &mut Diagnostics) -> bool {
    let wanted = reader.boolean(d, "load_report").unwrap_or_default();
    let hashes = matches!(balance, Balance::Hash { .. });
    if wanted
        && hashes
        && let Some(found) = reader.find_own("load_report")
    {
        let message = "`load_report` changes weights, and with them where the keys of a `hash` go";
        d.error(found.key_place, "conflicting-keys", message)
            .help("leave it out, or give the `hash` a `bound` instead");
    }
    wanted && !hashes
}

fn priority(reader: &Reader<'_>, d: &mut Diagnostics) -> u8 {
    let priority = reader.count(d, "priority").unwrap_or_default();
    if !reader.boolean(d, "backup").unwrap_or_default() {
        return priority;
    }
    if let Some(found) = reader.find("priority") {
        let message = "`backup` puts it behind every `priority`";
        d.error(found.key_place, "conflicting-keys", message)
            .help("leave one of them out");
    }
    Backend::BACKUP
}

fn timeouts(reader: &Reader<'_>, d: &mut Diagnostics) -> PoolTimeouts {
    PoolTimeouts {
        connect: reader.duration(d, "connect"),
        idle: reader.duration(d, "idle"),
    }
}
