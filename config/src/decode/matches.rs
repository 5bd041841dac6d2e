use super::reader::Reader;
use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::keys::Kind;
use crate::policy::{Match, ValuePattern};
use crate::source::{Place, Value};
use crate::value::{
    Unfit, parse_field_name, parse_host, parse_method, parse_network, parse_path_pattern,
    parse_token, parse_value_pattern,
};

/// The most values of one condition, so that the combinations of hosts and paths stay few.
const MAX_VALUES: usize = 256;

/// Decodes `match`, with the places of its listeners.
pub(super) fn matches(route: &Reader<'_>, d: &mut Diagnostics) -> (Match, Vec<Place>) {
    let Some(Kind::Table(section)) = route.find("match").map(|found| &found.key.kind) else {
        return (Match::default(), Vec::new());
    };
    let Some(reader) = route.table(d, "match", section) else {
        return (Match::default(), Vec::new());
    };
    let listener = |text: &str| Ok::<_, Unfit>(text.to_owned());
    let (listeners, places) = values(&reader, d, "listener", listener).into_iter().unzip();
    let matches = Match {
        hosts: plain(values(&reader, d, "host", parse_host)),
        paths: plain(values(&reader, d, "path", parse_path_pattern)),
        methods: plain(values(&reader, d, "method", parse_method)),
        headers: patterns(&reader, d, "header", parse_field_name),
        cookies: patterns(&reader, d, "cookie", parse_token),
        query: patterns(&reader, d, "query", parameter),
        clients: plain(values(&reader, d, "client", parse_network)),
        listeners,
    };
    (matches, places)
}

fn plain<T>(values: Vec<(T, Place)>) -> Vec<T> {
    values.into_iter().map(|(value, _)| value).collect()
}

/// A condition with several values; an empty list of them would never hold, and a repeated one is
/// a slip.
fn values<T: PartialEq>(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Unfit>,
) -> Vec<(T, Place)> {
    let Some(found) = reader.find(name) else {
        return Vec::new();
    };
    if let Value::Array(items) = &found.node.value {
        if items.is_empty() {
            d.error(found.node.place, "bad-value", format!("`{name}` is empty"))
                .help("leave it out to match everything");
        }
        if items.len() > MAX_VALUES {
            let message = format!("`{name}` has more than {MAX_VALUES} values");
            d.error(found.key_place, "out-of-range", message)
                .help("write several routes");
            return Vec::new();
        }
    }
    let values = reader.texts(d, name, parse);
    for (index, (value, place)) in values.iter().enumerate() {
        if let Some((_, first)) = values[..index].iter().find(|(other, _)| other == value) {
            d.error(
                *place,
                "duplicate-value",
                format!("this value of `{name}` stands here twice"),
            )
            .also(*first, "first here");
        }
    }
    values
}

fn patterns(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
    name: &str,
    parse_name: impl Fn(&str) -> Result<String, Unfit>,
) -> Vec<(String, ValuePattern)> {
    let Some(found) = reader.find(name) else {
        return Vec::new();
    };
    let Some(table) = found.node.as_table() else {
        scalar::wrong_type::<()>(d, found.key, &found.key.kind, found.node);
        return Vec::new();
    };
    if table.entries.len() > MAX_VALUES {
        let message = format!("`{name}` has more than {MAX_VALUES} conditions");
        d.error(found.key_place, "out-of-range", message);
        return Vec::new();
    }
    let mut list: Vec<(String, ValuePattern)> = Vec::new();
    for entry in &table.entries {
        let name = scalar::parsed(d, entry.key_place, &entry.key, &parse_name);
        let Value::String(text) = &entry.node.value else {
            if entry.node.value == Value::Unset {
                continue;
            }
            let message = format!(
                "the pattern must be a string, not {}",
                entry.node.value.noun()
            );
            d.error(entry.node.place, "wrong-type", message)
                .help("\"*\" matches any value");
            continue;
        };
        let pattern = scalar::parsed(d, entry.node.place, text, parse_value_pattern);
        let (Some(name), Some(pattern)) = (name, pattern) else {
            continue;
        };
        if list.iter().any(|(other, _)| *other == name) {
            let message = format!("`{name}` stands here twice");
            d.error(entry.key_place, "duplicate-value", message);
        }
        list.push((name, pattern));
    }
    list
}

/// The name of a query parameter, as it is after decoding.
fn parameter(text: &str) -> Result<String, Unfit> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Unfit::new("this is not the name of a parameter"));
    }
    Ok(text.to_owned())
}
