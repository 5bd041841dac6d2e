use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};

use super::reader::{Found, Reader};
use super::{ContactPlaces, Placed, scalar};
use crate::diagnostics::Diagnostics;
use crate::policy::{Announce, Checksum, Contact};
use crate::source::{Place, Value};
use crate::value::{format_duration, parse_interface, parse_interface_address, parse_ip};

/// The most addresses of one family: their advertisement fits into the packets of every network.
const MAX_ADDRESSES: usize = 20;

/// The most peers of one contact.
const MAX_PEERS: usize = 32;

/// The device of addresses that a routing daemon announces, where no other name is given.
const BGP_DEVICE: &str = "pointsman0";

/// The unit of `interval` on the wire (RFC 9568, 5.2.7).
const CENTISECOND: Duration = Duration::from_millis(10);

/// Keys that mean nothing where nobody is elected.
const VRRP_ONLY: [&str; 7] = [
    "group",
    "priority",
    "interval",
    "preempt",
    "preempt_delay",
    "checksum",
    "virtual_mac",
];

/// Decodes one `[contact]` or `[[contact]]`.
pub(super) fn contact(d: &mut Diagnostics, reader: &Reader<'_>) -> Placed<Contact, ContactPlaces> {
    let errors = d.errors();
    let announce = announce(reader, d);
    let announced = d.errors() == errors;
    reader.require(d, "address");
    match announce {
        Announce::Bgp => refuse_vrrp_keys(reader, d),
        Announce::Vrrp if announced => reader.require(d, "group"),
        Announce::Vrrp => {}
    }
    let written = addresses(reader, d);
    let group = reader.count(d, "group").unwrap_or_default();
    let (peers, peer_places) = peers(reader, d).into_iter().unzip();
    let item = Contact {
        addresses: complete(written.iter().map(|(address, _)| *address), group),
        announce,
        interface: interface(reader, d, announce, announced),
        group,
        priority: reader.count(d, "priority").unwrap_or_default(),
        interval: interval(reader, d),
        preempt: reader.boolean(d, "preempt").unwrap_or_default(),
        preempt_delay: reader.duration(d, "preempt_delay"),
        checksum: match reader.word(d, "checksum") {
            Some("pseudo-header") => Checksum::PseudoHeader,
            Some("rfc9568") => Checksum::Rfc9568,
            _ => Checksum::Auto,
        },
        virtual_mac: reader.boolean(d, "virtual_mac").unwrap_or_default(),
        source: reader.text(d, "source", parse_ip),
        peers,
        secret: scalar::secret(reader, "secret", "contact.secret", d),
        port: reader.count(d, "port").unwrap_or_default(),
        heartbeat: reader.duration(d, "heartbeat"),
        misses: reader.count(d, "misses").unwrap_or_default(),
    };
    limit_addresses(&item, reader, d);
    Placed {
        item,
        places: places(reader, written, peer_places),
        sound: d.errors() == errors,
    }
}

fn places(
    reader: &Reader<'_>,
    written: Vec<(IpNet, Place)>,
    peer_places: Vec<Place>,
) -> ContactPlaces {
    let place_of = |key: &str| {
        reader
            .find(key)
            .map_or(reader.place(), |found| found.node.place)
    };
    let addresses = written.into_iter();
    ContactPlaces {
        addresses: addresses
            .map(|(address, place)| (address.addr(), place))
            .collect(),
        group: place_of("group"),
        preempt: place_of("preempt"),
        source: place_of("source"),
        peers: peer_places,
        peers_key: place_of("peers"),
        secret: place_of("secret"),
        port: place_of("port"),
        heartbeat: place_of("heartbeat"),
        misses: place_of("misses"),
    }
}

fn announce(reader: &Reader<'_>, d: &mut Diagnostics) -> Announce {
    match reader.word(d, "announce") {
        Some("bgp") => Announce::Bgp,
        _ => Announce::Vrrp,
    }
}

/// Keys of the contact itself; inherited ones are passed over.
fn refuse_vrrp_keys(reader: &Reader<'_>, d: &mut Diagnostics) {
    for found in VRRP_ONLY.iter().filter_map(|name| reader.find_own(name)) {
        if !reader.is_partial() {
            let message = format!(
                "`{}` means nothing with `announce = \"bgp\"`",
                found.key.name
            );
            d.error(found.key_place, "conflicting-keys", message)
                .help("leave it out: every switch holds these addresses, and none is elected");
        }
    }
}

