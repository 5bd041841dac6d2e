//! What a location takes over from its server, and that from `http`.

use std::collections::HashMap;

use super::super::draft::Note;
use super::super::tree::Directive;
use super::super::word::{Keys, Word};
use super::backends::Backends;
use super::value;

#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Keys of a route.
    pub(super) route: Keys,
    /// Keys of a listener.
    pub(super) listener: Keys,
    /// `pool.timeouts.connect`.
    pub(super) connect: Option<String>,
    request: Vec<(String, String)>,
    response: Vec<(String, String)>,
    hidden: Vec<String>,
    pub(super) backends: Backends,
    pub(super) certificate: String,
    pub(super) certificate_key: String,
    /// Whether the backend gets the client's Host, as Pointsman does it.
    pub(super) passes_host: bool,
}

/// nginx refuses larger bodies unless told otherwise.
impl Default for Scope {
    fn default() -> Self {
        let mut route = Keys::default();
        route.set(&["max_body"], "1MiB");
        Self {
            route,
            listener: Keys::default(),
            connect: None,
            request: Vec::new(),
            response: Vec::new(),
            hidden: Vec::new(),
            backends: Backends::default(),
            certificate: String::new(),
            certificate_key: String::new(),
            passes_host: false,
        }
    }
}

impl Scope {
    /// Fields of a header are taken over from above only where none are set here.
    pub(super) fn enter(&mut self, directives: &[Directive]) {
        let sets = |name: &str| directives.iter().any(|one| one.name() == name);
        if sets("proxy_set_header") {
            self.request.clear();
            self.passes_host = false;
        }
        if sets("add_header") {
            self.response.clear();
        }
        if sets("proxy_hide_header") {
            self.hidden.clear();
        }
    }

    /// Whether this is something that is taken over.
    pub(super) fn take(
        &mut self,
        line: &Directive,
        rates: &HashMap<String, String>,
        notes: &mut Vec<Note>,
    ) -> bool {
        let time = value::duration(line.arg(0));
        match (line.name(), time) {
            ("proxy_connect_timeout", time) => self.connect = time,
            ("proxy_read_timeout" | "proxy_timeout", Some(time)) => {
                self.route.set(&["timeouts", "response"], time.as_str());
                self.route.set(&["timeouts", "tunnel"], time.as_str());
                if line.name() == "proxy_timeout" {
                    self.listener.set(&["timeouts", "tunnel"], time);
                }
            }
            ("keepalive_timeout", Some(time)) if time != "0s" => {
                self.listener.set(&["timeouts", "idle"], time);
            }
            ("client_header_timeout", Some(time)) => self.listener.set(&["timeouts", "head"], time),
            ("client_max_body_size", _) => match value::size(line.arg(0)) {
                // 0 is no limit.
                Some(size) if size == "0B" => self.route.0.retain(|(key, _)| key != "max_body"),
                Some(size) => self.route.set(&["max_body"], size),
                None => return false,
            },
            ("proxy_next_upstream", _)
                if line.args().iter().any(|word| word == "non_idempotent") =>
            {
                return false;
            }
            ("proxy_next_upstream", _) => self.retry(line),
            ("proxy_next_upstream_tries", _) => {
                if let Ok(tries @ 1..=10) = line.arg(0).parse::<u64>() {
                    self.route.set(&["retry", "attempts"], tries);
                }
            }
            ("limit_req", _) => self.limit(line, rates, notes),
            ("limit_req_status", _) => {}
            ("proxy_set_header", _) => self.request_field(line, notes),
            ("proxy_pass_request_headers" | "proxy_pass_request_body", _) => return false,
            ("add_header", _) => self.response_field(line, notes),
            ("proxy_hide_header", _) => self.hidden.push(line.arg(0).to_owned()),
            ("proxy_ssl_verify", _) => self.backends.verify = line.arg(0) == "on",
            ("proxy_ssl_trusted_certificate", _) => self.backends.set("ca", line.arg(0)),
            ("proxy_ssl_name", _) if !line.arg(0).contains('$') => {
                self.backends.set("name", line.arg(0));
            }
            ("proxy_ssl_certificate", _) => self.backends.set("cert", line.arg(0)),
            ("proxy_ssl_certificate_key", _) => self.backends.set("key", line.arg(0)),
            (
                "proxy_ssl_server_name"
                | "proxy_ssl_session_reuse"
                | "proxy_ssl_protocols"
                | "proxy_ssl_ciphers"
                | "proxy_ssl_verify_depth",
                _,
            ) => {}
            ("ssl_certificate", _) => self.certificate = line.arg(0).to_owned(),
            ("ssl_certificate_key", _) => self.certificate_key = line.arg(0).to_owned(),
            ("set_real_ip_from", _) => {
                let mut networks = match self.listener.get(&["trusted"]) {
                    Some(Word::List(list)) => list.clone(),
                    _ => Vec::new(),
                };
                networks.push(line.arg(0).into());
                self.listener.set(&["trusted"], Word::List(networks));
            }
            ("real_ip_header" | "real_ip_recursive", _) => {}
            _ => return false,
        }
        true
    }

