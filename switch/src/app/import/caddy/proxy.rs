//! `reverse_proxy`: a pool and a route to it.

use super::super::draft::{Action, Note, Pool, address, clean, server};
use super::super::tree::Directive;
use super::super::word::Keys;
use super::handle::{Place, edit};
use super::{Reader, duration};

pub(super) fn read(
    reader: &mut Reader,
    line: &Directive,
    args: &[String],
    place: &Place,
) -> (Action, Keys, Vec<Note>) {
    let mut keys = place.keys.clone();
    let mut notes = Vec::new();
    let mut pool = Pool::default();
    let tos = line.block().iter().filter(|inner| inner.name() == "to");
    let addresses: Vec<String> = args
        .iter()
        .chain(tos.flat_map(|inner| inner.args()))
        .cloned()
        .collect();
    for word in &addresses {
        upstream(&mut pool, word, line, &mut notes);
    }
    // Caddy chooses at random.
    pool.keys.set(&["balance"], "random");
    for inner in line.block() {
        option(&mut pool, inner, &mut keys, &mut notes);
    }
    if pool.keys.get(&["health", "path"]).is_none() {
        pool.keys.0.retain(|(key, _)| key != "health");
    }
    let name = named(reader, pool, &addresses);
    (Action::Pool(name), keys, notes)
}

/// The same servers with the same words are one pool.
fn named(reader: &mut Reader, pool: Pool, addresses: &[String]) -> String {
    let same = |one: &&Pool| one.servers == pool.servers && one.keys == pool.keys;
    if let Some(known) = reader.draft.pools.iter().find(same) {
        return known.name.clone();
    }
    let first = addresses
        .first()
        .map_or("pool", |first| first.rsplit('/').next().unwrap_or(first));
    let wanted = clean(first);
    let numbered = (2..1000).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.clone()).chain(numbered);
    let name = names
        .find(|name| !reader.draft.has_pool(name))
        .unwrap_or(wanted);
    reader.draft.pools.push(Pool { name, ..pool });
    reader
        .draft
        .pools
        .last()
        .map_or(String::new(), |pool| pool.name.clone())
}

fn upstream(pool: &mut Pool, word: &str, line: &Directive, notes: &mut Vec<Note>) {
    let (scheme, rest) = word.split_once("://").unwrap_or(("http", word));
    if scheme == "https" {
        pool.keys.set(&["tls", "verify"], true);
    }
    let rest = match rest.strip_prefix("unix/") {
        Some(path) => format!("unix:{path}"),
        None => rest.trim_end_matches('/').to_owned(),
    };
    let rest = if rest.starts_with(':') {
        format!("127.0.0.1{rest}")
    } else {
        rest
    };
    match address(&rest, if scheme == "https" { 443 } else { 80 }) {
        Some(address) => pool.servers.push(server(&address)),
        None => notes.push(Note::new(
            line.at,
            format!("`{word}`: not an address that is known here"),
        )),
    }
}

fn option(pool: &mut Pool, line: &Directive, keys: &mut Keys, notes: &mut Vec<Note>) {
    let time = duration(line.arg(0));
    let mut set = |path: &[&str], time: Option<String>| {
        if let Some(time) = time {
            pool.keys.set(path, time);
        }
    };
    match line.name() {
        "to" => {}
        "lb_policy" => policy(pool, line),
        "lb_retries" => {
            if let Ok(retries) = line.arg(0).parse::<u64>() {
                keys.set(&["retry", "attempts"], retries.saturating_add(1).min(10));
            }
        }
        // Pointsman tries others without being told so.
        "lb_try_duration" | "lb_try_interval" | "flush_interval" | "buffer_requests" => {}
        "health_uri" => pool.keys.set(&["health", "path"], line.arg(0)),
        "health_interval" => set(&["health", "interval"], time),
        "health_timeout" => set(&["health", "timeout"], time),
        "health_status" => {
            let status = line.arg(0);
            let status = match status.strip_suffix("xx") {
                Some(class) => format!("{class}00-{class}99"),
                None => status.to_owned(),
            };
            pool.keys.set(&["health", "status"], status);
        }
        "health_body" => pool.keys.set(&["health", "body"], line.arg(0)),
        "health_port" | "health_fails" | "health_passes" => {
            let key = match line.name() {
                "health_port" => "port",
                "health_fails" => "fall",
                _ => "rise",
            };
            if let Ok(number) = line.arg(0).parse::<u64>() {
                pool.keys.set(&["health", key], number);
            }
        }
        "fail_duration" => set(&["eject", "for"], time),
        "max_fails" => {
            if let Ok(fails @ 1..) = line.arg(0).parse::<u64>() {
                pool.keys.set(&["eject", "errors"], fails);
            }
        }
        "unhealthy_request_count" => {
            if let Ok(limit @ 1..) = line.arg(0).parse::<u64>() {
                pool.keys.set(&["limit", "requests"], limit);
            }
        }
        "header_down" => edit(keys, "response_headers", line.args()),
        "header_up" => header_up(line, keys, notes),
        "transport" => transport(pool, line, keys, notes),
        _ => notes.push(Note::new(
            line.at,
            format!("`{}`: no counterpart", line.text()),
        )),
    }
}

