use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::policy::HeaderEdits;
use crate::source::{Place, Table, Value};
use crate::value::{parse_editable_field_name, parse_field_value};

/// The most edits of one list.
const MAX_EDITS: usize = 256;

/// Decodes `request_headers` or `response_headers`.
pub(super) fn header_edits(route: &Reader<'_>, d: &mut Diagnostics, name: &str) -> HeaderEdits {
    if route.find(name).is_none() {
        return HeaderEdits::default();
    }
    let reader = route.settings(d, name);
    let remove = reader.texts(d, "remove", parse_editable_field_name);
    let edits = HeaderEdits {
        set: fields(&reader, d, "set"),
        add: fields(&reader, d, "add"),
        remove: remove.into_iter().map(|(name, _)| name).collect(),
    };
    refuse_contradictions(&reader, d, &edits);
    if name == "request_headers" {
        keep_one_host(&reader, d);
    }
    edits
}

fn fields(reader: &Reader<'_>, d: &mut Diagnostics, list: &str) -> Vec<(String, String)> {
    let Some(found) = reader.find(list) else {
        return Vec::new();
    };
    let Some(own) = found.node.as_table() else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return Vec::new();
    };
    let mut fields = read_fields(d, own);
    let inherited = reader
        .find_hidden(list)
        .and_then(|found| found.node.as_table());
    for field in inherited
        .map(|table| read_fields(d, table))
        .unwrap_or_default()
    {
        if !fields.iter().any(|(name, _)| *name == field.0) {
            fields.push(field);
        }
    }
    fields
}

fn read_fields(d: &mut Diagnostics, table: &Table) -> Vec<(String, String)> {
    if table.entries.len() > MAX_EDITS {
        d.error(
            table.place,
            "out-of-range",
            format!("more than {MAX_EDITS} fields"),
        );
        return Vec::new();
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for entry in &table.entries {
        let name = scalar::parsed(d, entry.key_place, &entry.key, parse_editable_field_name);
        let Value::String(text) = &entry.node.value else {
            if entry.node.value == Value::Unset {
                continue;
            }
            let message = format!(
                "the value must be a string, not {}",
                entry.node.value.noun()
            );
            d.error(entry.node.place, "wrong-type", message);
            continue;
        };
        let value = scalar::parsed(d, entry.node.place, text, parse_field_value);
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if fields.iter().any(|(other, _)| *other == name) {
            report_twice(d, entry.key_place, &name);
        }
        fields.push((name, value));
    }
    fields
}

/// A field that is both set and removed, or both set and added, within the route itself.
fn refuse_contradictions(reader: &Reader<'_>, d: &mut Diagnostics, edits: &HeaderEdits) {
    let removed = reader.find_own("remove");
    for (name, _) in &edits.set {
        if let Some(found) = removed.filter(|_| edits.remove.contains(name)) {
            let message = format!("`{name}` is both removed and set");
            d.error(found.node.place, "conflicting-keys", message)
                .help("`set` alone replaces every field of that name");
        }
    }
}

/// A request has exactly one Host field (RFC 9112 3.2): it can be set, not added or removed.
fn keep_one_host(reader: &Reader<'_>, d: &mut Diagnostics) {
    let is_host = |text: &str| text.eq_ignore_ascii_case("host");
    let added = reader.find("add").and_then(|found| found.node.as_table());
    let added = added.into_iter().flat_map(|table| &table.entries);
    let mut places: Vec<Place> = added
        .filter(|entry| is_host(&entry.key))
        .map(|entry| entry.key_place)
        .collect();
    if let Some(found) = reader.find("remove") {
        let nodes = match &found.node.value {
            Value::Array(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(found.node),
        };
        let hosts = nodes
            .iter()
            .filter(|node| node.as_str().is_some_and(is_host));
        places.extend(hosts.map(|node| node.place));
    }
    for place in places {
        d.error(place, "bad-value", "a request has exactly one `host`")
            .help("replace it by `set`");
    }
}

fn report_twice(d: &mut Diagnostics, place: Place, name: &str) {
    d.error(
        place,
        "duplicate-value",
        format!("`{name}` stands here twice"),
    )
    .help("names of header fields are the same in upper and lower case");
}
