//! A draft as the text of a policy.

use std::fmt::Write as _;

use super::draft::{Action, Draft, Listener, Note, Pool, Route};
use super::files::Files;
use super::word::{Keys, Word};

pub(super) fn policy(draft: &Draft, files: &Files, dialect: &str) -> String {
    let mut text = format!(
        "# Made by `pointsman import {dialect}` from {}.\n",
        one_line(files.name(0))
    );
    if !draft.notes.is_empty() {
        text.push_str("# Not carried over as it was:\n");
        notes(&draft.notes, files, &mut text);
    }
    for (name, keys) in [
        ("process", &draft.process),
        ("access_log", &draft.access_log),
    ] {
        if !keys.is_empty() {
            let _ = write!(text, "\n[{name}]\n{}", keys.lines());
        }
    }
    for one in &draft.listeners {
        listener(one, files, &mut text);
    }
    for one in &draft.routes {
        route(one, files, &mut text);
    }
    for one in &draft.pools {
        pool(one, files, &mut text);
    }
    text
}

fn listener(listener: &Listener, files: &Files, text: &mut String) {
    let _ = writeln!(text, "\n[listener.{}]", key(&listener.name));
    notes(&listener.notes, files, text);
    let mut keys = Keys::default();
    keys.set(&["bind"], Word::few(listener.binds.clone()));
    keys.0.extend(listener.keys.0.iter().cloned());
    text.push_str(&keys.lines());
}

fn route(route: &Route, files: &Files, text: &mut String) {
    let place = files.place(route.at);
    let _ = writeln!(text, "\n# {place}\n[[route]]");
    notes(&route.notes, files, text);
    let mut keys = Keys::default();
    if let Some(word) = route.matches.word() {
        keys.set(&["match"], word);
    }
    match &route.action {
        Action::None => {}
        Action::Pool(name) => keys.set(&["pool"], name.as_str()),
        Action::Split(parts) => {
            for (name, weight) in parts {
                keys.set(&["split", name], *weight);
            }
        }
        Action::Redirect { to, status } => {
            keys.set(&["redirect", "to"], to.as_str());
            keys.set(&["redirect", "status"], *status);
        }
        Action::Respond { status, body } => {
            keys.set(&["respond", "status"], *status);
            if !body.is_empty() {
                keys.set(&["respond", "body"], body.as_str());
            }
        }
    }
    if matches!(route.action, Action::Pool(_) | Action::Split(_)) {
        keys.0.extend(route.keys.0.iter().cloned());
    } else {
        let answers = route
            .keys
            .0
            .iter()
            .filter(|(key, _)| key == "response_headers");
        keys.0.extend(answers.cloned());
    }
    text.push_str(&keys.lines());
}

fn pool(pool: &Pool, files: &Files, text: &mut String) {
    let _ = writeln!(text, "\n[pool.{}]", key(&pool.name));
    notes(&pool.notes, files, text);
    let mut keys = pool.keys.clone();
    if !pool.servers.is_empty() {
        let servers = pool.servers.iter().map(|keys| match keys.0.as_slice() {
            [(_, address)] => address.clone(),
            _ => Word::Table(keys.clone()),
        });
        keys.set(&["backends"], Word::List(servers.collect()));
    }
    text.push_str(&keys.lines());
}

fn notes(notes: &[Note], files: &Files, text: &mut String) {
    let mut sorted: Vec<&Note> = notes.iter().collect();
    sorted.sort();
    sorted.dedup();
    for note in sorted {
        let _ = writeln!(text, "# {}: {}", files.place(note.at), one_line(&note.text));
    }
}

/// A foreign text within a comment: on one line, and not long.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(200).collect()
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.chars().all(is_bare) {
        true => name.to_owned(),
        false => format!("\"{name}\""),
    }
}
