use std::collections::HashMap;
use std::net::SocketAddr;

use super::reader::{Found, Reader};
use super::scalar;
use super::top::non_empty;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind, Section};
use crate::policy::{BackendAddr, Discover, Lookup};
use crate::source::{Node, Place, Value};
use crate::suggest::quoted;
use crate::value::{Unfit, parse_backend, parse_resolver, parse_service};

/// The most sources of one pool.
const MAX_SOURCES: usize = 16;
/// The most name servers of one source.
const MAX_RESOLVERS: usize = 8;

/// Decodes `discover` of a pool; also where each source stands.
pub(super) fn discover(
    name: &str,
    pool: &Reader<'_>,
    d: &mut Diagnostics,
) -> Vec<(Discover, Place)> {
    let Some(found) = pool.find("discover") else {
        return Vec::new();
    };
    let Some(section) = found.key.kind.sections().into_iter().next() else {
        return Vec::new();
    };
    let source = |d: &mut Diagnostics, key: &Key, node: &Node| {
        source(d, key, section, node, (name, pool.title()))
    };
    let sources = pool.items(d, "discover", source);
    if sources.len() > MAX_SOURCES {
        let message = format!("a pool has {MAX_SOURCES} sources at most");
        d.error(found.key_place, "out-of-range", message);
    }
    let mut first = HashMap::new();
    for (source, place) in &sources {
        if let Some(first) = first.insert(source, *place) {
            let message = format!("the pool finds `{source}` twice");
            d.error(*place, "duplicate-value", message)
                .also(first, "first here");
        }
    }
    sources
}

fn source(
    d: &mut Diagnostics,
    key: &Key,
    section: &'static Section,
    node: &Node,
    (pool, title): (&str, &str),
) -> Option<Discover> {
    let Value::Table(table) = &node.value else {
        let kind = match &key.kind {
            Kind::OneOrMany(kind) => kind,
            kind => kind,
        };
        return scalar::wrong_type(d, key, kind, node);
    };
    let title = format!("`discover` of {title}");
    let reader = Reader::new(d, section, title, node.place, table);
    let lookup = lookup(&reader, d);
    match one_of(&reader, d)?.key.name {
        "dns" => {
            let (host, port) = reader.text(d, "dns", name_and_port)?;
            Some(Discover::Dns { host, port, lookup })
        }
        "srv" => {
            let service = reader.text(d, "srv", parse_service)?;
            Some(Discover::Srv { service, lookup })
        }
        "agents" => {
            refuse_lookup(&reader, d, "they register themselves");
            agents(&reader, d, pool)
        }
        _ => {
            refuse_lookup(&reader, d, "the file is watched");
            let path = reader.text(d, "file", non_empty)?;
            let place = reader.find("file")?.node.place;
            let path = d.sources.folder(place).join(path);
            Some(Discover::File { path })
        }
    }
}

fn one_of<'a>(reader: &Reader<'a>, d: &mut Diagnostics) -> Option<Found<'a>> {
    let kinds = ["dns", "srv", "agents", "file"];
    let mut found = kinds.into_iter().filter_map(|name| reader.find(name));
    let first = found.next();
    match (first, found.next()) {
        (Some(first), Some(second)) => {
            let message = "`discover` has one of `dns`, `srv`, `agents` and `file`";
            d.error(second.key_place, "conflicting-keys", message)
                .also(first.key_place, "the other one")
                .help("several sources stand in an array: discover = [{ ... }, { ... }]");
        }
        (None, _) if !kinds.iter().any(|name| reader.may_be_meant(name)) => {
            let message = "`discover` needs one of `dns`, `srv`, `agents` and `file`";
            d.error(reader.place(), "missing-key", message)
                .help("for example discover = { dns = \"app.internal:8080\" }");
        }
        _ => {}
    }
    first
}

fn lookup(reader: &Reader<'_>, d: &mut Diagnostics) -> Lookup {
    let resolvers: Vec<(SocketAddr, _)> = reader.texts(d, "resolvers", parse_resolver);
    if let Some((_, place)) = resolvers.get(MAX_RESOLVERS) {
        let message = format!("a source has {MAX_RESOLVERS} resolvers at most");
        d.error(*place, "out-of-range", message);
    }
    Lookup {
        resolvers: resolvers.into_iter().map(|(addr, _)| addr).collect(),
        refresh: reader.optional_duration(d, "refresh"),
    }
}

fn agents(reader: &Reader<'_>, d: &mut Diagnostics, pool: &str) -> Option<Discover> {
    if !reader.boolean(d, "agents")? {
        let place = reader.find("agents")?.node.place;
        d.error(place, "bad-value", "`agents` can only be `true`")
            .help("leave the source out");
        return None;
    }
    Some(Discover::Agents {
        pool: pool.to_owned(),
    })
}

/// What looks nothing up, as `instead` says.
fn refuse_lookup(reader: &Reader<'_>, d: &mut Diagnostics, instead: &str) {
    for found in ["resolvers", "refresh"]
        .iter()
        .filter_map(|name| reader.find(name))
    {
        let message = format!("`{}` says how a name is looked up", found.key.name);
        d.error(found.key_place, "conflicting-keys", message)
            .help(format!("leave it out: {instead}"));
    }
}

fn name_and_port(text: &str) -> Result<(String, u16), Unfit> {
    match parse_backend(text)? {
        BackendAddr::Name(host, port) => Ok((host, port)),
        _ => Err(
            Unfit::new(format!("{} is not a name to look up", quoted(text)))
                .help(format!("write backends = [\"{text}\"]")),
        ),
    }
}
