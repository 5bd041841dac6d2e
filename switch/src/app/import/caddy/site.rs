//! Sites: their addresses, certificates and what holds for all of them.

use super::super::draft::{Action, Match, Note, Route, listener_name};
use super::super::tree::Directive;
use super::super::word::Keys;
use super::handle::{self, Place};
use super::{Reader, matcher};

/// One address of a site.
struct Address {
    is_tls: bool,
    host: String,
    bind: String,
    path: String,
}

pub(super) fn all(reader: &mut Reader, sites: &[Directive]) {
    // All listeners first: routes name theirs when there are others.
    let mut placed = Vec::new();
    for site in sites {
        if site.block.is_none() {
            reader.note(site, "not a site");
            continue;
        }
        let addresses: Vec<Address> = site.words.iter().filter_map(|word| address(word)).collect();
        let mut numbers = Vec::new();
        for address in &addresses {
            numbers.push(listener(reader, site, address));
        }
        placed.push((site, addresses, numbers));
    }
    for (site, addresses, numbers) in placed {
        for (address, number) in addresses.iter().zip(numbers) {
            serve(reader, site, address, number);
        }
    }
}

fn address(word: &str) -> Option<Address> {
    let (scheme, rest) = match word.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", word),
    };
    let (place, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ => (place, ""),
    };
    // What has a name gets TLS, unless it says otherwise.
    let is_tls = match (scheme, port) {
        ("http", _) | (_, "80") => false,
        ("https", _) | (_, "443") => true,
        _ => !host.is_empty(),
    };
    let port = match (port, is_tls) {
        ("", true) => "443",
        ("", false) => "80",
        (port, _) => port,
    };
    Some(Address {
        is_tls,
        host: host.to_owned(),
        bind: format!(":{port}"),
        path: path.to_owned(),
    })
}

fn listener(reader: &mut Reader, site: &Directive, address: &Address) -> usize {
    let number = reader
        .draft
        .listener(&address.bind, &listener_name(&address.bind));
    let binds = site.block().iter().find(|line| line.name() == "bind");
    if let Some(line) = binds {
        reader.note(line, "the listener is open on all addresses");
    }
    if address.is_tls {
        let tls = site.block().iter().find(|line| line.name() == "tls");
        let files = tls.filter(|line| line.args().len() >= 2);
        let host = if address.host.is_empty() {
            "localhost"
        } else {
            &address.host
        };
        let host = host.replace('*', "_");
        let (cert, key) = match files {
            Some(line) => (line.arg(0).to_owned(), line.arg(1).to_owned()),
            None => (
                format!("/etc/pointsman/{host}.pem"),
                format!("/etc/pointsman/{host}.key"),
            ),
        };
        let listener = &mut reader.draft.listeners[number];
        listener.is_tls = true;
        if listener.keys.get(&["tls"]).is_none() {
            listener.keys.set(&["tls", "cert"], cert);
            listener.keys.set(&["tls", "key"], key);
        } else if listener.keys.get(&["tls", "cert"]) != Some(&cert.as_str().into()) {
            let text = format!("one certificate for each listener: it has to name {host} as well");
            listener.notes.push(Note::new(site.at, text));
        }
        if files.is_none() {
            let text = format!("Caddy gets the certificate of {host} by itself: put one here");
            listener.notes.push(Note::new(site.at, text));
        }
        if address.bind == ":443" {
            // Caddy redirects what comes without TLS.
            reader.draft.listener(":80", "http");
        }
    }
    number
}

fn serve(reader: &mut Reader, site: &Directive, address: &Address, number: usize) {
    let mut base = Match::default();
    if !address.host.is_empty() {
        base.hosts = vec![address.host.clone()];
    }
    if !address.path.is_empty() {
        base.paths = matcher::pattern(&address.path).into_iter().collect();
    }
    if reader.draft.listeners.len() > 1 {
        base.listeners = vec![reader.draft.listeners[number].name.clone()];
    }
    if address.is_tls && address.bind == ":443" {
        let plain = reader.draft.listener(":80", "http");
        let mut matches = base.clone();
        matches.listeners = vec![reader.draft.listeners[plain].name.clone()];
        reader.draft.routes.push(Route {
            at: site.at,
            matches,
            action: Action::Redirect {
                to: "https://{host}{uri}".to_owned(),
                status: 308,
            },
            ..Route::default()
        });
    }
    let place = Place {
        scheme: if address.is_tls { "https" } else { "http" },
        named: matcher::named(site.block()),
        base,
        is_sorted: true,
        keys: Keys::default(),
    };
    handle::block(reader, site.block(), place, 0);
}
