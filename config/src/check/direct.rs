use std::collections::HashMap;
use std::net::IpAddr;

use crate::decode::{Decoded, ListenerPlaces, Placed, PoolPlaces};
use crate::diagnostics::Diagnostics;
use crate::policy::{
    Action, BackendAddr, BindAddr, Datapath, Discover, Listener, Pool, Protocol, addresses,
    contact_addresses,
};
use crate::source::Place;

/// The most services of a policy.
const MAX_SERVICES: usize = 512;

type PlacedPool = Placed<Pool, PoolPlaces>;
type PlacedListener = Placed<Listener, ListenerPlaces>;

/// Looks at direct pools and who uses them: that they have addresses of their own, that backends
/// serve the same port, that nobody expects the switch to read what it only passes on.
pub(super) fn check_direct(decoded: &mut Decoded, d: &mut Diagnostics) {
    forget_needless_checks(decoded);
    refuse_routes(decoded, d);
    let pools: HashMap<_, _> = decoded
        .pools
        .iter()
        .map(|pool| (pool.item.name.as_str(), pool))
        .collect();
    let contacts = decoded.contacts.iter().map(|contact| &contact.item);
    let contacts = contact_addresses(contacts);
    let mut services = 0;
    for listener in &decoded.listeners {
        let pool = listener.item.protocol.pool();
        let Some(pool) = pool.and_then(|name| pools.get(name)) else {
            continue;
        };
        if pool.item.forward.direct().is_some() {
            services += check_binds(listener, &contacts, d);
            check_listener(listener, pool, d);
            check_ports(listener, pool, d);
        } else if matches!(listener.item.protocol, Protocol::Udp { .. }) {
            refuse_proxied_udp(listener, pool, d);
        }
    }
    if services > MAX_SERVICES {
        let message = format!(
            "direct pools serve {services} addresses and ports: {MAX_SERVICES} at most are possible"
        );
        d.error(Place::whole(0), "out-of-range", message);
    }
    for pool in &decoded.pools {
        if pool.item.forward.direct().is_some() {
            check_backends(pool, &contacts, d);
        }
    }
    check_datapaths(decoded, d);
}

/// A port of datagrams takes no connections: nothing is checked there unless it is asked for.
fn forget_needless_checks(decoded: &mut Decoded) {
    let listeners = &decoded.listeners;
    let takes_connections = |name: &str| {
        listeners.iter().any(|listener| {
            let protocol = &listener.item.protocol;
            protocol.pool() == Some(name) && matches!(protocol, Protocol::Tcp { .. })
        })
    };
    let is_served = |name: &str| {
        let mut all = listeners.iter();
        all.any(|listener| listener.item.protocol.pool() == Some(name))
    };
    for pool in &mut decoded.pools {
        let name = &pool.item.name;
        let direct = pool.item.forward.direct().is_some();
        if direct && !pool.places.has_health && is_served(name) && !takes_connections(name) {
            pool.item.health = None;
        }
    }
}

fn refuse_routes(decoded: &Decoded, d: &mut Diagnostics) {
    let is_direct = |name: &str| {
        let mut pools = decoded.pools.iter();
        pools.any(|pool| pool.item.name == name && pool.item.forward.direct().is_some())
    };
    for route in &decoded.routes {
        let targets: Vec<(&str, Place)> = match &route.item.action {
            Action::Pool(name) => vec![(name, route.places.action)],
            Action::Split(split) => {
                let names = split.pools.iter().map(|(name, _)| name.as_str());
                names.zip(route.places.shares.iter().copied()).collect()
            }
            Action::Redirect(_) | Action::Respond(_) => Vec::new(),
        };
        for (name, place) in targets.into_iter().filter(|(name, _)| is_direct(name)) {
            let message = format!("the pool `{name}` is a direct one, which no route can use");
            d.error(place, "direct-route", message).help(
                "to choose by a request, the switch must read it: leave `forward` out of the pool, \
                 or name the pool in a listener with protocol = \"tcp\"",
            );
        }
    }
}

fn refuse_proxied_udp(listener: &PlacedListener, pool: &PlacedPool, d: &mut Diagnostics) {
    let message = format!(
        "the pool `{}` is proxied, and proxied UDP is not supported by this version",
        pool.item.name
    );
    d.error(listener.places.pool, "not-supported", message)
        .help("write forward = \"direct\" in the pool");
}

/// How many services the listener makes.
fn check_binds(listener: &PlacedListener, contacts: &[IpAddr], d: &mut Diagnostics) -> usize {
    let binds = listener.item.bind.iter().zip(&listener.places.binds);
    let mut count = 0;
    for (bind, place) in binds {
        let trouble = match bind {
            BindAddr::Unix(_) => Some(("a Unix socket cannot be served by a direct pool", SERVED)),
            BindAddr::Any(0) => Some(PORT_0),
            BindAddr::Socket(at) if at.port() == 0 => Some(PORT_0),
            BindAddr::Socket(at) => unserved(at.ip()),
            BindAddr::Any(_) => None,
        };
        if let Some((message, help)) = trouble {
            d.error(*place, "bad-service", message).help(help);
            continue;
        }
        let services = addresses(bind, contacts).len();
        if services == 0 {
            let message = "a direct pool is served at addresses that are named, and there is no \
                           contact address that this one could stand for";
            d.error(*place, "no-address", message).help(
                "write the address that clients use, such as bind = \"192.0.2.10:80\", or \
                     have a [contact]",
            );
        }
        count += services;
    }
    count
}

const SERVED: &str = "write the address that clients use, such as bind = \"192.0.2.10:80\"";
const PORT_0: (&str, &str) = (
    "a direct pool is served at a port that clients know",
    "write the port that the backends listen on",
);

