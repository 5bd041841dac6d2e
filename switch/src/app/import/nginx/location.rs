//! `location`, `return`, `rewrite`, `if`, `proxy_pass`: what is done with a request.

use super::super::draft::{Action, Match, Note, Route, address, clean};
use super::super::tree::{Directive, MAX_DEPTH};
use super::Reader;
use super::scope::Scope;
use super::{server, value};

/// Where in the configuration this is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) scheme: &'static str,
    /// The server's first name.
    pub(super) name: String,
    pub(super) base: Match,
}

/// What serves files, which Pointsman does not.
const FILES: [&str; 8] = [
    "root",
    "alias",
    "try_files",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "index",
];

/// One location and those within; whether it is `/`.
pub(super) fn read(reader: &mut Reader, line: &Directive, above: &Scope, place: &Place) -> bool {
    nested(reader, line, above, place, 0)
}

fn nested(
    reader: &mut Reader,
    line: &Directive,
    above: &Scope,
    place: &Place,
    depth: usize,
) -> bool {
    let mut scope = above.clone();
    scope.enter(line.block());
    for inner in line.block() {
        server::take(reader, inner, &mut scope);
    }
    for inner in line
        .block()
        .iter()
        .filter(|inner| inner.name() == "location")
    {
        if depth < MAX_DEPTH {
            nested(reader, inner, &scope, place, depth + 1);
        }
    }
    let Some((pattern, loose)) = path(line) else {
        reader.note(line, "only paths and prefixes, no regular expressions");
        return false;
    };
    let mut place = place.clone();
    let is_all = pattern == "/*";
    if !is_all {
        place.base.paths = vec![pattern.clone()];
    }
    for inner in line.block().iter().filter(|inner| inner.name() == "if") {
        condition(reader, inner, &place);
    }
    let mut route = Route {
        at: line.at,
        matches: place.base.clone(),
        ..Route::default()
    };
    if loose {
        let text = format!("`{}` held for {}... as well", line.text(), line.arg(0));
        route.notes.push(Note::new(line.at, text));
    }
    act(reader, line, &scope, &place, &mut route);
    let is_done = route.action != Action::None;
    reader.draft.routes.push(route);
    is_all && is_done
}

fn act(reader: &mut Reader, line: &Directive, scope: &Scope, place: &Place, route: &mut Route) {
    route.keys = scope.keys();
    if let Some(action) = answer(reader, line.block(), place) {
        route.action = action;
    } else if let Some(pass) = find(line, "proxy_pass") {
        proxy_pass(reader, pass, scope, route);
    } else {
        let file = FILES.iter().find_map(|name| find(line, name));
        let text = match file {
            Some(file) => format!("`{}`: Pointsman serves no files and programs", file.text()),
            None => "nothing that Pointsman does".to_owned(),
        };
        route.notes.push(Note::new(file.unwrap_or(line).at, text));
        route.action = Action::Respond {
            status: 404,
            body: String::new(),
        };
    }
}

fn find<'a>(line: &'a Directive, name: &str) -> Option<&'a Directive> {
    line.block().iter().find(|inner| inner.name() == name)
}

/// The pattern of a path, and whether nginx took more than this.
fn path(line: &Directive) -> Option<(String, bool)> {
    let prefix = |path: &str| match path.strip_suffix('/') {
        Some(folder) => (format!("{folder}/*"), false),
        None => (format!("{path}/*"), true),
    };
    match line.args() {
        [path] | [path] if path.starts_with('/') => Some(prefix(path)),
        [how, path] if how == "=" => Some((path.clone(), false)),
        [how, path] if how == "^~" => Some(prefix(path)),
        [how, pattern] if how == "~" => {
            // Nothing but a path at the beginning, or a whole one.
            let path = pattern.strip_prefix('^')?;
            let is_plain = |path: &str| {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
                path.starts_with('/') && path.chars().all(plain)
            };
            match path.strip_suffix('$') {
                Some(whole) => is_plain(whole).then(|| (whole.to_owned(), false)),
                None => is_plain(path).then(|| prefix(path)),
            }
        }
        _ => None,
    }
}

/// `return`, and a `rewrite` that redirects everything.
pub(super) fn answer(reader: &mut Reader, lines: &[Directive], place: &Place) -> Option<Action> {
    for line in lines {
        match line.name() {
            "return" => match returned(line, place) {
                Some(action) => return Some(action),
                None => reader.note(line, "not a status, text or location that is known here"),
            },
            "rewrite" => match rewritten(line, place) {
                Some(action) => return Some(action),
                None => reader.note(line, "only whole paths are rewritten here"),
            },
            _ => {}
        }
    }
    None
}

fn returned(line: &Directive, place: &Place) -> Option<Action> {
    let (first, rest) = line.args().split_first()?;
    let Ok(status) = first.parse::<u64>() else {
        // A location alone.
        let to = value::location(first, place.scheme, &place.name)?;
        return Some(Action::Redirect { to, status: 302 });
    };
    match (status, rest.first()) {
        (301..=303 | 307 | 308, Some(to)) => {
            let to = value::location(to, place.scheme, &place.name)?;
            Some(Action::Redirect { to, status })
        }
        (_, Some(body)) if body.contains('$') => None,
        // nginx closes the connection without an answer.
        (444, _) => Some(Action::Respond {
            status: 403,
            body: String::new(),
        }),
        (_, body) => Some(Action::Respond {
            status,
            body: body.cloned().unwrap_or_default(),
        }),
    }
}

