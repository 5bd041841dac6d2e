//! `frontend`, and what of `listen` is one: listeners and routes.

use std::collections::HashMap;

use super::super::draft::{Action, Match, Note, Route, clean, listener_name};
use super::super::tree::Directive;
use super::super::word::Keys;
use super::acl::{Acls, Way};
use super::{Reader, Section, backend, duration, redirect};

/// What is read of frontends.
const READ: [&str; 10] = [
    "bind",
    "acl",
    "use_backend",
    "default_backend",
    "http-request",
    "http-response",
    "redirect",
    "maxconn",
    "tcp-request",
    "capture",
];

/// The listeners of a frontend, those with TLS and those without.
struct Places {
    plain: Vec<String>,
    tls: Vec<String>,
    acls: Acls,
}

pub(super) fn read(reader: &mut Reader, section: &Section, backends: &HashMap<String, Section>) {
    let has_servers = section
        .lines
        .iter()
        .any(|line| line.name().starts_with("server"));
    let serves = |name: &str| section.lines.iter().any(|line| line.name() == name);
    if !has_servers && !serves("use_backend") && !serves("default_backend") {
        let is_page = section.lines.iter().any(begins_stats);
        if is_page {
            let text = format!(
                "`{} {}`: see `pointsman status` and /metrics",
                section.kind, section.name
            );
            return reader.draft.note(section.at, text);
        }
    }
    let numbers = binds(reader, section);
    if section.is_tcp() {
        tcp(reader, section, &numbers);
    } else {
        http(reader, section, backends, &numbers);
    }
    let mut read: Vec<&str> = READ.to_vec();
    if section.kind == "listen" {
        read.extend(backend::READ);
    }
    reader.leftovers(section, &read);
}

fn begins_stats(line: &Directive) -> bool {
    line.name() == "stats" || line.words.iter().any(|word| word == "prometheus-exporter")
}

fn binds(reader: &mut Reader, section: &Section) -> Vec<usize> {
    let mut numbers = Vec::new();
    let old = section
        .more
        .first()
        .filter(|word| word.contains(':'))
        .map(|address| Directive {
            at: section.at,
            words: vec!["bind".to_owned(), address.clone()],
            block: None,
        });
    let lines: Vec<Directive> = section
        .lines
        .iter()
        .filter(|line| line.name() == "bind")
        .cloned()
        .chain(old)
        .collect();
    for line in lines {
        for address in line.arg(0).split(',') {
            let Some(bind) = bind(address) else {
                reader.note(&line, "not an address");
                continue;
            };
            let number = reader.draft.listener(&bind, &listener_name(&bind));
            numbers.push(number);
            options(reader, number, &line, section);
        }
    }
    numbers
}

fn options(reader: &mut Reader, number: usize, line: &Directive, section: &Section) {
    let base = reader.crt_base.clone();
    let listener = &mut reader.draft.listeners[number];
    let mut words = line.args().iter().skip(1);
    let mut has_certificate = false;
    while let Some(word) = words.next() {
        match word.as_str() {
            "ssl" => listener.is_tls = true,
            "crt" => {
                let path = words.next().cloned().unwrap_or_default();
                let path = match base.is_empty() || path.starts_with('/') {
                    true => path,
                    false => format!("{base}/{path}"),
                };
                if has_certificate || path.ends_with('/') {
                    let text = format!("`crt {path}`: one certificate for each listener");
                    listener.notes.push(Note::new(line.at, text));
                    continue;
                }
                has_certificate = true;
                // HAProxy has both in one file.
                listener.keys.set(&["tls", "cert"], path.as_str());
                listener.keys.set(&["tls", "key"], path);
            }
            "accept-proxy" => {
                listener.keys.set(&["proxy_protocol"], true);
                listener.notes.push(Note::new(
                    line.at,
                    "`accept-proxy`: say in `trusted` from whom",
                ));
            }
            "alpn" | "ciphers" | "ciphersuites" | "ssl-min-ver" | "ssl-max-ver" | "name"
            | "maxconn" | "backlog" | "curves" | "mode" | "user" | "group" | "interface"
            | "process" | "thread" => {
                let _ = words.next();
            }
            "v4v6"
            | "v6only"
            | "defer-accept"
            | "tfo"
            | "transparent"
            | "strict-sni"
            | "no-sslv3"
            | "no-tlsv10"
            | "no-tlsv11"
            | "no-tls-tickets"
            | "prefer-client-ciphers" => {}
            other => {
                let text = format!("`{other}` of `{}`: no counterpart", line.text());
                listener.notes.push(Note::new(line.at, text));
            }
        }
    }
    limits(&mut listener.keys, section);
}

