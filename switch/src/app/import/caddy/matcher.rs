//! Matchers: `*`, a path, `@name`.

use std::collections::HashMap;

use super::super::draft::Match;
use super::super::tree::Directive;

/// The named matchers of a site; nothing where routes cannot say it.
pub(super) type Named = HashMap<String, Option<Match>>;

pub(super) fn named(lines: &[Directive]) -> Named {
    let matchers = lines.iter().filter(|line| line.name().starts_with('@'));
    let read = |line: &Directive| {
        let inline = Directive {
            words: line.args().to_vec(),
            ..Directive::default()
        };
        let inner = if line.block.is_some() {
            line.block()
        } else {
            std::slice::from_ref(&inline)
        };
        let mut matches = Match::default();
        let all = inner.iter().try_for_each(|line| add(&mut matches, line));
        (line.name().to_owned(), all.map(|()| matches))
    };
    matchers.map(read).collect()
}

fn add(matches: &mut Match, line: &Directive) -> Option<()> {
    let args = line.args();
    match line.name() {
        "path" => {
            let paths: Option<Vec<String>> = args.iter().map(|path| pattern(path)).collect();
            matches.paths = paths?;
        }
        "host" => matches.hosts = args.to_vec(),
        "method" => matches.methods = args.to_vec(),
        "remote_ip" | "client_ip" => {
            if args
                .iter()
                .any(|arg| arg == "private_ranges" || arg == "forwarded")
            {
                return None;
            }
            let whole = |arg: &String| match (arg.contains('/'), arg.contains(':')) {
                (true, _) => arg.clone(),
                (false, true) => format!("{arg}/128"),
                (false, false) => format!("{arg}/32"),
            };
            matches.clients = args.iter().map(whole).collect();
        }
        "header" => {
            let value = args.get(1).map_or("*", String::as_str);
            matches.fields.set(&["header", args.first()?], value);
        }
        "query" => {
            for arg in args {
                let (name, value) = arg.split_once('=')?;
                matches.fields.set(&["query", name], value);
            }
        }
        _ => return None,
    }
    Some(())
}

/// Caddy's `/api*` is taken as `/api/*`.
pub(super) fn pattern(path: &str) -> Option<String> {
    match path.strip_suffix('*') {
        None => Some(path.to_owned()),
        Some(prefix) if prefix.contains('*') => None,
        Some(prefix) => Some(format!("{}/*", prefix.trim_end_matches('/'))),
    }
}

/// The conditions of a directive and its other words: `reverse_proxy /api/* ...`, `respond @old ...`.
pub(super) fn of<'a>(
    line: &'a Directive,
    named: &Named,
    base: &Match,
) -> Option<(Match, &'a [String])> {
    let mut matches = base.clone();
    let args = line.args();
    let Some((first, rest)) = args.split_first() else {
        return Some((matches, args));
    };
    if first == "*" {
        return Some((matches, rest));
    }
    if first.starts_with('/') {
        matches.paths = vec![pattern(first)?];
        return Some((matches, rest));
    }
    if !first.starts_with('@') {
        return Some((matches, args));
    }
    let more = named.get(first)?.clone()?;
    for (mine, theirs) in [
        (&mut matches.hosts, more.hosts),
        (&mut matches.paths, more.paths),
        (&mut matches.methods, more.methods),
        (&mut matches.clients, more.clients),
    ] {
        if !theirs.is_empty() {
            *mine = theirs;
        }
    }
    matches.fields.0.extend(more.fields.0);
    Some((matches, rest))
}