fn header_up(line: &Directive, keys: &mut Keys, notes: &mut Vec<Note>) {
    let name = line
        .arg(0)
        .trim_start_matches(['+', '-'])
        .to_ascii_lowercase();
    // Pointsman passes the client's Host, and says the others by itself.
    let own = [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    ];
    match own.contains(&name.as_str()) {
        true if line.arg(1).contains("upstream") => {
            notes.push(Note::new(
                line.at,
                format!("`{}`: backends get the client's", line.text()),
            ));
        }
        true => {}
        false if line.arg(1).contains('{') => {
            notes.push(Note::new(
                line.at,
                format!("`{}`: values with placeholders", line.text()),
            ));
        }
        false => edit(keys, "request_headers", line.args()),
    }
}

fn policy(pool: &mut Pool, line: &Directive) {
    let mut hash = |path: &[&str], value: &str| {
        pool.keys.set(&["balance"], "hash");
        pool.keys.set(path, value);
    };
    match line.arg(0) {
        "random" => pool.keys.set(&["balance"], "random"),
        "round_robin" => pool.keys.set(&["balance"], "round-robin"),
        "least_conn" | "random_choose" => pool.keys.set(&["balance"], "least-request"),
        "ip_hash" | "client_ip_hash" => hash(&["hash"], "client-ip"),
        "uri_hash" => hash(&["hash"], "path"),
        "header" => hash(&["hash", "header"], line.arg(1)),
        "query" => hash(&["hash", "query"], line.arg(1)),
        "cookie" => {
            let name = if line.arg(1).is_empty() {
                "lb"
            } else {
                line.arg(1)
            };
            pool.keys.set(&["sticky", "cookie"], name);
        }
        "first" => {
            for (number, server) in pool.servers.iter_mut().enumerate().take(10) {
                server.set(&["priority"], number as u64);
            }
            pool.keys.set(&["spill"], "0%");
        }
        "weighted_round_robin" => {
            pool.keys.set(&["balance"], "round-robin");
            let weights = line
                .args()
                .iter()
                .skip(1)
                .map(|weight| weight.parse::<u64>());
            for (server, weight) in pool.servers.iter_mut().zip(weights) {
                server.set(&["weight"], weight.unwrap_or(1));
            }
        }
        _ => pool.notes.push(Note::new(
            line.at,
            format!("`{}`: at random in its place", line.text()),
        )),
    }
}

fn transport(pool: &mut Pool, line: &Directive, keys: &mut Keys, notes: &mut Vec<Note>) {
    for inner in line.block() {
        let time = duration(inner.arg(0));
        match (inner.name(), time) {
            ("dial_timeout", Some(time)) => pool.keys.set(&["timeouts", "connect"], time),
            ("response_header_timeout" | "read_timeout", Some(time)) => {
                keys.set(&["timeouts", "response"], time);
            }
            ("tls", _) => pool.keys.set(&["tls", "verify"], true),
            ("tls_insecure_skip_verify", _) => pool.keys.set(&["tls", "verify"], false),
            ("tls_server_name", _) => pool.keys.set(&["tls", "name"], inner.arg(0)),
            ("keepalive", Some(time)) => pool.keys.set(&["timeouts", "idle"], time),
            (
                "keepalive_idle_conns"
                | "keepalive_idle_conns_per_host"
                | "versions"
                | "compression",
                _,
            ) => {}
            _ => notes.push(Note::new(
                inner.at,
                format!("`{}`: no counterpart", inner.text()),
            )),
        }
    }
}
