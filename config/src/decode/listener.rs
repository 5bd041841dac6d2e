use super::reader::Reader;
use super::route::redirect;
use super::tls::tls;
use super::{ListenerPlaces, Placed};
use crate::diagnostics::Diagnostics;
use crate::policy::{Desync, Listener, ListenerLimits, ListenerTimeouts, Protocol};
use crate::value::{Unfit, parse_bind, parse_network};

/// Keys of `[listener.*]`, and of its `timeouts` and `limits`, that mean nothing without HTTP.
const HTTP_ONLY: [(&str, &[&str]); 4] = [
    ("redirect", &[]),
    ("desync", &[]),
    ("timeouts", &["head", "body_rate"]),
    (
        "limits",
        &["requests_per_client", "head", "fields", "streams"],
    ),
];

/// Keys that mean nothing where the switch only passes packets on.
const PROXY_ONLY: [&str; 3] = ["timeouts", "limits", "trusted"];

pub(super) fn listener(
    d: &mut Diagnostics,
    name: &str,
    reader: &Reader<'_>,
) -> Placed<Listener, ListenerPlaces> {
    let errors = d.errors();
    reader.require(d, "bind");
    let (bind, binds) = binds(reader, d);
    let protocol = protocol(reader, d);
    let tls = tls(reader, d);
    let item = Listener {
        name: name.to_owned(),
        bind,
        protocol,
        tls: tls.as_ref().map(|(files, _)| files.clone()),
        redirect: redirect(reader, d),
        timeouts: timeouts(&reader.settings(d, "timeouts"), d),
        limits: limits(&reader.settings(d, "limits"), d),
        trusted: reader
            .texts(d, "trusted", parse_network)
            .into_iter()
            .map(|(net, _)| net)
            .collect(),
        proxy_protocol: reader.boolean(d, "proxy_protocol").unwrap_or_default(),
        desync: match reader.word(d, "desync") {
            Some("defensive") => Desync::Defensive,
            Some("monitor") => Desync::Monitor,
            _ => Desync::Strict,
        },
    };
    if item.protocol.pool().is_some() {
        refuse_http_keys(reader, item.protocol.word(), d);
    }
    let place_of = |key: &str| {
        reader
            .find(key)
            .map_or(reader.place(), |found| found.node.place)
    };
    let places = ListenerPlaces {
        name: reader.place(),
        binds,
        pool: place_of("pool"),
        redirect: place_of("redirect"),
        tls: tls.map(|(_, places)| places),
        proxy_keys: PROXY_ONLY
            .into_iter()
            .filter_map(|name| Some((name, reader.find_own(name)?.key_place)))
            .collect(),
    };
    Placed {
        item,
        places,
        sound: d.errors() == errors,
    }
}

fn binds(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
) -> (Vec<crate::policy::BindAddr>, Vec<crate::source::Place>) {
    let found = reader.texts(d, "bind", parse_bind);
    if let Some(written) = reader.find("bind")
        && matches!(&written.node.value, crate::source::Value::Array(items) if items.is_empty())
    {
        d.error(
            written.node.place,
            "bad-value",
            "`bind` needs at least one address",
        );
    }
    found.into_iter().unzip()
}

fn protocol(reader: &Reader<'_>, d: &mut Diagnostics) -> Protocol {
    let written = reader.find("protocol");
    if let Some(found) = written
        && let Some(word @ "any") = found.node.as_str()
    {
        let message = format!("`protocol = \"{word}\"` is not supported by this version");
        d.error(found.node.place, "not-supported", message)
            .help("write \"http\", \"tcp\" or \"udp\"");
        return Protocol::Http;
    }
    let pool = reader.find("pool");
    if let Some(word @ ("tcp" | "udp")) = reader.word(d, "protocol") {
        if pool.is_none() && !reader.is_partial() {
            let place = written.map_or(reader.place(), |found| found.node.place);
            let message = format!("{} forwards {word} and needs `pool`", reader.title());
            d.error(place, "missing-key", message)
                .help("for example pool = \"database\"");
        }
        let pool = reader.text(d, "pool", |text| Ok::<_, Unfit>(text.to_owned()));
        let pool = pool.unwrap_or_default();
        return match word {
            "udp" => Protocol::Udp { pool },
            _ => Protocol::Tcp { pool },
        };
    }
    if let Some(found) = pool.filter(|_| !reader.is_partial()) {
        let message = format!("{} speaks http, where routes name the pool", reader.title());
        let help = match found.node.as_str() {
            Some(_) => "write a [[route]] with this `pool`, or protocol = \"tcp\" in the listener",
            None => "leave it out",
        };
        d.error(found.key_place, "conflicting-keys", message)
            .help(help);
    }
    Protocol::Http
}

fn refuse_http_keys(reader: &Reader<'_>, protocol: &str, d: &mut Diagnostics) {
    for (name, below) in HTTP_ONLY {
        let Some(found) = reader.find_own(name) else {
            continue;
        };
        if below.is_empty() {
            let message = format!("`{name}` means nothing for a {protocol} listener");
            d.error(found.key_place, "conflicting-keys", message)
                .help("leave it out");
        }
        let Some(table) = found.node.as_table() else {
            continue;
        };
        for entry in table
            .entries
            .iter()
            .filter(|entry| below.contains(&entry.key.as_str()))
        {
            let key = &entry.key;
            let message = format!("`{name}.{key}` means nothing for a {protocol} listener");
            d.error(entry.key_place, "conflicting-keys", message)
                .help("leave it out");
        }
    }
}

fn timeouts(reader: &Reader<'_>, d: &mut Diagnostics) -> ListenerTimeouts {
    ListenerTimeouts {
        head: reader.duration(d, "head"),
        body_rate: reader.byte_rate(d, "body_rate").unwrap_or_default(),
        idle: reader.duration(d, "idle"),
        tunnel: reader.duration(d, "tunnel"),
        handshake: reader.duration(d, "handshake"),
    }
}

fn limits(reader: &Reader<'_>, d: &mut Diagnostics) -> ListenerLimits {
    ListenerLimits {
        connections: reader.count(d, "connections").unwrap_or_default(),
        connections_per_client: reader.count(d, "connections_per_client"),
        requests_per_client: reader.rate(d, "requests_per_client"),
        head: reader
            .size(d, "head")
            .and_then(|size| size.try_into().ok())
            .unwrap_or_default(),
        fields: reader.count(d, "fields").unwrap_or_default(),
        streams: reader.count(d, "streams").unwrap_or_default(),
    }
}