/// Why an address cannot be one that a direct pool serves, and what to do about it.
fn unserved(ip: IpAddr) -> Option<(&'static str, &'static str)> {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if ip.is_loopback() {
        return Some((
            "packets to a loopback address never leave this host: no backend can get them",
            SERVED,
        ));
    }
    (ip.is_multicast() || link_local).then_some((
        "this address has no one host behind it that a direct pool could serve",
        SERVED,
    ))
}

fn check_listener(listener: &PlacedListener, pool: &PlacedPool, d: &mut Diagnostics) {
    let name = &pool.item.name;
    let places = &listener.places;
    if let Some(tls) = &places.tls {
        let message = format!("the pool `{name}` is a direct one: TLS cannot be terminated here");
        d.error(tls.tls, "conflicting-keys", message)
            .help("leave `tls` out, and let the backends have the certificate");
    }
    if listener.item.proxy_protocol {
        let message = format!(
            "the pool `{name}` is a direct one: PROXY protocol headers cannot be read here"
        );
        d.error(places.name, "conflicting-keys", message)
            .help("leave `proxy_protocol` out, and let the backends read them");
    }
    let direct = pool.item.forward.direct();
    let falls_back = direct.is_some_and(|direct| direct.fallback);
    let is_udp = matches!(listener.item.protocol, Protocol::Udp { .. });
    if falls_back && is_udp {
        let message = format!(
            "the pool `{name}` falls back to a proxy, which this version has none of for UDP"
        );
        d.error(places.pool, "not-supported", message)
            .help("leave `fallback` out of the pool, or let the udp listener have one of its own");
    }
    if is_udp && direct.is_some_and(|direct| direct.mptcp) {
        let message = format!("`route_optimization` of the pool `{name}` does nothing for UDP");
        d.warning(places.pool, "no-effect", message);
    }
    for (key, place) in places.proxy_keys.iter().filter(|_| !falls_back) {
        let message = format!("`{key}` means nothing for a listener of a direct pool");
        d.warning(*place, "no-effect", message)
            .help("the switch passes packets on and holds no connection: leave it out");
    }
}

/// Packets are passed on as they are, so that the port stays what it is.
fn check_ports(listener: &PlacedListener, pool: &PlacedPool, d: &mut Diagnostics) {
    let binds = listener.item.bind.iter().zip(&listener.places.binds);
    let ports: Vec<(u16, Place)> = binds
        .filter_map(|(bind, place)| match bind {
            BindAddr::Any(port) => Some((*port, *place)),
            BindAddr::Socket(at) => Some((at.port(), *place)),
            BindAddr::Unix(_) => None,
        })
        .filter(|(port, _)| *port != 0)
        .collect();
    let other = |port: u16| ports.iter().find(|(own, _)| *own != port).copied();
    let backends = pool.item.backends.iter().zip(&pool.places.backends);
    let backends = backends.filter_map(|(backend, place)| match &backend.addr {
        BackendAddr::Socket(at) => Some((at.port(), *place)),
        BackendAddr::Name(_, port) => Some((*port, *place)),
        BackendAddr::Unix(_) => None,
    });
    let sources = pool.item.discover.iter().zip(&pool.places.discover);
    let sources = sources.filter_map(|(source, place)| match source {
        Discover::Dns { port, .. } => Some((*port, *place)),
        _ => None,
    });
    for (port, place) in backends.chain(sources) {
        let Some((service, bind)) = other(port) else {
            continue;
        };
        let name = &listener.item.name;
        let message = format!(
            "a direct pool's backends serve the port of the listener: `{name}` has {service}, not \
             {port}"
        );
        d.error(place, "other-port", message)
            .also(bind, "the listener's address")
            .help(format!(
                "packets are passed on as they are: let the backend listen on {service} and write \
                 that, or leave `forward` out to have the port changed by a proxy"
            ));
    }
}

fn check_backends(pool: &PlacedPool, contacts: &[IpAddr], d: &mut Diagnostics) {
    for (backend, place) in pool.item.backends.iter().zip(&pool.places.backends) {
        let (message, help) = match &backend.addr {
            BackendAddr::Unix(_) => (
                "a Unix socket cannot be the backend of a direct pool".to_owned(),
                "write the address of a server, or leave `forward` out",
            ),
            BackendAddr::Socket(at) if at.ip().is_loopback() => (
                "a loopback address cannot be the backend of a direct pool".to_owned(),
                "backends answer clients by themselves: write the address of another host, or \
                 leave `forward` out",
            ),
            BackendAddr::Socket(at) if contacts.contains(&at.ip()) => (
                format!("`{}` is the address that is served itself", at.ip()),
                "write the address that the backend has for itself",
            ),
            _ => continue,
        };
        d.error(*place, "bad-backend", message).help(help);
    }
}

/// An interface has one datapath; which interface a service is at, this host alone knows.
fn check_datapaths(decoded: &Decoded, d: &mut Diagnostics) {
    let chosen = decoded.pools.iter().filter_map(|pool| {
        let datapath = pool.item.forward.direct()?.datapath;
        (datapath != Datapath::Auto).then_some((datapath, pool))
    });
    let chosen: Vec<_> = chosen.collect();
    let Some((first, _)) = chosen.first() else {
        return;
    };
    for (datapath, pool) in chosen.iter().filter(|(datapath, _)| datapath != first) {
        let message = format!(
            "this pool wants the datapath \"{}\", another one \"{}\": where both are at one \
             interface, the first in the file counts",
            datapath.word(),
            first.word()
        );
        d.warning(pool.places.name, "mixed-datapaths", message)
            .help("write `datapath` once, in [defaults.pool]");
    }
}
