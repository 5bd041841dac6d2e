use super::headers::header_edits;
use super::matches::matches;
use super::reader::{Found, Reader};
use super::retry::retry;
use super::route_limit::limit;
use super::split::{refuse_split_by, split};
use super::{Placed, RoutePlaces, scalar};
use crate::diagnostics::Diagnostics;
use crate::keys::Kind;
use crate::policy::{Action, PathPattern, Redirect, Respond, Rewrite, Route, RouteTimeouts};
use crate::source::{Place, Value};
use crate::value::{Unfit, parse_editable_field_name, parse_field_value, parse_name, parse_path};

/// What `redirect = "https"` stands for. 308 keeps the method (RFC 9110 15.4.9).
const TO_HTTPS: &str = "https://{host}{uri}";
const TO_HTTPS_STATUS: u16 = 308;

/// The longest fixed body, in bytes.
const MAX_RESPOND_BODY: usize = 64 * 1024;

/// Decodes one `[[route]]`. Without `name` the name stays empty; it is made later, when all routes
/// are known.
pub(super) fn route(d: &mut Diagnostics, reader: &Reader<'_>) -> Placed<Route, RoutePlaces> {
    let errors = d.errors();
    let (matches, listeners) = matches(reader, d);
    let place_of = |key: &str| reader.find(key).map(|found| found.key_place);
    let action_key = action_key(reader, d);
    let (action, shares) = action(reader, d, action_key);
    let item = Route {
        name: reader.text(d, "name", parse_name).unwrap_or_default(),
        action,
        rewrite: rewrite(reader, d, &matches.paths),
        matches,
        request_headers: header_edits(reader, d, "request_headers"),
        response_headers: header_edits(reader, d, "response_headers"),
        timeouts: timeouts(reader, d),
        deadline_header: reader.text(d, "deadline_header", parse_editable_field_name),
        retry: retry(&reader.settings(d, "retry"), d),
        limit: limit(reader, d),
        max_body: reader.size(d, "max_body"),
    };
    let action = action_key.map_or(reader.place(), |found| found.node.place);
    let places = RoutePlaces {
        route: place_of("match").unwrap_or(reader.place()),
        name: reader.find("name").map(|found| found.node.place),
        action,
        shares,
        listeners,
    };
    Placed {
        item,
        places,
        sound: d.errors() == errors,
    }
}

/// The one of `pool`, `split`, `redirect` and `respond` that is there.
fn action_key<'a>(reader: &Reader<'a>, d: &mut Diagnostics) -> Option<Found<'a>> {
    let actions = ["pool", "split", "redirect", "respond"];
    let mut found = actions.into_iter().filter_map(|name| reader.find_own(name));
    let first = found.next();
    match first {
        None if actions.iter().any(|name| reader.may_be_meant(name)) => {}
        None if !reader.is_partial() => {
            d.error(
                reader.place(),
                "missing-key",
                "a route needs `pool`, `split`, `redirect` or `respond`",
            )
            .help("for example pool = \"app\"");
        }
        None => {}
        Some(first) => {
            for second in found {
                let (one, other) = (first.key.name, second.key.name);
                let message = format!("a route cannot have both `{one}` and `{other}`");
                d.error(second.key_place, "conflicting-keys", message)
                    .also(first.key_place, "the other one");
            }
        }
    }
    first
}

/// The action, and where the pools of a split stand.
fn action(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
    found: Option<Found<'_>>,
) -> (Action, Vec<Place>) {
    let name = found.map(|found| found.key.name);
    if name == Some("split") {
        let (split, places) = split(reader, d);
        return (Action::Split(split), places);
    }
    refuse_split_by(reader, d);
    (single(reader, d, name), Vec::new())
}

fn single(reader: &Reader<'_>, d: &mut Diagnostics, name: Option<&str>) -> Action {
    let nothing = Action::Pool(String::new());
    match name {
        Some("redirect") => redirect(reader, d).map_or(nothing, Action::Redirect),
        Some("respond") => Action::Respond(respond(&reader.settings(d, "respond"), d)),
        _ => {
            let name = reader.text(d, "pool", |text| Ok::<_, Unfit>(text.to_owned()));
            name.map_or(nothing, Action::Pool)
        }
    }
}

