//! `backend`, and what of `listen` is one: a pool.

use super::super::draft::{Note, Pool};
use super::super::tree::Directive;
use super::super::word::Word;
use super::{Reader, Section, duration, server};

pub(super) fn read(reader: &mut Reader, section: &Section) {
    let pool = reader.draft.pool(&section.name);
    balance(pool, section);
    check(pool, section);
    for (what, path) in [
        ("connect", &["timeouts", "connect"][..]),
        ("queue", &["queue", "timeout"]),
    ] {
        let time = section
            .value(&["timeout", what])
            .and_then(|time| duration(&time));
        if let Some(time) = time {
            pool.keys.set(path, time);
        }
    }
    cookie(pool, section);
    let defaults = section.lines(&["default-server"]);
    for line in &section.lines {
        match line.name() {
            "server" | "server-template" => server::read(pool, line, &defaults),
            "stick-table" | "stick" => stick(pool, line),
            "dispatch" => pool
                .notes
                .push(Note::new(line.at, "`dispatch`: write a server")),
            _ => {}
        }
    }
    // A queue waits for places, and without a limit there are always some.
    if pool.keys.get(&["limit"]).is_none() {
        pool.keys.0.retain(|(key, _)| key != "queue");
    }
    if let Some(time) = section
        .value(&["timeout", "check"])
        .and_then(|time| duration(&time))
        && pool.keys.get(&["health"]).is_some()
    {
        pool.keys.set(&["health", "timeout"], time);
    }
    if pool.keys.get(&["health", "interval"]).is_none() {
        // None of the servers is checked.
        pool.keys.0.retain(|(key, _)| key != "health");
    }
    if section.kind == "backend" {
        reader.leftovers(section, &READ);
    }
}

/// What is read of backends here and where their routes are made.
pub(super) const READ: [&str; 13] = [
    "server",
    "server-template",
    "default-server",
    "cookie",
    "stick-table",
    "stick",
    "http-check",
    "http-request",
    "http-response",
    "acl",
    "redirect",
    "dispatch",
    "tcp-check",
];

fn balance(pool: &mut Pool, section: &Section) {
    let lines = section.lines(&["balance"]);
    let Some(line) = lines.last() else {
        return;
    };
    let word = line.arg(0);
    let (name, argument) = match word.split_once('(') {
        Some((name, argument)) => (name, argument.trim_end_matches(')')),
        None => (word, line.arg(1)),
    };
    let mut hash = |key: &[&str], value: &str| {
        pool.keys.set(&["balance"], "hash");
        pool.keys.set(key, value);
    };
    match name {
        "roundrobin" | "static-rr" => {}
        "leastconn" => pool.keys.set(&["balance"], "least-request"),
        "random" if argument == "1" => pool.keys.set(&["balance"], "random"),
        "random" => pool.keys.set(&["balance"], "least-request"),
        "source" => hash(&["hash"], "client-ip"),
        "uri" => hash(&["hash"], "path"),
        "url_param" => hash(&["hash", "query"], argument),
        "hdr" => hash(&["hash", "header"], argument),
        _ => {
            let text = format!("`{}`: round-robin in its place", line.text());
            pool.notes.push(Note::new(line.at, text));
        }
    }
}

/// `option httpchk`, `http-check`, `option tcp-check` and its conversation.
fn check(pool: &mut Pool, section: &Section) {
    let lines = section.lines(&["option", "httpchk"]);
    let Some(line) = lines.last() else {
        return other_check(pool, section);
    };
    // OPTIONS / by default; a GET asks for as much.
    let path = match line.args() {
        [_, path] => path.as_str(),
        [_, _, path, ..] => path.as_str(),
        _ => "/",
    };
    pool.keys.set(&["health", "path"], path);
    pool.keys.set(&["health", "status"], "200-399");
    for line in section.lines(&["http-check"]) {
        match line.arg(0) {
            "send" => send(pool, line),
            "expect" => expect(pool, line),
            _ => pool.notes.push(Note::new(
                line.at,
                format!("`{}`: no counterpart", line.text()),
            )),
        }
    }
}

fn send(pool: &mut Pool, line: &Directive) {
    let mut words = line.args().iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "uri" => {
                if let Some(path) = words.next() {
                    pool.keys.set(&["health", "path"], path.as_str());
                }
            }
            "hdr" => {
                let (name, value) = (words.next(), words.next());
                if let (Some(name), Some(value)) = (name, value)
                    && name.eq_ignore_ascii_case("host")
                {
                    pool.keys.set(&["health", "host"], value.as_str());
                }
            }
            _ => {
                let _ = words.next();
            }
        }
    }
}

fn expect(pool: &mut Pool, line: &Directive) {
    let words: Vec<&str> = line.args().iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["status", codes] => {
            let codes = codes.split(',').map(|code| match code.parse::<u64>() {
                Ok(code) => code.into(),
                Err(_) => Word::from(code),
            });
            pool.keys
                .set(&["health", "status"], Word::List(codes.collect()));
        }
        ["string", text] => pool.keys.set(&["health", "body"], *text),
        _ => pool.notes.push(Note::new(
            line.at,
            format!("`{}`: only status and string", line.text()),
        )),
    }
}

fn other_check(pool: &mut Pool, section: &Section) {
    for line in &section.lines {
        let option = if line.name() == "option" {
            line.arg(0)
        } else {
            ""
        };
        let is_protocol = option.ends_with("-check") && option != "tcp-check";
        if is_protocol || line.name() == "tcp-check" || line.name() == "external-check" {
            let text = format!("`{}`: servers are checked by a connection", line.text());
            pool.notes.push(Note::new(line.at, text));
        }
    }
}

/// `cookie NAME insert`: the value tells no server's name here.
fn cookie(pool: &mut Pool, section: &Section) {
    let lines = section.lines(&["cookie"]);
    let Some(line) = lines.last() else {
        return;
    };
    if !line.args().iter().any(|word| word == "insert") {
        let text = format!("`{}`: only cookies that are inserted", line.text());
        return pool.notes.push(Note::new(line.at, text));
    }
    pool.keys.set(&["sticky", "cookie"], line.arg(0));
    let mut words = line.args().iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "maxlife" | "maxidle" => {
                if let Some(time) = words.next().and_then(|time| seconds(time)) {
                    pool.keys.set(&["sticky", "ttl"], time);
                }
            }
            "domain" => {
                let domain = words.next().map_or("", |word| word.trim_start_matches('.'));
                pool.keys.set(&["sticky", "domain"], domain);
            }
            "secure" => pool.keys.set(&["sticky", "secure"], true),
            _ => {}
        }
    }
}

/// Seconds without a unit.
fn seconds(text: &str) -> Option<String> {
    match text.parse::<u64>() {
        Ok(seconds) => duration(&format!("{seconds}s")),
        Err(_) => duration(text),
    }
}

fn stick(pool: &mut Pool, line: &Directive) {
    if line.name() == "stick" && line.args().iter().any(|word| word == "src") {
        pool.keys.set(&["balance"], "hash");
        pool.keys.set(&["hash"], "client-ip");
        let text = format!(
            "`{}`: the address is hashed, nothing is remembered",
            line.text()
        );
        return pool.notes.push(Note::new(line.at, text));
    }
    if line.name() == "stick" {
        let text = format!("`{}`: no counterpart", line.text());
        pool.notes.push(Note::new(line.at, text));
    }
}