fn limits(keys: &mut Keys, section: &Section) {
    let time = |what: &str| {
        section
            .value(&["timeout", what])
            .and_then(|time| duration(&time))
    };
    if section.is_tcp() {
        if let Some(time) = time("client") {
            keys.set(&["timeouts", "tunnel"], time);
        }
    } else {
        if let Some(time) = time("http-request") {
            keys.set(&["timeouts", "head"], time);
        }
        if let Some(time) = time("http-keep-alive").or_else(|| time("client")) {
            keys.set(&["timeouts", "idle"], time);
        }
    }
    let limit = section
        .value(&["maxconn"])
        .and_then(|limit| limit.parse::<u64>().ok());
    if let Some(limit @ 1..) = limit {
        keys.set(&["limits", "connections"], limit);
    }
}

/// `*:80`, `:80`, `0.0.0.0:80`, `[::]:80`, `192.0.2.1:80`, `/run/x.sock`.
fn bind(text: &str) -> Option<String> {
    let text = text.trim_start_matches("ipv4@").trim_start_matches("ipv6@");
    if let Some(path) = text
        .strip_prefix("unix@")
        .or_else(|| text.starts_with('/').then_some(text))
    {
        return Some(format!("unix:{path}"));
    }
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    match host {
        "" | "*" | "0.0.0.0" | "[::]" | "::" => Some(format!(":{port}")),
        "localhost" => Some(format!("127.0.0.1:{port}")),
        host => Some(format!("{host}:{port}")),
    }
}

fn tcp(reader: &mut Reader, section: &Section, numbers: &[usize]) {
    let pool = match section.kind.as_str() {
        "listen" => Some(section.name.clone()),
        _ => section.value(&["default_backend"]),
    };
    for line in section
        .lines
        .iter()
        .filter(|line| line.name() == "use_backend")
    {
        reader.note(line, "a TCP listener has one pool");
    }
    for number in numbers {
        let keys = &mut reader.draft.listeners[*number].keys;
        keys.set(&["protocol"], "tcp");
        if let Some(pool) = &pool {
            keys.set(&["pool"], clean(pool));
        }
    }
}

fn http(
    reader: &mut Reader,
    section: &Section,
    backends: &HashMap<String, Section>,
    numbers: &[usize],
) {
    let named = |is_tls: bool| {
        let listeners = numbers
            .iter()
            .map(|number| &reader.draft.listeners[*number]);
        let those = listeners.filter(|listener| listener.is_tls == is_tls);
        let names: Vec<String> = those.map(|listener| listener.name.clone()).collect();
        names
    };
    let begin = reader.draft.routes.len();
    let mut places = Places {
        plain: named(false),
        tls: named(true),
        acls: Acls::of(section.defaults.iter().chain(&section.lines)),
    };
    let mut keys = Keys::default();
    for line in &section.lines {
        if !to_https(reader, line, &mut places) {
            rule(reader, line, &places, &mut keys);
        }
    }
    let mut ordered = 0;
    for line in section
        .lines
        .iter()
        .filter(|line| line.name() == "use_backend")
    {
        let (target, condition) = redirect::condition(line.args());
        ordered += usize::from(!condition.is_empty());
        let target = target.first().map_or("", String::as_str);
        routes(reader, line, condition, &places, &|| {
            forward(target, section, backends, &keys)
        });
    }
    let default = match section.kind.as_str() {
        "listen"
            if section
                .lines
                .iter()
                .any(|line| line.name().starts_with("server")) =>
        {
            Some(section.name.clone())
        }
        _ => section.value(&["default_backend"]),
    };
    if let Some(target) = default {
        let line = section
            .lines(&["default_backend"])
            .last()
            .map(|line| (*line).clone());
        let line = line.unwrap_or_else(|| Directive {
            at: section.at,
            ..Directive::default()
        });
        routes(reader, &line, &[], &places, &|| {
            forward(&target, section, backends, &keys)
        });
    }
    keep_order(&mut reader.draft.routes, begin);
    if ordered > 1 {
        let text = format!(
            "`{} {}`: HAProxy takes the first rule that holds, Pointsman the most specific route",
            section.kind, section.name
        );
        reader.draft.note(section.at, text);
    }
}

/// A redirect of all that comes without TLS: nothing else holds for those listeners.
fn to_https(reader: &mut Reader, line: &Directive, places: &mut Places) -> bool {
    let (words, condition) = redirect::condition(line.args());
    let action = match line.name() {
        "redirect" => redirect::redirect(words),
        "http-request" => redirect::answer(words),
        _ => None,
    };
    let all = Way {
        matches: Match::default(),
        tls: Some(false),
    };
    let (Some(Action::Redirect { to, status }), Some(ways)) = (action, places.acls.ways(condition))
    else {
        return false;
    };
    if ways != [all] || places.tls.is_empty() {
        return false;
    }
    for listener in &mut reader.draft.listeners {
        if places.plain.contains(&listener.name) {
            listener.keys.set(&["redirect", "to"], to.as_str());
            listener.keys.set(&["redirect", "status"], status);
        }
    }
    places.plain.clear();
    true
}

