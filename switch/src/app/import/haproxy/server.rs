//! `server` and `default-server`.

use super::super::draft::{Note, Pool, address, server};
use super::super::tree::Directive;
use super::super::word::{Keys, Word};
use super::duration;

/// Words of a server that need no counterpart; those with one argument have `true`.
const UNNEEDED: &[(&str, bool)] = &[
    ("init-addr", true),
    ("resolvers", true),
    ("resolve-prefer", true),
    ("on-marked-down", true),
    ("on-marked-up", true),
    ("id", true),
    ("pool-max-conn", true),
    ("pool-purge-delay", true),
    ("sni", true),
    ("check-sni", true),
    ("alpn", true),
    ("check-ssl", false),
    ("no-check", false),
    ("enabled", false),
    ("tfo", false),
    ("observe", true),
    ("error-limit", true),
    ("on-error", true),
    ("minconn", true),
    ("fastinter", true),
    ("downinter", true),
    ("cookie", true),
    ("proto", true),
    ("source", true),
];

/// Reads a server into its pool, with what `default-server` says.
pub(super) fn read(pool: &mut Pool, line: &Directive, defaults: &[&Directive]) {
    let template = line.name() == "server-template";
    let place = if template { 2 } else { 1 };
    let written = line
        .arg(place)
        .trim_start_matches("ipv4@")
        .trim_start_matches("ipv6@");
    let written = match written.strip_prefix('/') {
        Some(path) => format!("unix:/{path}"),
        None => written.replace("unix@", "unix:"),
    };
    let Some(address) = address(&written, 80) else {
        let text = format!("`{}`: not an address", line.text());
        return pool.notes.push(Note::new(line.at, text));
    };
    let mut words: Vec<String> = Vec::new();
    for default in defaults {
        words.extend(default.args().iter().cloned());
    }
    words.extend(line.args().iter().skip(place + 1).cloned());
    if template {
        pool.keys.set(&["discover", "dns"], address.as_str());
        options(pool, &mut Keys::default(), &words, line);
        return;
    }
    let mut keys = server(&address);
    if pointsman_config::value::parse_name(line.arg(0)).is_ok() {
        keys.set(&["name"], line.arg(0));
    }
    options(pool, &mut keys, &words, line);
    pool.servers.push(keys);
}

fn options(pool: &mut Pool, keys: &mut Keys, words: &[String], line: &Directive) {
    let mut words = words.iter();
    let mut is_checked = false;
    let (mut is_tls, mut verifies, mut tls) = (false, true, Vec::new());
    let mut health: Vec<(&str, Word)> = Vec::new();
    while let Some(word) = words.next() {
        let unneeded = UNNEEDED.iter().find(|(name, _)| name == word);
        if let Some((_, has_argument)) = unneeded {
            is_checked &= word != "no-check";
            let _ = has_argument.then(|| words.next());
            continue;
        }
        match word.as_str() {
            "check" => is_checked = true,
            "backup" => keys.set(&["backup"], true),
            "disabled" => keys.set(&["weight"], 0),
            "ssl" => is_tls = true,
            "verify" => verifies &= words.next().is_none_or(|word| word != "none"),
            "ca-file" => tls.extend(words.next().map(|file| ("ca", file))),
            "verifyhost" => tls.extend(words.next().map(|host| ("name", host))),
            "crt" => {
                let file = words.next();
                tls.extend(
                    file.iter()
                        .flat_map(|file| [("cert", *file), ("key", *file)]),
                );
            }
            "send-proxy" | "send-proxy-v2" => note(pool, line, "no PROXY protocol towards servers"),
            "weight" => number(&mut words, |weight| keys.set(&["weight"], weight)),
            "maxconn" => number(&mut words, |limit| {
                if limit > 0 {
                    pool.keys.set(&["limit", "requests"], limit);
                }
            }),
            "port" => number(&mut words, |port| health.push(("port", port.into()))),
            "fall" => number(&mut words, |fall| health.push(("fall", fall.into()))),
            "rise" => number(&mut words, |rise| health.push(("rise", rise.into()))),
            "inter" => {
                let time = words.next().and_then(|time| duration(time));
                health.extend(time.map(|time| ("interval", time.into())));
            }
            "slowstart" => {
                if let Some(time) = words.next().and_then(|time| duration(time)) {
                    pool.keys.set(&["slow_start"], time);
                }
            }
            other => {
                let text = format!("`{other}` of `{}`: no counterpart", line.text());
                pool.notes.push(Note::new(line.at, text));
            }
        }
    }
    if is_tls {
        pool.keys.set(&["tls", "verify"], verifies);
        for (key, word) in tls.into_iter().filter(|(key, _)| verifies || *key != "ca") {
            pool.keys.set(&["tls", key], word.as_str());
        }
    }
    if is_checked {
        if pool.keys.get(&["health"]).is_none() {
            pool.keys.set(&["health", "interval"], "2s");
        }
        for (key, word) in health {
            pool.keys.set(&["health", key], word);
        }
    }
}

fn number<'a>(words: &mut impl Iterator<Item = &'a String>, mut set: impl FnMut(u64)) {
    // Such as `weight 50%`: what is no number stays unset.
    if let Some(number) = words.next().and_then(|word| word.parse().ok()) {
        set(number);
    }
}

fn note(pool: &mut Pool, line: &Directive, why: &str) {
    pool.notes
        .push(Note::new(line.at, format!("`{}`: {why}", line.text())));
}
