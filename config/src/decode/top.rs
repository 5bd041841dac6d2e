use std::num::NonZeroUsize;

use super::agents::agents;
use super::contact::contact;
use super::direct::direct_process;
use super::listener::listener;
use super::pool::pool;
use super::reader::Reader;
use super::route::route;
use super::trace::trace;
use super::{Decoded, scalar};
use crate::diagnostics::Diagnostics;
use crate::keys::{CONTACT, Key, LISTENER, POOL, ROOT, ROUTE, Section};
use crate::policy::{AccessLog, Admin, LogField, LogTarget, Process, Secret};
use crate::source::{Entry, Node, Place, Table, Value};
use crate::value::{Unfit, parse_bind, parse_name};

/// The most contacts of a policy.
const MAX_CONTACTS: usize = 64;

/// Decodes the joined tree of all files.
pub(crate) fn decode(root: &Table, d: &mut Diagnostics) -> Decoded {
    let reader = Reader::new(d, &ROOT, String::new(), root.place, root);
    check_include(&reader, d);
    let defaults = Defaults::new(&reader, d);
    let admin = reader.settings(d, "admin");
    Decoded {
        process: process(&reader.settings(d, "process"), d),
        admin: Admin {
            listen: admin.text(d, "listen", parse_bind),
            token: token(&admin, d),
        },
        admin_place: admin
            .find("listen")
            .map_or(root.place, |found| found.node.place),
        access_log: access_log(&reader, d),
        trace: trace(&reader, d),
        listeners: named(&reader, d, "listener")
            .into_iter()
            .map(|(entry, table)| {
                let title = format!("[listener.{}]", entry.key);
                let reader = Reader::new(d, &LISTENER, title, entry.key_place, table);
                listener(d, &entry.key, &reader.with_base(defaults.listener))
            })
            .collect(),
        routes: routes(&reader, d)
            .into_iter()
            .map(|(place, table)| {
                let reader = Reader::new(d, &ROUTE, "[[route]]".to_owned(), place, table);
                route(d, &reader.with_base(defaults.route))
            })
            .collect(),
        pools: named(&reader, d, "pool")
            .into_iter()
            .map(|(entry, table)| {
                let title = format!("[pool.{}]", entry.key);
                let reader = Reader::new(d, &POOL, title, entry.key_place, table);
                pool(d, &entry.key, &reader.with_base(defaults.pool))
            })
            .collect(),
        contacts: contacts(&reader, d)
            .into_iter()
            .map(|(title, place, table)| {
                let reader = Reader::new(d, &CONTACT, title.to_owned(), place, table);
                contact(d, &reader.with_base(defaults.contact))
            })
            .collect(),
        agents: agents(&reader, d),
    }
}

/// The tables below `[defaults]`.
struct Defaults<'a> {
    listener: Option<&'a Table>,
    route: Option<&'a Table>,
    pool: Option<&'a Table>,
    contact: Option<&'a Table>,
}

impl<'a> Defaults<'a> {
    /// Finds them, and decodes each by itself so that its problems are told also when nothing
    /// inherits it.
    fn new(reader: &Reader<'a>, d: &mut Diagnostics) -> Self {
        let defaults = reader.settings(d, "defaults");
        let mut table = |name: &str, section: &'static Section| {
            let found = defaults.find(name)?;
            let Some(table) = found.node.as_table() else {
                return scalar::wrong_type(d, found.key, &found.key.kind, found.node);
            };
            let reader = Reader::of_defaults(d, section, found.key_place, table);
            match section.name {
                "listener" => drop(listener(d, "defaults", &reader)),
                "route" => drop(route(d, &reader)),
                "contact" => drop(contact(d, &reader)),
                _ => drop(pool(d, "defaults", &reader)),
            }
            Some(table)
        };
        Self {
            listener: table("listener", &LISTENER),
            route: table("route", &ROUTE),
            pool: table("pool", &POOL),
            contact: table("contact", &CONTACT),
        }
    }
}