fn addresses(reader: &Reader<'_>, d: &mut Diagnostics) -> Vec<(IpNet, Place)> {
    let found = reader.texts(d, "address", parse_interface_address);
    if let Some(written) = reader.find("address")
        && matches!(&written.node.value, Value::Array(items) if items.is_empty())
    {
        let message = "`address` needs at least one address";
        d.error(written.node.place, "bad-value", message);
    }
    found
}

/// IPv4 first, then IPv6; in a group with a link-local address at the head of the latter.
fn complete(written: impl Iterator<Item = IpNet>, group: u8) -> Vec<IpNet> {
    let (mut addresses, mut v6): (Vec<IpNet>, Vec<IpNet>) =
        written.partition(|address| matches!(address, IpNet::V4(_)));
    if let Some(IpNet::V6(first)) = v6.first()
        && group > 0
        && !first.addr().is_unicast_link_local()
    {
        let link_local = link_local(group);
        v6.retain(|address| address.addr() != link_local.addr());
        v6.insert(0, link_local);
    }
    addresses.append(&mut v6);
    addresses
}

/// What the group's virtual MAC address 00:00:5e:00:02:XX makes as an interface identifier
/// (RFC 4291, appendix A).
fn link_local(group: u8) -> IpNet {
    let low = 0x0200 | u16::from(group);
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0x5eff, 0xfe00, low);
    IpNet::V6(Ipv6Net::new_assert(address, 64))
}

fn limit_addresses(contact: &Contact, reader: &Reader<'_>, d: &mut Diagnostics) {
    let Some(found) = reader.find("address") else {
        return;
    };
    let v4 = contact.addresses.iter().filter(|one| one.addr().is_ipv4());
    let v4 = v4.count();
    for (family, count) in [("IPv4", v4), ("IPv6", contact.addresses.len() - v4)] {
        if count > MAX_ADDRESSES {
            let message = format!("a contact has {MAX_ADDRESSES} {family} addresses at most");
            let help = "the link-local address that VRRP for IPv6 wants is one of them; spread \
                        the others over several [[contact]]";
            d.error(found.key_place, "out-of-range", message).help(help);
        }
    }
}

/// A name from the defaults is meant for contacts that are announced as the defaults say: an
/// interface that is there is none that could be made.
fn interface(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
    announce: Announce,
    announced: bool,
) -> String {
    if let Some(found) = reader.find("interface").filter(|found| fits(reader, found)) {
        return scalar::text(d, found.key, found.node, parse_interface).unwrap_or_default();
    }
    if announce == Announce::Bgp {
        return BGP_DEVICE.to_owned();
    }
    if announced && !reader.is_partial() && !reader.may_be_meant("interface") {
        let message = format!("{} needs `interface`", reader.title());
        d.error(reader.place(), "missing-key", message)
            .help("for example interface = \"eth0\"");
    }
    String::new()
}

fn fits(reader: &Reader<'_>, interface: &Found<'_>) -> bool {
    let Some(own) = reader.find_own("announce") else {
        return true;
    };
    let inherited = reader
        .find_hidden("announce")
        .and_then(|found| found.node.as_str());
    !interface.inherited || own.node.as_str() == Some(inherited.unwrap_or("vrrp"))
}

fn interval(reader: &Reader<'_>, d: &mut Diagnostics) -> Duration {
    let interval = reader.duration(d, "interval");
    let over = interval.subsec_millis() % 10;
    if over > 0
        && let Some(found) = reader.find("interval")
    {
        let below = interval - Duration::from_millis(over.into());
        let message = "VRRP counts `interval` in whole hundredths of a second";
        d.error(found.node.place, "bad-value", message)
            .help(format!(
                "write \"{}\" or \"{}\"",
                format_duration(below),
                format_duration(below + CENTISECOND)
            ));
    }
    interval
}

fn peers(reader: &Reader<'_>, d: &mut Diagnostics) -> Vec<(IpAddr, Place)> {
    let mut peers: Vec<(IpAddr, Place)> = Vec::new();
    for (peer, place) in reader.texts(d, "peers", parse_ip) {
        if let Some((_, first)) = peers.iter().find(|(other, _)| *other == peer) {
            d.error(
                place,
                "duplicate-value",
                format!("`{peer}` stands here twice"),
            )
            .also(*first, "first here");
        } else if peers.len() == MAX_PEERS {
            let message = format!("a contact has {MAX_PEERS} peers at most");
            d.error(place, "out-of-range", message);
            break;
        } else {
            peers.push((peer, place));
        }
    }
    peers
}
