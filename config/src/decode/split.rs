use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::policy::{HashBy, Split};
use crate::source::{Place, Value};
use crate::value::{parse_field_name, parse_token};

/// The most pools of one split.
const MAX_POOLS: usize = 64;

/// Decodes `split` and `split_by`; also where the pools stand.
pub(super) fn split(reader: &Reader<'_>, d: &mut Diagnostics) -> (Split, Vec<Place>) {
    let (pools, places) = shares(reader, d).into_iter().unzip();
    let by = split_by(reader, d).unwrap_or(HashBy::ClientIp);
    (Split { pools, by }, places)
}

fn shares(reader: &Reader<'_>, d: &mut Diagnostics) -> Vec<((String, u32), Place)> {
    let Some(found) = reader.find("split") else {
        return Vec::new();
    };
    let Value::Table(table) = &found.node.value else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return Vec::new();
    };
    if table.entries.len() > MAX_POOLS {
        let message = format!("a split has {MAX_POOLS} pools at most");
        d.error(found.key_place, "out-of-range", message);
        return Vec::new();
    }
    let errors = d.errors();
    let mut shares = Vec::new();
    for entry in &table.entries {
        let weight = scalar::integer_of(d, found.key, &found.key.kind, &entry.node);
        let weight = weight.and_then(|weight| u32::try_from(weight).ok());
        shares.push(((entry.key.clone(), weight.unwrap_or(1)), entry.key_place));
    }
    if d.errors() == errors && shares.iter().all(|((_, weight), _)| *weight == 0) {
        d.error(
            found.node.place,
            "no-weight",
            "no pool of the split has a weight",
        )
        .help("let one pool have more than 0: split = { api = 95, api-canary = 5 }");
    }
    shares
}

fn split_by(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<HashBy> {
    let found = reader.find("split_by")?;
    let section = found.key.kind.sections().into_iter().next()?;
    let table = match &found.node.value {
        Value::Table(table) => table,
        Value::String(_) => {
            scalar::word(d, found.key, found.node)?;
            return Some(HashBy::ClientIp);
        }
        _ => return scalar::wrong_type(d, found.key, &found.key.kind, found.node),
    };
    // One way of telling clients apart replaces another: tables are not merged here.
    let title = format!("`split_by` of {}", reader.title());
    let reader = Reader::new(d, section, title, found.key_place, table);
    match (reader.find("cookie"), reader.find("header")) {
        (Some(_), None) => reader.text(d, "cookie", parse_token).map(HashBy::Cookie),
        (None, Some(_)) => reader
            .text(d, "header", parse_field_name)
            .map(HashBy::Header),
        _ => {
            let message = "`split_by` needs one of `cookie`, `header`";
            d.error(found.node.place, "conflicting-keys", message)
                .help("for example split_by = { cookie = \"session\" }");
            None
        }
    }
}

/// A `split_by` of the route itself says nothing without `split`; an inherited one is passed over,
/// but read, so that what is wrong with it is told.
pub(super) fn refuse_split_by(reader: &Reader<'_>, d: &mut Diagnostics) {
    let errors = d.errors();
    split_by(reader, d);
    if let Some(found) = reader.find_own("split_by")
        && !reader.is_partial()
        && !reader.may_be_meant("split")
        && d.errors() == errors
    {
        let message = "`split_by` says nothing without `split`";
        d.error(found.key_place, "conflicting-keys", message)
            .help("write split = { api = 95, api-canary = 5 }, or leave `split_by` out");
    }
}
