//! Directives of a site, and of the blocks within.

use super::super::draft::{Action, Match, Note, Route};
use super::super::tree::{Directive, MAX_DEPTH};
use super::super::word::{Keys, Word};
use super::matcher::{self, Named};
use super::{Reader, proxy};

/// Where a directive stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) scheme: &'static str,
    pub(super) named: Named,
    pub(super) base: Match,
    /// Whether directives are taken in Caddy's order rather than that of the file.
    pub(super) is_sorted: bool,
    /// Keys of all routes here.
    pub(super) keys: Keys,
}

pub(super) fn block(reader: &mut Reader, lines: &[Directive], mut place: Place, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    if depth > 0 {
        place.named.extend(matcher::named(lines));
    }
    // What holds for the routes first, wherever it stands.
    for line in lines {
        common(reader, line, &mut place);
    }
    let hidden = place.is_sorted && lines.iter().any(takes_everything);
    for line in lines {
        match hidden && COME_LATER.contains(&line.name()) {
            true => reader.note(
                line,
                "never reached: Caddy takes the `handle` beside it before it",
            ),
            false => one(reader, line, &place, depth),
        }
    }
}

/// What comes behind `handle` in Caddy's order of directives, and answers.
const COME_LATER: [&str; 6] = [
    "abort",
    "error",
    "respond",
    "reverse_proxy",
    "php_fastcgi",
    "file_server",
];

/// Whether a directive is a `handle` that answers every request.
fn takes_everything(line: &Directive) -> bool {
    let answers = |inner: &Directive| {
        let name = inner.name();
        let any = !inner.arg(0).starts_with(['/', '@']);
        any && (name == "redir" || COME_LATER.contains(&name))
    };
    line.name() == "handle" && line.args().is_empty() && line.block().iter().any(answers)
}

fn common(reader: &mut Reader, line: &Directive, place: &mut Place) {
    match line.name() {
        "header" => header(reader, line, place),
        "request_body" => {
            let size = line.block().iter().find(|inner| inner.name() == "max_size");
            if let Some(size) = size.and_then(|line| size_of(line.arg(0))) {
                place.keys.set(&["max_body"], size);
            }
        }
        "rewrite" => {
            let path = line.args().last().map_or("", String::as_str);
            match path.contains(['{', '?']) || !path.starts_with('/') {
                true => reader.note(line, "only plain paths"),
                false => place.keys.set(&["rewrite", "path"], path),
            }
        }
        "uri" if line.arg(0) == "strip_prefix" => {
            let prefix = format!("{}/*", line.arg(1).trim_end_matches('/'));
            match place.base.paths.first() {
                Some(path) if *path == prefix => place.keys.set(&["rewrite", "prefix"], "/"),
                _ => reader.note(line, "only within `handle` of the same prefix"),
            }
        }
        "log" => {
            reader.draft.access_log.set(&["path"], "stdout");
            if line.block().iter().any(|inner| inner.name() == "output") {
                reader.note(line, "the log goes to standard output");
            }
        }
        _ => {}
    }
}

fn one(reader: &mut Reader, line: &Directive, place: &Place, depth: usize) {
    const DONE: [&str; 8] = [
        "header",
        "request_body",
        "rewrite",
        "uri",
        "log",
        "tls",
        "bind",
        "log_skip",
    ];
    let name = line.name();
    if name.starts_with('@') || DONE.contains(&name) {
        return;
    }
    let Some((matches, args)) = matcher::of(line, &place.named, &place.base) else {
        return reader.note(line, "this matcher is none of a route");
    };
    let (action, keys, notes) = match name {
        "handle" | "route" | "handle_path" => {
            let mut inner = place.clone();
            inner.base = matches;
            inner.is_sorted = name != "route";
            if name == "handle_path" {
                inner.keys.set(&["rewrite", "prefix"], "/");
            }
            return block(reader, line.block(), inner, depth + 1);
        }
        "reverse_proxy" => proxy::read(reader, line, args, place),
        "redir" => redirect(args, place).map_or((Action::None, Keys::default(), Vec::new()), plain),
        "respond" | "error" | "abort" => plain(respond(name, args, line)),
        "encode" => return reader.note(line, "answers are passed on as backends compress them"),
        "file_server" | "root" | "php_fastcgi" | "templates" | "try_files" => {
            return reader.note(line, "Pointsman serves no files and programs");
        }
        _ => return reader.note(line, "no counterpart"),
    };
    if action == Action::None {
        return reader.note(line, "not an answer that is known here");
    }
    let mut all = place.keys.clone();
    for (key, word) in keys.0 {
        all.set(&[&key], word);
    }
    reader.draft.routes.push(Route {
        at: line.at,
        matches,
        action,
        keys: all,
        notes,
    });
}

