//! Which address of this switch packets in a tunnel come from.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::contact::host::{Host, Way};

/// The way, from an address of this switch's own. Nothing is sent from one that is served: it moves,
/// and answers to it are passed on.
pub(super) fn with_own_source(
    way: Way,
    to: IpAddr,
    addresses: &[(u32, IpNet)],
    serves: impl Fn(IpAddr) -> bool,
) -> Way {
    if way.source.is_some_and(|source| !serves(source)) {
        return way;
    }
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let own = addresses
        .iter()
        .filter(|(index, _)| *index == way.interface);
    let mut own = own.map(|(_, net)| net.addr());
    let source = own.find(|ip| ip.is_ipv4() == to.is_ipv4() && !serves(*ip) && !link_local(ip));
    Way { source, ..way }
}

/// Where packets to this backend come from, if they go there in a tunnel: it is behind a router.
///
/// # Errors
/// The kernel does not tell, or knows no way there at the moment.
pub fn tunnel_to(backend: IpAddr, serves: impl Fn(IpAddr) -> bool) -> io::Result<Option<IpAddr>> {
    let host = Host::open()?;
    let way = host.way(backend)?.ok_or(io::ErrorKind::HostUnreachable)?;
    if way.gateway.is_none() || way.local {
        return Ok(None);
    }
    Ok(with_own_source(way, backend, &host.all_addresses()?, serves).source)
}
