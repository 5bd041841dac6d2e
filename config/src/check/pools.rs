use std::collections::HashMap;

use super::listeners::check_file;
use crate::backends;
use crate::decode::{Decoded, Placed, PoolPlaces};
use crate::diagnostics::Diagnostics;
use crate::policy::{Backend, BackendAddr, Discover, Pool};
use crate::source::Place;

/// Looks at what the backends of one pool have to do with each other.
pub(super) fn check_pools(decoded: &Decoded, d: &mut Diagnostics) {
    for pool in &decoded.pools {
        let title = format!("the pool `{}`", pool.item.name);
        check_twins(&title, &pool.item.backends, &pool.places.backends, d);
        check_weights(pool, d);
        check_files(pool, d);
        check_port(pool, d);
        check_tls(pool, d);
    }
}

fn check_tls(pool: &Placed<Pool, PoolPlaces>, d: &mut Diagnostics) {
    let (Some(tls), places) = (&pool.item.tls, &pool.places.tls) else {
        return;
    };
    if let Some(ca) = &tls.ca {
        check_file(ca, places.ca, d);
    }
    if let Some(own) = &tls.own {
        check_file(&own.cert, places.own.0, d);
        check_file(&own.key, places.own.1, d);
    }
    if !tls.verify {
        let message = "certificates of backends are not verified: anyone on the way can read and \
                       change what is sent";
        d.warning(places.verify, "unverified", message)
            .help("name the authority that they are from in `ca`, and leave `verify` out");
    }
    for (backend, place) in pool.item.backends.iter().zip(&pool.places.backends) {
        if let BackendAddr::Unix(_) = backend.addr {
            let message = "there is no TLS over a Unix socket";
            d.error(*place, "conflicting-keys", message)
                .help("leave `tls` out of the pool, or let the server listen on a port");
        }
    }
}

/// A list of backends may be written later, or be right by then: the pool begins without it.
fn check_files(pool: &Placed<Pool, PoolPlaces>, d: &mut Diagnostics) {
    for (source, place) in pool.item.discover.iter().zip(&pool.places.discover) {
        if let Discover::File { path } = source
            && let Err(report) = backends::read(path)
        {
            let message = format!("no backends can be read now: {}", report.headline());
            d.warning(*place, "unusable-list", message)
                .help("the pool begins without them, and takes them as soon as the file is right");
        }
    }
}

/// Reports backends that stand twice in one list, which messages call `title`.
pub(crate) fn check_twins(
    title: &str,
    backends: &[Backend],
    places: &[Place],
    d: &mut Diagnostics,
) {
    let mut addresses = HashMap::new();
    let mut names = HashMap::new();
    for (backend, place) in backends.iter().zip(places) {
        if let Some(first) = addresses.insert(&backend.addr, *place) {
            let message = format!("{title} has this backend twice");
            d.error(*place, "duplicate-backend", message)
                .also(first, "first here")
                .help("give one backend a larger `weight` instead");
        } else if let Some(first) = names.insert(&backend.name, *place) {
            let message = format!("two backends are called `{}`", backend.name);
            d.error(*place, "duplicate-name", message)
                .also(first, "first here");
        }
    }
}

fn check_weights(pool: &Placed<Pool, PoolPlaces>, d: &mut Diagnostics) {
    let backends = &pool.item.backends;
    let listed = pool.item.discover.is_empty() && !backends.is_empty();
    if pool.sound && listed && backends.iter().all(|backend| backend.weight == 0) {
        let message = format!("no backend of the pool `{}` has a weight", pool.item.name);
        d.error(pool.places.backends_key, "no-weight", message)
            .help("a weight of 0 takes no new requests: let one backend have more");
    }
}

fn check_port(pool: &Placed<Pool, PoolPlaces>, d: &mut Diagnostics) {
    let health = pool.item.health.as_ref();
    if health.is_none_or(|health| health.port.is_none()) {
        return;
    }
    for (backend, place) in pool.item.backends.iter().zip(&pool.places.backends) {
        if let BackendAddr::Unix(_) = backend.addr {
            let message = "a Unix socket has no port: it is checked itself, not `health.port`";
            d.warning(*place, "no-effect", message);
        }
    }
}