fn rewritten(line: &Directive, place: &Place) -> Option<Action> {
    let status = match line.arg(2) {
        "permanent" => 301,
        "redirect" => 302,
        _ => return None,
    };
    let all = ["^", ".*", "^(.*)$", "^(.*)", "(.*)", "^/(.*)$"];
    if !all.contains(&line.arg(0)) {
        return None;
    }
    // What nginx puts there is the path; the query follows by itself.
    let uri = if line.arg(0).starts_with("^/") {
        "/$1"
    } else {
        "$1"
    };
    let to = line.arg(1).replace(uri, "$request_uri");
    let to = value::location(&to, place.scheme, &place.name)?;
    Some(Action::Redirect { to, status })
}

/// An `if` that answers for one host, method or scheme.
pub(super) fn condition(reader: &mut Reader, line: &Directive, place: &Place) {
    let words: Vec<&str> = line.args().iter().map(String::as_str).collect();
    let written = words.join(" ");
    let inner = written.trim_start_matches('(').trim_end_matches(')').trim();
    let mut matches = place.base.clone();
    let holds = match inner.split_once(' ') {
        Some(("$host" | "$http_host", value)) if value.starts_with("= ") => {
            let host = value.trim_start_matches("= ").trim_matches('"');
            matches.hosts = vec![host.to_owned()];
            true
        }
        Some(("$request_method", value)) if value.starts_with("= ") => {
            let method = value.trim_start_matches("= ").trim_matches('"');
            matches.methods = vec![method.to_owned()];
            true
        }
        Some(("$scheme", value)) => match value.trim().split_once(' ') {
            Some(("!=", scheme)) => place.scheme != scheme.trim_matches('"'),
            Some(("=", scheme)) => place.scheme == scheme.trim_matches('"'),
            _ => false,
        },
        _ => false,
    };
    let action = answer(reader, line.block(), place);
    match action {
        Some(action) if holds => {
            server::route(reader, line.at, matches, action, &Scope::default());
        }
        _ if inner.starts_with("$scheme") && !holds => {}
        _ => reader.note(
            line,
            "only `if` with a host, method or scheme, and `return`",
        ),
    }
}

fn proxy_pass(reader: &mut Reader, line: &Directive, scope: &Scope, route: &mut Route) {
    let url = line.arg(0);
    let Some((scheme, rest)) = url.split_once("://") else {
        return unknown(line, route);
    };
    let (target, path) = match rest.strip_prefix("unix:") {
        Some(socket) => match socket.split_once(':') {
            Some((socket, path)) => (format!("unix:{socket}"), path),
            None => (format!("unix:{socket}"), ""),
        },
        None => {
            let end = rest.find('/').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        }
    };
    let port = if scheme == "https" { 443 } else { 80 };
    let Some(action) = pools(reader, &target, port) else {
        return unknown(line, route);
    };
    let names = match &action {
        Action::Pool(name) => vec![name.clone()],
        Action::Split(parts) => parts.iter().map(|(name, _)| name.clone()).collect(),
        _ => Vec::new(),
    };
    if scheme == "https" {
        let host = target.split(':').next().unwrap_or_default();
        for name in &names {
            scope.backends.tell(&mut reader.draft.pool(name).keys, host);
        }
    }
    if let Some(time) = &scope.connect {
        for name in &names {
            let keys = &mut reader.draft.pool(name).keys;
            keys.set(&["timeouts", "connect"], time.as_str());
        }
    }
    if !scope.passes_host {
        let text = "backends get the client's Host: nginx told them the name of the upstream";
        route.notes.push(Note::new(line.at, text));
    }
    route.action = action;
    rewrite(path, line, route);
}

/// A path in `proxy_pass` stands for what the location matched.
fn rewrite(path: &str, line: &Directive, route: &mut Route) {
    match (path, route.matches.paths.first()) {
        ("", _) | ("/", None) => {}
        (path, _) if path.contains('$') => {
            route.notes.push(Note::new(
                line.at,
                format!("`{path}`: paths with variables"),
            ));
        }
        (path, Some(exact)) if !exact.ends_with('*') => route.keys.set(&["rewrite", "path"], path),
        (path, matched) => {
            if matched.is_none() {
                route.matches.paths = vec!["/*".to_owned()];
            }
            let prefix = if path == "/" {
                path
            } else {
                path.trim_end_matches('/')
            };
            route.keys.set(&["rewrite", "prefix"], prefix);
        }
    }
}

fn pools(reader: &mut Reader, target: &str, port: u16) -> Option<Action> {
    if reader.draft.has_pool(target) {
        return Some(Action::Pool(clean(target)));
    }
    if let Some(shares) = reader.splits.get(target) {
        let named = |name: &String| reader.draft.has_pool(name).then(|| clean(name));
        let parts: Option<Vec<_>> = shares
            .iter()
            .map(|(weight, name)| Some((named(name)?, *weight)))
            .collect();
        return parts.map(Action::Split);
    }
    address(target, port).map(|address| Action::Pool(reader.draft.pool_of(&address)))
}

fn unknown(line: &Directive, route: &mut Route) {
    let text = format!("`{}`: these servers are not known", line.text());
    route.notes.push(Note::new(line.at, text));
    route.action = Action::Respond {
        status: 502,
        body: String::new(),
    };
}
