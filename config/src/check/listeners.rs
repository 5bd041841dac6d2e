use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use crate::decode::{Decoded, ListenerPlaces, Placed};
use crate::diagnostics::Diagnostics;
use crate::policy::{BindAddr, Listener, Protocol};
use crate::source::Place;

/// Looks at listeners: that there are any, that their addresses do not overlap, that their files
/// can be read, that somebody answers on them.
pub(super) fn check_listeners(decoded: &Decoded, d: &mut Diagnostics) {
    if decoded.listeners.is_empty() {
        d.error(Place::whole(0), "no-listener", "the policy has no listener")
            .help("write [listener.web] and below it bind = \":8080\"");
    }
    check_overlaps(decoded, d);
    for listener in &decoded.listeners {
        check_tls_files(listener, d);
        check_redirect_loop(listener, d);
        check_proxy_protocol(listener, d);
        check_served(decoded, listener, d);
    }
}

/// Which binds could take each other's place; port 0 never does, nor does one of TCP that of UDP.
#[derive(PartialEq, Eq, Hash)]
enum Spot<'a> {
    Port(u16, bool),
    Unix(&'a Path),
}

fn check_overlaps(decoded: &Decoded, d: &mut Diagnostics) {
    let listeners = decoded.listeners.iter().flat_map(|listener| {
        let is_udp = matches!(listener.item.protocol, Protocol::Udp { .. });
        let binds = listener.item.bind.iter().zip(&listener.places.binds);
        binds.map(move |(bind, place)| (bind, *place, is_udp))
    });
    let admin = decoded
        .admin
        .listen
        .iter()
        .map(|listen| (listen, decoded.admin_place, false));
    let agents = decoded.agents.iter().flat_map(|agents| {
        let listen = agents.item.listen.iter();
        let places = agents.places.listens.iter().copied();
        listen
            .zip(places)
            .map(|(listen, place)| (listen, place, false))
    });
    let mut taken: HashMap<Spot<'_>, Vec<(&BindAddr, Place)>> = HashMap::new();
    for (bind, place, is_udp) in listeners.chain(admin).chain(agents) {
        let spot = match bind {
            BindAddr::Any(0) => continue,
            BindAddr::Socket(address) if address.port() == 0 => continue,
            BindAddr::Any(port) => Spot::Port(*port, is_udp),
            BindAddr::Socket(address) => Spot::Port(address.port(), is_udp),
            BindAddr::Unix(path) => Spot::Unix(path),
        };
        let others = taken.entry(spot).or_default();
        if let Some((_, first)) = others.iter().find(|(other, _)| overlap(bind, other)) {
            let other = d.sources.describe(*first);
            let message = format!("this address is already taken in {other}");
            d.error(place, "overlapping-bind", message)
                .also(*first, "first taken here");
        }
        others.push((bind, place));
    }
}

/// Whether two binds of one port cannot both be had. `0.0.0.0` and `[::]` can: the latter is bound
/// for IPv6 alone.
fn overlap(one: &BindAddr, other: &BindAddr) -> bool {
    let (BindAddr::Socket(one), BindAddr::Socket(other)) = (one, other) else {
        return true;
    };
    let (one, other) = (one.ip(), other.ip());
    one.is_ipv4() == other.is_ipv4()
        && (one == other || one.is_unspecified() || other.is_unspecified())
}

fn check_tls_files(listener: &Placed<Listener, ListenerPlaces>, d: &mut Diagnostics) {
    let (Some(tls), Some(places)) = (&listener.item.tls, &listener.places.tls) else {
        return;
    };
    let certs = tls.certs.iter().zip(&places.certs);
    for (files, (cert, key)) in certs {
        check_file(&files.cert, *cert, d);
        check_file(&files.key, *key, d);
    }
    if let Some(folder) = tls.folder.as_deref().filter(|folder| !folder.is_dir()) {
        let message = format!("there is no folder {}", folder.display());
        d.error(places.folder, "unreadable-file", message)
            .help("relative paths start at the folder of the policy file");
    }
    if let Some(clients) = &tls.clients {
        check_file(&clients.ca, places.ca, d);
        for (file, place) in clients.crl.iter().zip(&places.crl) {
            check_file(file, *place, d);
        }
    }
}

pub(super) fn check_file(path: &Path, place: Place, d: &mut Diagnostics) {
    if let Some(trouble) = trouble(path) {
        let message = format!("{} {trouble}", path.display());
        d.error(place, "unreadable-file", message)
            .help("relative paths start at the folder of the policy file");
    }
}

fn trouble(path: &Path) -> Option<String> {
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some("does not exist".to_owned());
        }
        Err(error) => return Some(format!("cannot be read: {error}")),
        Ok(metadata) if !metadata.is_file() => return Some("is not a file".to_owned()),
        Ok(_) => {}
    }
    File::open(path)
        .err()
        .map(|error| format!("cannot be read: {error}"))
}

fn check_redirect_loop(listener: &Placed<Listener, ListenerPlaces>, d: &mut Diagnostics) {
    let Listener {
        tls: Some(_),
        redirect: Some(redirect),
        ..
    } = &listener.item
    else {
        return;
    };
    let to = redirect.to.strip_prefix("https://{host}");
    if to.is_some_and(|rest| matches!(rest, "{uri}" | "{path}" | "{path}?{query}")) {
        let message = format!("the listener `{}` redirects to itself", listener.item.name);
        d.error(listener.places.redirect, "redirect-loop", message)
            .help("it speaks https already: take `redirect` out, or let it stand in the listener on port 80");
    }
}

/// A header from just anybody would let clients choose their address.
fn check_proxy_protocol(listener: &Placed<Listener, ListenerPlaces>, d: &mut Diagnostics) {
    let Listener {
        name,
        proxy_protocol: true,
        trusted,
        ..
    } = &listener.item
    else {
        return;
    };
    if trusted.is_empty() {
        let message = format!("the listener `{name}` trusts nobody to send PROXY protocol headers");
        d.error(listener.places.name, "nobody-trusted", message)
            .help("name the proxies before it: trusted = [\"10.0.0.0/8\"]");
    }
}

fn check_served(
    decoded: &Decoded,
    listener: &Placed<Listener, ListenerPlaces>,
    d: &mut Diagnostics,
) {
    let Listener {
        name,
        protocol,
        redirect,
        ..
    } = &listener.item;
    if *protocol != Protocol::Http || redirect.is_some() {
        return;
    }
    if !decoded.routes.iter().all(|route| route.sound) {
        return;
    }
    let serves = |listeners: &[String]| listeners.is_empty() || listeners.contains(name);
    if !decoded
        .routes
        .iter()
        .any(|route| serves(&route.item.matches.listeners))
    {
        let message = format!("no route answers on the listener `{name}`");
        d.warning(listener.places.name, "unserved-listener", message)
            .help("write a [[route]] with `pool`; until then every request is answered by 404");
    }
}
