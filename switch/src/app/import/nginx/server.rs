//! `server`: listeners, and routes for its names.

use std::path::Path;

use super::super::draft::{
    Action, At, Listener, Match, Note, Route, address, clean, listener_name,
};
use super::super::tree::Directive;
use super::Reader;
use super::location::{self, Place};
use super::scope::Scope;
use super::value;

/// A server as it stands there.
pub(super) struct Server {
    directive: Directive,
    scope: Scope,
    is_stream: bool,
    /// Numbers of listeners, and whether it is named their default.
    listens: Vec<(usize, bool)>,
}

impl Server {
    pub(super) fn read(directive: &Directive, scope: &Scope, is_stream: bool) -> Self {
        Self {
            directive: directive.clone(),
            scope: scope.clone(),
            is_stream,
            listens: Vec::new(),
        }
    }

    fn lines(&self) -> &[Directive] {
        self.directive.block()
    }

    /// Whether it listens there, and is named the default server if that is asked.
    fn listens_at(&self, listener: usize, as_default: bool) -> bool {
        let is = |(one, default): &(usize, bool)| *one == listener && (*default || !as_default);
        self.listens.iter().any(is)
    }

    fn at(&self) -> At {
        self.directive.at
    }
}

/// Listeners first, as it takes all servers to know who is the default one of each.
pub(super) fn all(reader: &mut Reader, mut servers: Vec<Server>) {
    for server in &mut servers {
        let mut scope = server.scope.clone();
        scope.enter(server.lines());
        for line in server.directive.block() {
            take(reader, line, &mut scope);
        }
        server.scope = scope;
        listen(reader, server);
    }
    let defaults: Vec<Option<usize>> = (0..reader.draft.listeners.len())
        .map(|listener| {
            let named = servers
                .iter()
                .position(|server| server.listens_at(listener, true));
            named.or_else(|| {
                servers
                    .iter()
                    .position(|server| server.listens_at(listener, false))
            })
        })
        .collect();
    for (number, server) in servers.iter().enumerate() {
        if server.is_stream {
            continue;
        }
        let is_default = |listener: &usize| defaults.get(*listener) == Some(&Some(number));
        let listens: Vec<usize> = server
            .listens
            .iter()
            .map(|(listener, _)| *listener)
            .collect();
        let (default, named): (Vec<_>, Vec<_>) = listens.into_iter().partition(is_default);
        for (listeners, is_default) in [(default, true), (named, false)] {
            if !listeners.is_empty() {
                serve(reader, server, &listeners, is_default);
            }
        }
    }
}

/// What a server or location says for itself.
pub(super) fn take(reader: &mut Reader, line: &Directive, scope: &mut Scope) {
    match line.name() {
        "listen" | "server_name" | "location" | "return" | "rewrite" | "if" | "proxy_pass" => {}
        "ssl" | "root" | "index" | "alias" | "try_files" | "internal" | "autoindex" | "expires" => {
        }
        "access_log" if line.arg(0) == "off" => {}
        "access_log" => reader.access_log(line),
        _ if scope.take(line, &reader.rates, &mut reader.draft.notes) => {}
        name if super::UNNEEDED.contains(&name) => {}
        _ => reader.note(line, "no counterpart"),
    }
}

fn listen(reader: &mut Reader, server: &mut Server) {
    let listens: Vec<Directive> = lines(server, "listen").cloned().collect();
    let implied = Directive {
        at: server.at(),
        words: vec!["listen".to_owned(), "80".to_owned()],
        block: None,
    };
    let listens = if listens.is_empty() {
        vec![implied]
    } else {
        listens
    };
    for line in listens {
        let has = |word: &str| line.args().iter().any(|arg| arg == word);
        if has("udp") || has("quic") {
            reader.note(&line, "not over UDP");
            continue;
        }
        let bind = value::bind(line.arg(0));
        let number = reader.draft.listener(&bind, &listener_name(&bind));
        let is_default = has("default_server") || has("default");
        if !server.listens.iter().any(|(one, _)| *one == number) {
            server.listens.push((number, is_default));
        }
        let listener = &mut reader.draft.listeners[number];
        for (key, word) in &server.scope.listener.0 {
            if listener.keys.get(&[key]).is_none() {
                listener.keys.set(&[key], word.clone());
            }
        }
        if has("proxy_protocol") {
            listener.keys.set(&["proxy_protocol"], true);
        }
        if has("ssl") {
            tls(listener, server, &line, &reader.folder);
        }
        if server.is_stream {
            stream(reader, server, number);
        }
    }
}

