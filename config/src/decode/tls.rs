//! `[listener.NAME.tls]` and `[pool.NAME.tls]`

use std::path::PathBuf;

use super::reader::Reader;
use super::top::non_empty;
use super::{PoolTlsPlaces, TlsPlaces};
use crate::diagnostics::Diagnostics;
use crate::keys::Kind;
use crate::policy::{PoolTls, Tls, TlsClients, TlsFiles};
use crate::source::{Place, Value};
use crate::value::parse_server_name;

pub(super) fn tls(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<(Tls, TlsPlaces)> {
    let Kind::Table(section) = reader.find("tls")?.key.kind else {
        return None;
    };
    let reader = reader.table(d, "tls", section)?;
    let (cert, key) = (files(&reader, d, "cert"), files(&reader, d, "key"));
    let has = |name: &str| reader.find(name).is_some();
    if !has("folder") || has("cert") || has("key") {
        reader.require(d, "cert");
        reader.require(d, "key");
    }
    if has("cert") && has("key") && cert.len() != key.len() {
        let message = format!(
            "there are {} in `cert` and {} in `key`",
            cert.len(),
            key.len()
        );
        d.error(reader.place(), "missing-key", message)
            .help("write a key for each certificate, in the same order");
    }
    let folder = reader.text(d, "folder", non_empty);
    let folder_place = place_of(&reader, "folder");
    let folder = folder.map(|folder| d.sources.folder(folder_place).join(folder));
    let (clients, ca, crl) = clients(&reader, d);
    let pairs = cert.into_iter().zip(key);
    let (certs, places) = pairs
        .map(|((cert, at), (key, key_at))| (TlsFiles { cert, key }, (at, key_at)))
        .unzip();
    let places = TlsPlaces {
        tls: reader.place(),
        certs: places,
        folder: folder_place,
        ca,
        crl,
    };
    let tls = Tls {
        certs,
        folder,
        clients,
    };
    Some((tls, places))
}

fn clients(reader: &Reader<'_>, d: &mut Diagnostics) -> (Option<TlsClients>, Place, Vec<Place>) {
    let none = (None, reader.place(), Vec::new());
    let Some(Kind::Table(section)) = reader.find("clients").map(|found| &found.key.kind) else {
        return none;
    };
    let Some(reader) = reader.table(d, "clients", section) else {
        return none;
    };
    reader.require(d, "ca");
    let place = place_of(&reader, "ca");
    let ca = reader.text(d, "ca", non_empty);
    let (crl, places) = files(&reader, d, "crl").into_iter().unzip();
    let optional = reader.boolean(d, "optional").unwrap_or_default();
    let clients = ca.map(|ca| TlsClients {
        ca: d.sources.folder(place).join(ca),
        crl,
        optional,
    });
    (clients, place, places)
}

pub(super) fn pool_tls(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
) -> (Option<PoolTls>, PoolTlsPlaces) {
    let nowhere = PoolTlsPlaces {
        ca: reader.place(),
        verify: reader.place(),
        own: (reader.place(), reader.place()),
    };
    let Some(found) = reader.find("tls") else {
        return (None, nowhere);
    };
    if let Value::Boolean(wanted) = found.node.value {
        let usual = PoolTls {
            ca: None,
            name: None,
            verify: true,
            own: None,
        };
        return (wanted.then_some(usual), nowhere);
    }
    let section = found.key.kind.sections().into_iter().next();
    let Some(reader) = section.and_then(|section| reader.table(d, "tls", section)) else {
        return (None, nowhere);
    };
    let places = PoolTlsPlaces {
        ca: place_of(&reader, "ca"),
        verify: place_of(&reader, "verify"),
        own: (place_of(&reader, "cert"), place_of(&reader, "key")),
    };
    if reader.find("cert").is_some() || reader.find("key").is_some() {
        reader.require(d, "cert");
        reader.require(d, "key");
    }
    let file = |d: &mut Diagnostics, name: &str, place: Place| {
        let file = reader.text(d, name, non_empty)?;
        Some(d.sources.folder(place).join(file))
    };
    let (cert, key) = places.own;
    let own = file(d, "cert", cert).zip(file(d, "key", key));
    let tls = PoolTls {
        ca: file(d, "ca", places.ca),
        name: reader.text(d, "name", parse_server_name),
        verify: reader.boolean(d, "verify").unwrap_or(true),
        own: own.map(|(cert, key)| TlsFiles { cert, key }),
    };
    (Some(tls), places)
}

/// Relative paths start at the folder of the file that they stand in.
fn files(reader: &Reader<'_>, d: &mut Diagnostics, name: &str) -> Vec<(PathBuf, Place)> {
    let texts = reader.texts(d, name, non_empty);
    let texts = texts.into_iter();
    texts
        .map(|(file, place)| (d.sources.folder(place).join(file), place))
        .collect()
}

fn place_of(reader: &Reader<'_>, key: &str) -> Place {
    let found = reader.find(key);
    found.map_or(reader.place(), |found| found.node.place)
}
