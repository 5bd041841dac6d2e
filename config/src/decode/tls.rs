//! `[listener.NAME.tls]`

use std::path::PathBuf;

use super::TlsPlaces;
use super::reader::Reader;
use super::top::non_empty;
use crate::diagnostics::Diagnostics;
use crate::keys::Kind;
use crate::policy::{Tls, TlsClients, TlsFiles};
use crate::source::Place;

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
