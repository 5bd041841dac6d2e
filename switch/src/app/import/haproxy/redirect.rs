//! `redirect`, `http-request` and `http-response`: answers, and edits of headers.

use super::super::draft::Action;
use super::super::tree::Directive;
use super::super::word::{Keys, Word};

/// Splits a rule at its `if` or `unless`.
pub(super) fn condition(words: &[String]) -> (&[String], &[String]) {
    let is = |word: &String| word == "if" || word == "unless";
    let place = words.iter().position(is).unwrap_or(words.len());
    words.split_at(place)
}

/// `redirect scheme https code 301`, `prefix`, `location`.
pub(super) fn redirect(words: &[String]) -> Option<Action> {
    let mut status = 302;
    let mut to = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "scheme" => to = Some(format!("{}://{{host}}{{uri}}", words.next()?)),
            "prefix" => to = Some(format!("{}{{uri}}", words.next()?.trim_end_matches('/'))),
            "location" => {
                let location = words.next()?;
                let host = if location.starts_with('/') {
                    "http://{host}"
                } else {
                    ""
                };
                to = Some(format!("{host}{}", format(location)?));
            }
            "code" => status = words.next()?.parse().ok()?,
            "drop-query" | "append-slash" | "set-cookie" | "clear-cookie" => return None,
            _ => {}
        }
    }
    Some(Action::Redirect { to: to?, status })
}

/// A log-format string as a location.
fn format(text: &str) -> Option<String> {
    let known = [
        ("%[hdr(host)]", "{host}"),
        ("%[req.hdr(host)]", "{host}"),
        ("%[req.hdr(Host)]", "{host}"),
        ("%[hdr(Host)]", "{host}"),
        ("%[capture.req.uri]", "{uri}"),
        ("%[path]", "{path}"),
        ("%[query]", "{query}"),
        ("%[pathq]", "{uri}"),
    ];
    let mut out = text.to_owned();
    for (theirs, ours) in known {
        out = out.replace(theirs, ours);
    }
    (!out.contains("%[")).then_some(out)
}

/// `deny`, `return`, `redirect` of `http-request`.
pub(super) fn answer(words: &[String]) -> Option<Action> {
    let (first, rest) = words.split_first()?;
    let mut status = if first == "return" { 200 } else { 403 };
    let mut body = String::new();
    match first.as_str() {
        "redirect" => return redirect(rest),
        "deny" | "reject" | "silent-drop" | "tarpit" | "return" => {}
        _ => return None,
    }
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "deny_status" | "status" => status = words.next()?.parse().ok()?,
            "string" | "lf-string" => body.clone_from(words.next()?),
            "content-type" => {
                let _ = words.next();
            }
            _ => return None,
        }
    }
    Some(Action::Respond { status, body })
}

/// `set-header`, `add-header`, `del-header`, `set-path`: whether it was one, without a condition.
pub(super) fn edit(keys: &mut Keys, table: &str, line: &Directive) -> bool {
    let (words, condition) = condition(line.args());
    if !condition.is_empty() {
        return false;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["set-header" | "add-header", _, value] if value.contains("%[") || value.contains('%') => {
            // What HAProxy is told to say in these, Pointsman says by itself.
            is_forwarded(words[1])
        }
        ["set-header" | "add-header", name, _] if is_forwarded(name) => true,
        ["set-header", name, value] => {
            keys.set(&[table, "set", name], *value);
            true
        }
        ["add-header", name, value] => {
            keys.set(&[table, "add", name], *value);
            true
        }
        ["del-header", name] => {
            let mut list = match keys.get(&[table, "remove"]) {
                Some(Word::List(list)) => list.clone(),
                _ => Vec::new(),
            };
            list.push((*name).into());
            keys.set(&[table, "remove"], Word::List(list));
            true
        }
        ["set-path", path] if !path.contains("%[") => {
            keys.set(&["rewrite", "path"], *path);
            true
        }
        _ => false,
    }
}

fn is_forwarded(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].contains(&name.as_str())
}
