//! `upstream`: a pool.

use super::super::draft::{Draft, Note, Pool, address, server};
use super::super::tree::Directive;
use super::UNNEEDED;
use super::value;

pub(super) fn read(draft: &mut Draft, upstream: &Directive, is_stream: bool) {
    let pool = draft.pool(upstream.arg(0));
    for line in upstream.block() {
        match line.name() {
            "server" => add_server(pool, line),
            "least_conn" => pool.keys.set(&["balance"], "least-request"),
            "least_time" => pool.keys.set(&["balance"], "peak-ewma"),
            "random" if line.arg(0) == "two" => pool.keys.set(&["balance"], "least-request"),
            "random" => pool.keys.set(&["balance"], "random"),
            "ip_hash" => pool.keys.set(&["balance"], "hash"),
            "hash" => hash(pool, line),
            "sticky" if line.arg(0) == "cookie" => sticky(pool, line),
            name if UNNEEDED.contains(&name) || name == "keepalive_timeout" => {}
            _ => note(pool, line, "no counterpart"),
        }
    }
    if is_stream {
        pool.keys.0.retain(|(key, _)| key != "eject");
    }
}

fn add_server(pool: &mut Pool, line: &Directive) {
    let Some(address) = address(line.arg(0), 80) else {
        return note(pool, line, "not an address");
    };
    let mut keys = server(&address);
    for arg in line.args().iter().skip(1) {
        let (name, given) = arg.split_once('=').unwrap_or((arg, ""));
        match (name, given.parse::<u64>()) {
            ("weight", Ok(weight)) => keys.set(&["weight"], weight),
            ("backup", _) => keys.set(&["backup"], true),
            ("down", _) => keys.set(&["weight"], 0),
            ("max_fails", Ok(0)) => pool.keys.set(&["eject"], false),
            ("max_fails", Ok(fails)) if !is_off(pool) => pool.keys.set(&["eject", "errors"], fails),
            ("fail_timeout", _) if !is_off(pool) => {
                if let Some(time) = value::duration(given) {
                    pool.keys.set(&["eject", "for"], time);
                }
            }
            ("max_conns", Ok(limit @ 1..)) => pool.keys.set(&["limit", "requests"], limit),
            ("slow_start", _) => {
                if let Some(time) = value::duration(given) {
                    pool.keys.set(&["slow_start"], time);
                }
            }
            ("resolve" | "max_fails" | "fail_timeout" | "max_conns", _) => {}
            _ => {
                let text = format!("`{arg}`: no counterpart");
                pool.notes.push(Note::new(line.at, text));
            }
        }
    }
    pool.servers.push(keys);
}

/// Whether another server of the pool has turned ejection off.
fn is_off(pool: &Pool) -> bool {
    pool.keys.get(&["eject"]) == Some(&false.into())
}

fn hash(pool: &mut Pool, line: &Directive) {
    let key = line.arg(0);
    let field = |prefix: &str| key.strip_prefix(prefix).map(str::to_owned);
    pool.keys.set(&["balance"], "hash");
    if let Some(cookie) = field("$cookie_") {
        pool.keys.set(&["hash", "cookie"], cookie);
    } else if let Some(query) = field("$arg_") {
        pool.keys.set(&["hash", "query"], query);
    } else if let Some(header) = field("$http_") {
        pool.keys.set(&["hash", "header"], header.replace('_', "-"));
    } else if ["$request_uri", "$uri", "$document_uri"].contains(&key) {
        pool.keys.set(&["hash"], "path");
    } else if !["$remote_addr", "$binary_remote_addr"].contains(&key) {
        note(pool, line, "the client's address is hashed in its place");
    }
}

fn sticky(pool: &mut Pool, line: &Directive) {
    pool.keys.set(&["sticky", "cookie"], line.arg(1));
    for arg in line.args().iter().skip(2) {
        match arg.split_once('=').unwrap_or((arg, "")) {
            ("expires", time) => {
                if let Some(time) = value::duration(time) {
                    pool.keys.set(&["sticky", "ttl"], time);
                }
            }
            ("domain", domain) => pool
                .keys
                .set(&["sticky", "domain"], domain.trim_start_matches('.')),
            ("path", path) => pool.keys.set(&["sticky", "path"], path),
            ("secure", _) => pool.keys.set(&["sticky", "secure"], true),
            ("httponly", _) => pool.keys.set(&["sticky", "http_only"], true),
            _ => pool
                .notes
                .push(Note::new(line.at, format!("`{arg}`: no counterpart"))),
        }
    }
}

fn note(pool: &mut Pool, line: &Directive, why: &str) {
    pool.notes
        .push(Note::new(line.at, format!("`{}`: {why}", line.text())));
}