/// HAProxy takes the first rule that holds; here hosts come before all else. So what holds for any host
/// holds for those of later rules as well.
fn keep_order(routes: &mut Vec<Route>, begin: usize) {
    let own = routes.split_off(begin);
    for (number, route) in own.iter().enumerate() {
        let mut hosts: Vec<String> = Vec::new();
        for later in &own[number + 1..] {
            let new = later
                .matches
                .hosts
                .iter()
                .filter(|host| !hosts.contains(host));
            let new: Vec<String> = new.cloned().collect();
            hosts.extend(new);
        }
        routes.push(route.clone());
        let listeners = route.matches.listeners.clone();
        let says_nothing = route.matches
            == Match {
                listeners,
                ..Match::default()
            };
        if route.matches.hosts.is_empty() && !hosts.is_empty() && !says_nothing {
            let mut with_hosts = route.clone();
            with_hosts.matches.hosts = hosts;
            routes.push(with_hosts);
        }
    }
}

/// `http-request`, `http-response` and `redirect` of a frontend.
fn rule(reader: &mut Reader, line: &Directive, places: &Places, keys: &mut Keys) {
    let answer = match line.name() {
        "redirect" => redirect::redirect(redirect::condition(line.args()).0),
        "http-request" => redirect::answer(redirect::condition(line.args()).0),
        "http-response" => {
            if !redirect::edit(keys, "response_headers", line) {
                reader.note(line, "no counterpart");
            }
            return;
        }
        "tcp-request" | "capture" => return reader.note(line, "no counterpart"),
        _ => return,
    };
    match answer {
        Some(action) => {
            let (_, condition) = redirect::condition(line.args());
            routes(reader, line, condition, places, &|| {
                (action.clone(), Keys::default(), Vec::new())
            });
        }
        None if redirect::edit(keys, "request_headers", line) => {}
        None => reader.note(line, "no counterpart"),
    }
}

type Made = (Action, Keys, Vec<Note>);

/// One route for each way in which a condition holds.
fn routes(
    reader: &mut Reader,
    line: &Directive,
    condition: &[String],
    places: &Places,
    make: &dyn Fn() -> Made,
) {
    let Some(ways) = places.acls.ways(condition) else {
        return reader.note(line, "this condition is none of a route");
    };
    for way in ways {
        let Some(matches) = located(reader, way, places) else {
            continue;
        };
        let (action, keys, notes) = make();
        reader.draft.routes.push(Route {
            at: line.at,
            matches,
            action,
            keys,
            notes,
        });
    }
}

/// The conditions together with the listeners; nothing if there is no such listener.
fn located(reader: &Reader, way: Way, places: &Places) -> Option<Match> {
    let mut matches = way.matches;
    let names: Vec<String> = match way.tls {
        None => places.plain.iter().chain(&places.tls).cloned().collect(),
        Some(true) => places.tls.clone(),
        Some(false) => places.plain.clone(),
    };
    if names.is_empty() {
        return None;
    }
    if names.len() < reader.draft.listeners.len() {
        matches.listeners = names;
    }
    Some(matches)
}

/// To a backend, with what it and its frontend say about the request.
fn forward(
    target: &str,
    section: &Section,
    backends: &HashMap<String, Section>,
    above: &Keys,
) -> Made {
    let mut keys = above.clone();
    let mut notes = Vec::new();
    let Some(backend) = backends.get(target) else {
        return (Action::Pool(clean(target)), keys, notes);
    };
    let time = |what: &str| {
        backend
            .value(&["timeout", what])
            .and_then(|time| duration(&time))
    };
    if let Some(time) = time("server") {
        keys.set(&["timeouts", "response"], time);
    }
    if let Some(time) = time("tunnel") {
        keys.set(&["timeouts", "tunnel"], time);
    }
    let retries = backend
        .value(&["retries"])
        .and_then(|retries| retries.parse::<u64>().ok());
    if let Some(retries) = retries {
        keys.set(&["retry", "attempts"], (retries + 1).min(10));
    }
    let own = if section.kind == "listen" {
        &[][..]
    } else {
        &backend.lines
    };
    if let Some(action) = own.iter().find_map(always) {
        return (action, keys, notes);
    }
    for line in own {
        let done = match line.name() {
            "http-request" => redirect::edit(&mut keys, "request_headers", line),
            "http-response" => redirect::edit(&mut keys, "response_headers", line),
            "redirect" => false,
            _ => true,
        };
        if !done {
            notes.push(Note::new(
                line.at,
                format!("`{}`: no counterpart", line.text()),
            ));
        }
    }
    (Action::Pool(clean(target)), keys, notes)
}

/// What a backend answers to everything.
fn always(line: &Directive) -> Option<Action> {
    let (words, condition) = redirect::condition(line.args());
    match line.name() {
        _ if !condition.is_empty() => None,
        "http-request" => redirect::answer(words),
        "redirect" => redirect::redirect(words),
        _ => None,
    }
}