fn tls(listener: &mut Listener, server: &Server, line: &Directive, folder: &Path) {
    let absolute = |path: &str| folder.join(path).display().to_string();
    let cert = absolute(&server.scope.certificate);
    listener.is_tls = true;
    match listener.keys.get(&["tls", "cert"]) {
        None => {
            let key = absolute(&server.scope.certificate_key);
            listener.keys.set(&["tls", "cert"], cert);
            listener.keys.set(&["tls", "key"], key);
        }
        Some(one) if *one == cert.as_str().into() => {}
        Some(_) => {
            let text = format!("one certificate for each listener: {cert} has to be part of it");
            listener.notes.push(Note::new(line.at, text));
        }
    }
}

/// A server of `stream`: the listener leads to one pool.
fn stream(reader: &mut Reader, server: &Server, number: usize) {
    let Some(pass) = lines(server, "proxy_pass").next() else {
        return;
    };
    let target = pass.arg(0);
    let pool = match (reader.draft.has_pool(target), address(target, 80)) {
        (true, _) => clean(target),
        (false, Some(address)) if target.contains(':') => reader.draft.pool_of(&address),
        _ => return reader.note(pass, "these servers are not known"),
    };
    if let Some(time) = &server.scope.connect {
        let keys = &mut reader.draft.pool(&pool).keys;
        keys.set(&["timeouts", "connect"], time.as_str());
    }
    let listener = &mut reader.draft.listeners[number];
    listener.keys.set(&["protocol"], "tcp");
    listener.keys.set(&["pool"], pool);
}

/// The routes of a server at listeners where it is the default one, or is not.
fn serve(reader: &mut Reader, server: &Server, listeners: &[usize], is_default: bool) {
    let is_tls = listeners
        .iter()
        .all(|number| reader.draft.listeners[*number].is_tls);
    let mut base = Match::default();
    let all = reader.draft.listeners.len();
    if listeners.len() < all {
        let names = listeners
            .iter()
            .map(|number| reader.draft.listeners[*number].name.clone());
        base.listeners = names.collect();
    }
    let names = names(reader, server);
    if !is_default {
        if names.is_empty() {
            return;
        }
        base.hosts = names.clone();
    }
    let place = Place {
        scheme: if is_tls { "https" } else { "http" },
        name: names
            .first()
            .cloned()
            .unwrap_or_else(|| "{host}".to_owned()),
        base,
    };
    for line in lines(server, "if") {
        location::condition(reader, line, &place);
    }
    if let Some(action) = location::answer(reader, server.lines(), &place) {
        return route(
            reader,
            server.at(),
            place.base.clone(),
            action,
            &server.scope,
        );
    }
    let mut covers_all = false;
    for line in lines(server, "location") {
        covers_all |= location::read(reader, line, &server.scope, &place);
    }
    if !covers_all {
        // Elsewhere nginx looks for files; other servers must not get these requests.
        let nothing = Action::Respond {
            status: 404,
            body: String::new(),
        };
        route(reader, server.at(), place.base, nothing, &server.scope);
    }
}

pub(super) fn route(reader: &mut Reader, at: At, matches: Match, action: Action, scope: &Scope) {
    reader.draft.routes.push(Route {
        at,
        matches,
        action,
        keys: scope.keys(),
        notes: Vec::new(),
    });
}

fn names(reader: &mut Reader, server: &Server) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for line in lines(server, "server_name") {
        for name in line.args() {
            match name.strip_prefix('.') {
                _ if name == "_" || name.is_empty() => {}
                Some(domain) => hosts.extend([domain.to_owned(), format!("*.{domain}")]),
                None if pointsman_config::value::parse_host(name).is_ok() => {
                    hosts.push(name.clone())
                }
                None => {
                    let text = format!("`server_name {name}`: only names and *.NAME");
                    reader.draft.note(line.at, text);
                }
            }
        }
    }
    hosts
}

fn lines<'a>(server: &'a Server, name: &'a str) -> impl Iterator<Item = &'a Directive> {
    server
        .lines()
        .iter()
        .filter(move |line| line.name() == name)
}