/// Decodes `redirect` of a route or a listener.
pub(super) fn redirect(reader: &Reader<'_>, d: &mut Diagnostics) -> Option<Redirect> {
    let found = reader.find("redirect")?;
    if let Value::String(text) = &found.node.value {
        if text.contains("://") || text.starts_with('/') {
            d.error(
                found.node.place,
                "unknown-value",
                "a location stands in a table",
            )
            .help(format!("write redirect = {{ to = \"{text}\" }}"));
            return None;
        }
        scalar::word(d, found.key, found.node)?;
        return Some(Redirect {
            to: TO_HTTPS.to_owned(),
            status: TO_HTTPS_STATUS,
        });
    }
    let section = found.key.kind.sections().into_iter().next()?;
    let reader = reader.table(d, "redirect", section)?;
    reader.require(d, "to");
    let status = reader.count(d, "status")?;
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        let place = reader
            .find("status")
            .map_or(reader.place(), |found| found.node.place);
        d.error(
            place,
            "out-of-range",
            "a redirect's status is 301, 302, 303, 307 or 308",
        );
    }
    Some(Redirect {
        to: reader.text(d, "to", location)?,
        status,
    })
}

fn respond(reader: &Reader<'_>, d: &mut Diagnostics) -> Respond {
    Respond {
        status: reader.count(d, "status").unwrap_or_default(),
        body: reader.text(d, "body", respond_body).unwrap_or_default(),
        content_type: reader
            .text(d, "content_type", parse_field_value)
            .unwrap_or_default(),
    }
}

fn rewrite(reader: &Reader<'_>, d: &mut Diagnostics, paths: &[PathPattern]) -> Option<Rewrite> {
    let found = reader.find("rewrite")?;
    let Kind::Table(section) = found.key.kind else {
        return None;
    };
    let reader = reader.table(d, "rewrite", section)?;
    let path = reader.find("path");
    let prefix = reader.find("prefix");
    match (path, prefix) {
        (Some(path), Some(prefix)) => {
            d.error(
                prefix.key_place,
                "conflicting-keys",
                "write `path` or `prefix`, not both",
            )
            .also(path.key_place, "the other one");
            None
        }
        (Some(_), None) => reader.text(d, "path", parse_path).map(Rewrite::Path),
        (None, Some(prefix)) => {
            let exact = paths
                .iter()
                .any(|path| matches!(path, PathPattern::Exact(_)));
            if paths.is_empty() || exact {
                d.error(
                    prefix.key_place,
                    "conflicting-keys",
                    "`prefix` replaces a prefix of `match.path`",
                )
                .help("let every `match.path` end in \"/*\", or write `path`");
            }
            reader.text(d, "prefix", parse_path).map(Rewrite::Prefix)
        }
        (None, None) => {
            d.error(
                found.key_place,
                "missing-key",
                "`rewrite` needs `path` or `prefix`",
            )
            .help("for example rewrite = { prefix = \"/\" }");
            None
        }
    }
}

/// `timeout` is short for `timeouts.total`; of the two, the one written closer counts.
fn timeouts(reader: &Reader<'_>, d: &mut Diagnostics) -> RouteTimeouts {
    let short = reader.find("timeout");
    let table = reader.settings(d, "timeouts");
    let long = table.find("total");
    if let (Some(short), Some(long)) = (short, long)
        && short.inherited == long.inherited
    {
        d.error(
            short.key_place,
            "conflicting-keys",
            "`timeout` is short for `timeouts.total`",
        )
        .help("write one of them")
        .also(long.key_place, "the other one");
    }
    let takes_short =
        short.is_some_and(|short| !short.inherited || long.is_none_or(|long| long.inherited));
    let total = if takes_short {
        reader.optional_duration(d, "timeout")
    } else {
        table.optional_duration(d, "total")
    };
    RouteTimeouts {
        response: table.duration(d, "response"),
        total,
        tunnel: table.duration(d, "tunnel"),
    }
}

fn location(text: &str) -> Result<String, Unfit> {
    let example = "for example \"https://{host}{uri}\" or \"/new\"";
    if !(text.starts_with("https://") || text.starts_with("http://") || text.starts_with('/')) {
        return Err(
            Unfit::new("a location begins with https://, http:// or a slash").help(example),
        );
    }
    let text = parse_field_value(text)?;
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let known = ["{host}", "{path}", "{query}", "{uri}"];
        match known
            .iter()
            .find(|placeholder| rest[at..].starts_with(**placeholder))
        {
            Some(placeholder) => rest = &rest[at + placeholder.len()..],
            None => {
                return Err(Unfit::new("an unknown placeholder")
                    .help("there are {host}, {path}, {query} and {uri}"));
            }
        }
    }
    if text.contains(' ') {
        return Err(Unfit::new("a location cannot hold spaces").help(example));
    }
    Ok(text)
}

fn respond_body(text: &str) -> Result<String, Unfit> {
    if text.len() > MAX_RESPOND_BODY {
        return Err(Unfit::new(format!(
            "a body has {MAX_RESPOND_BODY} bytes at most"
        )));
    }
    Ok(text.to_owned())
}
