use super::reader::Reader;
use crate::diagnostics::Diagnostics;
use crate::policy::{Check, Datapath, Direct, DirectProcess, Forward, Health};
use crate::source::Value;

use super::top::non_empty;

/// Keys that say something about direct return alone.
const DIRECT_ONLY: [&str; 3] = ["datapath", "fallback", "route_optimization"];
/// Keys that say something about requests and connections, which the switch does not see when it
/// only passes packets on.
const PROXY_ONLY: [&str; 12] = [
    "tls",
    "balance",
    "hash",
    "bound",
    "decay",
    "locality",
    "load_report",
    "sticky",
    "limit",
    "queue",
    "eject",
    "timeouts",
];

/// Decodes `forward` of a pool, and what belongs to it.
pub(super) fn forward(pool: &Reader<'_>, d: &mut Diagnostics) -> Forward {
    // Looked at in any case.
    let direct = Direct {
        datapath: match pool.word(d, "datapath") {
            Some("tc") => Datapath::Tc,
            Some("xdp") => Datapath::Xdp,
            Some("xdp-generic") => Datapath::XdpGeneric,
            _ => Datapath::Auto,
        },
        fallback: is_on(pool, "fallback", d),
        mptcp: is_on(pool, "route_optimization", d),
    };
    match pool.word(d, "forward") {
        Some("direct") => {
            if !direct.fallback && !pool.is_partial() {
                warn_of_proxy_keys(pool, d);
            }
            Forward::Direct(direct)
        }
        _ => {
            if !pool.is_partial() {
                warn_of_direct_keys(pool, d);
            }
            Forward::Proxy
        }
    }
}

/// A pool whose answers nobody sees is checked also where nothing is written about it: by a
/// connection.
pub(super) fn usual_health(pool: &Reader<'_>, d: &mut Diagnostics) -> Option<Health> {
    if pool.find("health").is_some() {
        return super::health::health(pool, d);
    }
    let reader = pool.settings(d, "health");
    Some(Health {
        check: Check::Tcp,
        port: None,
        interval: reader.duration(d, "interval"),
        timeout: reader.duration(d, "timeout"),
        fall: reader.count(d, "fall").unwrap_or_default(),
        rise: reader.count(d, "rise").unwrap_or_default(),
        jitter: reader.share(d, "jitter").unwrap_or_default(),
    })
}

/// Decodes `process.direct`.
pub(super) fn direct_process(process: &Reader<'_>, d: &mut Diagnostics) -> DirectProcess {
    let reader = process.settings(d, "direct");
    let pins = reader.text(d, "pins", non_empty).unwrap_or_default();
    let place = reader
        .find("pins")
        .map_or(reader.place(), |found| found.node.place);
    DirectProcess {
        pins: d.sources.folder(place).join(pins),
        connections: reader.count(d, "connections").unwrap_or_default(),
    }
}

/// A word, or `false` to turn it off.
fn is_on(pool: &Reader<'_>, name: &str, d: &mut Diagnostics) -> bool {
    let off = |found: super::reader::Found<'_>| found.node.value == Value::Boolean(false);
    if pool.find(name).is_some_and(off) {
        return false;
    }
    pool.word(d, name).is_some()
}

fn warn_of_direct_keys(pool: &Reader<'_>, d: &mut Diagnostics) {
    for found in DIRECT_ONLY.iter().filter_map(|name| pool.find_own(name)) {
        if found.node.value == Value::Boolean(false) {
            continue;
        }
        let message = format!("`{}` means nothing for a proxied pool", found.key.name);
        d.warning(found.key_place, "no-effect", message)
            .help("write forward = \"direct\" as well, or leave it out");
    }
}

fn warn_of_proxy_keys(pool: &Reader<'_>, d: &mut Diagnostics) {
    for found in PROXY_ONLY.iter().filter_map(|name| pool.find_own(name)) {
        if found.node.value == Value::Boolean(false) {
            continue;
        }
        let message = format!("`{}` means nothing for a direct pool", found.key.name);
        let help = match found.key.name {
            "balance" | "hash" | "bound" | "locality" | "decay" => {
                "packets are shared out by a hash of addresses and ports: leave it out"
            }
            _ => "the switch passes packets on and sees no request or answer: leave it out",
        };
        d.warning(found.key_place, "no-effect", message).help(help);
    }
}