/// No message may show any of it.
fn token(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Secret> {
    let found = reader.find("token")?;
    let Value::String(text) = &found.node.value else {
        return scalar::wrong_type(d, found.key, &found.key.kind, found.node);
    };
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (16..=1024).contains(&text.len()) {
        return Some(Secret::new(text.as_str()));
    }
    let message = "`token` must be 16 to 1024 visible ASCII characters, without spaces";
    d.error(found.node.place, "bad-value", message).help(
        "`openssl rand -hex 32` makes a good one; keep it in a file and write token = \
         \"${file:/etc/pointsman/admin.token}\"",
    );
    None
}

/// Patterns were read while loading; here only their type is looked at.
fn check_include(reader: &Reader<'_>, d: &mut Diagnostics) {
    reader.texts(d, "include", |text| Ok::<_, Unfit>(text.to_owned()));
}

fn process(reader: &Reader<'_>, d: &mut Diagnostics) -> Process {
    Process {
        workers: reader.count(d, "workers").and_then(NonZeroUsize::new),
        drain: reader.duration(d, "drain"),
        max_connections: reader.count(d, "max_connections").unwrap_or_default(),
        max_buffers: reader
            .size(d, "max_buffers")
            .and_then(|size| size.try_into().ok())
            .unwrap_or(usize::MAX),
        direct: direct_process(reader, d),
    }
}

fn access_log(root: &Reader<'_>, d: &mut Diagnostics) -> Option<AccessLog> {
    root.find("access_log")?;
    let reader = root.settings(d, "access_log");
    let path = reader.text(d, "path", non_empty)?;
    let target = match path.as_str() {
        "stdout" => LogTarget::Stdout,
        _ => {
            let place = reader
                .find("path")
                .map_or(reader.place(), |found| found.node.place);
            LogTarget::File(d.sources.folder(place).join(path))
        }
    };
    let field = |d: &mut Diagnostics, key: &Key, node: &Node| {
        scalar::word(d, key, node).and_then(LogField::from_name)
    };
    let fields = match reader.find("fields") {
        Some(_) => reader
            .items(d, "fields", field)
            .into_iter()
            .map(|(field, _)| field)
            .collect(),
        None => LogField::USUAL.to_vec(),
    };
    Some(AccessLog { target, fields })
}

/// The tables of `[listener.*]` or `[pool.*]`.
fn named<'a>(reader: &Reader<'a>, d: &mut Diagnostics, name: &str) -> Vec<(&'a Entry, &'a Table)> {
    let Some(found) = reader.find(name) else {
        return Vec::new();
    };
    let Some(tables) = found.node.as_table() else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return Vec::new();
    };
    let mut list = Vec::new();
    for entry in &tables.entries {
        scalar::parsed(d, entry.key_place, &entry.key, parse_name);
        match entry.node.as_table() {
            Some(table) => list.push((entry, table)),
            None => {
                let message = format!("`{name}.{}` must be a table", entry.key);
                let help = format!("write [{name}.NAME] with a name of your choice");
                d.error(entry.key_place, "wrong-type", message).help(help);
            }
        }
    }
    list
}

fn routes<'a>(reader: &Reader<'a>, d: &mut Diagnostics) -> Vec<(Place, &'a Table)> {
    let Some(found) = reader.find("route") else {
        return Vec::new();
    };
    let Value::Array(items) = &found.node.value else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return Vec::new();
    };
    tables(items, "route", d)
}

/// `[contact]` or `[[contact]]`: how messages call it, where it stands, what it holds.
fn contacts<'a>(reader: &Reader<'a>, d: &mut Diagnostics) -> Vec<(&'static str, Place, &'a Table)> {
    let Some(found) = reader.find("contact") else {
        return Vec::new();
    };
    match &found.node.value {
        Value::Table(table) => vec![("[contact]", found.key_place, table)],
        Value::Array(items) => tables(&items[..limit_contacts(items, d)], "contact", d)
            .into_iter()
            .map(|(place, table)| ("[[contact]]", place, table))
            .collect(),
        _ => {
            scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
            Vec::new()
        }
    }
}

/// How many of them are read.
fn limit_contacts(items: &[Node], d: &mut Diagnostics) -> usize {
    let over = items.get(MAX_CONTACTS);
    if let Some(over) = over {
        let message = format!("a policy has {MAX_CONTACTS} contacts at most");
        d.error(over.place, "out-of-range", message)
            .help("one contact may have 20 addresses of each family");
    }
    items.len().min(MAX_CONTACTS)
}

fn tables<'a>(items: &'a [Node], name: &str, d: &mut Diagnostics) -> Vec<(Place, &'a Table)> {
    let mut list = Vec::new();
    for item in items {
        match item.as_table() {
            Some(table) => list.push((item.place, table)),
            None => {
                d.error(
                    item.place,
                    "wrong-type",
                    format!("a {name} must be a table"),
                )
                .help(format!("write [[{name}]]"));
            }
        }
    }
    list
}

pub(super) fn non_empty(text: &str) -> Result<String, Unfit> {
    match text {
        "" => Err(Unfit::new("this cannot be empty")),
        _ if text.contains('\0') => Err(Unfit::new("this cannot hold a zero character")),
        _ => Ok(text.to_owned()),
    }
}