type Made = (Action, Keys, Vec<Note>);

fn plain(action: Action) -> Made {
    (action, Keys::default(), Vec::new())
}

fn redirect(args: &[String], place: &Place) -> Option<Action> {
    let to = args.first()?;
    let status = match args.get(1).map(String::as_str) {
        Some("permanent") => 301,
        Some("temporary") | None => 302,
        Some("html") => return None,
        Some(code) => code.parse().ok()?,
    };
    let known = [
        ("{http.request.host}", "{host}"),
        ("{http.request.uri}", "{uri}"),
        ("{hostport}", "{host}"),
        ("{scheme}", place.scheme),
    ];
    let mut to = to.clone();
    for (theirs, ours) in known {
        to = to.replace(theirs, ours);
    }
    if to.starts_with('/') {
        to = format!("{}://{{host}}{to}", place.scheme);
    }
    Some(Action::Redirect { to, status })
}

fn respond(name: &str, args: &[String], line: &Directive) -> Action {
    let status = |word: &String| {
        word.parse::<u64>()
            .ok()
            .filter(|code| (200..=599).contains(code))
    };
    let (body, code) = match args {
        _ if name == "abort" => (String::new(), 403),
        [only] => match status(only) {
            Some(code) => (String::new(), code),
            None => (only.clone(), if name == "error" { 500 } else { 200 }),
        },
        [body, code, ..] => (body.clone(), status(code).unwrap_or(200)),
        [] => (String::new(), 200),
    };
    let inner = line.block().iter().find(|inner| inner.name() == "body");
    Action::Respond {
        status: code,
        body: inner.map_or(body, |inner| inner.arg(0).to_owned()),
    }
}

/// `header [matcher] [+-?]NAME [VALUE]`, or a block of such.
fn header(reader: &mut Reader, line: &Directive, place: &mut Place) {
    let args = match matcher::of(line, &place.named, &place.base) {
        Some((matches, args)) if matches == place.base => args,
        _ => return reader.note(line, "fields are set for whole sites and handles alone"),
    };
    if !args.is_empty() {
        edit(&mut place.keys, "response_headers", args);
    }
    for inner in line.block() {
        edit(&mut place.keys, "response_headers", &inner.words);
    }
}

/// One edit of a header.
pub(super) fn edit(keys: &mut Keys, table: &str, words: &[String]) {
    let Some((name, rest)) = words.split_first() else {
        return;
    };
    let value = rest.first().map_or("", String::as_str);
    if let Some(name) = name.strip_prefix('-') {
        let mut list = match keys.get(&[table, "remove"]) {
            Some(Word::List(list)) => list.clone(),
            _ => Vec::new(),
        };
        list.push(name.into());
        keys.set(&[table, "remove"], Word::List(list));
    } else if let Some(name) = name.strip_prefix('+') {
        keys.set(&[table, "add", name], value);
    } else if name != "defer" {
        keys.set(&[table, "set", name.trim_start_matches(['?', '>'])], value);
    }
}

/// `10MB`, `1GiB`.
fn size_of(text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase().replace("IB", "B");
    let units = [("KB", "KiB"), ("MB", "MiB"), ("GB", "GiB")];
    let found = units
        .iter()
        .find_map(|(unit, ours)| Some((text.strip_suffix(unit)?, *ours)));
    let (number, unit) = found.unwrap_or((text.trim_end_matches('B'), "B"));
    let size = format!("{}{unit}", number.trim());
    pointsman_config::value::parse_size(&size)
        .is_ok()
        .then_some(size)
}