    /// The route's keys, with the edits of headers.
    pub(super) fn keys(&self) -> Keys {
        let mut keys = self.route.clone();
        for (name, value) in &self.request {
            match value.is_empty() {
                true => push(&mut keys, &["request_headers", "remove"], name),
                false => keys.set(&["request_headers", "set", name], value.as_str()),
            }
        }
        for (name, value) in &self.response {
            keys.set(&["response_headers", "add", name], value.as_str());
        }
        for name in &self.hidden {
            push(&mut keys, &["response_headers", "remove"], name);
        }
        keys
    }

    fn retry(&mut self, line: &Directive) {
        let words = line.args();
        if words.iter().any(|word| word == "off") {
            return self.route.set(&["retry", "attempts"], 1);
        }
        let mut on: Vec<String> = Vec::new();
        for word in words {
            match (word.as_str(), word.strip_prefix("http_")) {
                ("error", _) => on.extend(["connect".to_owned(), "reset".to_owned()]),
                ("timeout", _) => on.push("timeout".to_owned()),
                (_, Some(code)) => on.push(code.to_owned()),
                _ => {}
            }
        }
        let on = on.into_iter().map(Word::Text).collect();
        self.route.set(&["retry", "on"], Word::List(on));
    }

    fn limit(&mut self, line: &Directive, rates: &HashMap<String, String>, notes: &mut Vec<Note>) {
        let value = |key: &str| line.args().iter().find_map(|arg| arg.strip_prefix(key));
        let Some(rate) = value("zone=").and_then(|zone| rates.get(zone)) else {
            let text = format!("`{}`: its zone is not known", line.text());
            return notes.push(Note::new(line.at, text));
        };
        self.route.set(&["limit", "rate"], rate.as_str());
        let burst = value("burst=").and_then(|burst| burst.parse::<u64>().ok());
        // nginx counts those beside the one that the rate lets through.
        self.route
            .set(&["limit", "burst"], burst.unwrap_or(0).saturating_add(1));
        let text =
            "nginx answers 503 to what is too much, Pointsman 429 at once: nothing is delayed";
        notes.push(Note::new(line.at, text));
    }

    fn request_field(&mut self, line: &Directive, notes: &mut Vec<Note>) {
        let (name, value) = (line.arg(0), line.arg(1));
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "host" if ["$host", "$http_host"].contains(&value) => self.passes_host = true,
            // Pointsman says these by itself.
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "connection"
            | "upgrade" => {}
            "host" => {
                self.passes_host = true;
                let text = format!("backends get the client's Host, not `{value}`");
                notes.push(Note::new(line.at, text));
            }
            _ if value.contains('$') => {
                notes.push(Note::new(
                    line.at,
                    format!("`{}`: values with variables", line.text()),
                ));
            }
            _ => self.request.push((name.to_owned(), value.to_owned())),
        }
    }

    fn response_field(&mut self, line: &Directive, notes: &mut Vec<Note>) {
        match line.arg(1).contains('$') {
            true => notes.push(Note::new(
                line.at,
                format!("`{}`: values with variables", line.text()),
            )),
            false => self
                .response
                .push((line.arg(0).to_owned(), line.arg(1).to_owned())),
        }
    }
}

fn push(keys: &mut Keys, path: &[&str], name: &str) {
    let mut list = match keys.get(path) {
        Some(Word::List(list)) => list.clone(),
        _ => Vec::new(),
    };
    list.push(name.into());
    keys.set(path, Word::List(list));
}
