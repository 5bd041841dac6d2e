use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::decode::{ContactPlaces, Decoded, Placed};
use crate::diagnostics::Diagnostics;
use crate::policy::{Announce, Contact};
use crate::source::Place;

/// The most groups that a switch is a member of; IPv4 and IPv6 are elected apart.
const MAX_GROUPS: usize = 64;

/// Silence that is often nothing but a busy processor.
const USUAL_SILENCE: Duration = Duration::from_millis(6);

/// The priority of the addresses' owner (RFC 9568, 5.2.4).
const OWNER: u8 = 255;

type PlacedContact = Placed<Contact, ContactPlaces>;

/// Looks at contacts: that each address and each group is there once, that peers are hosts, that
/// what is shared is the same.
pub(super) fn check_contacts(decoded: &Decoded, d: &mut Diagnostics) {
    check_addresses(decoded, d);
    check_groups(decoded, d);
    check_sessions(decoded, d);
    let written = decoded
        .contacts
        .iter()
        .flat_map(|one| &one.places.addresses);
    let addresses: HashSet<_> = written.map(|(address, _)| *address).collect();
    for contact in &decoded.contacts {
        check_hosts(&addresses, contact, d);
        if contact.sound {
            check_timing(contact, d);
            check_session(contact, d);
            check_owner(contact, d);
        }
    }
}

fn check_addresses(decoded: &Decoded, d: &mut Diagnostics) {
    let mut taken: HashMap<(IpAddr, Option<&str>), Place> = HashMap::new();
    for contact in &decoded.contacts {
        for (address, place) in &contact.places.addresses {
            // Link-local addresses are apart on each network.
            let link = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let link = link.then_some(contact.item.interface.as_str());
            if let Some(first) = taken.get(&(*address, link)) {
                let other = d.sources.describe(*first);
                let message = format!("`{address}` is already a contact address in {other}");
                d.error(*place, "duplicate-address", message)
                    .also(*first, "first here")
                    .help("take one of them out");
            } else {
                taken.insert((*address, link), *place);
            }
        }
    }
}

fn check_groups(decoded: &Decoded, d: &mut Diagnostics) {
    let mut taken = HashMap::new();
    for (membership, place) in decoded.contacts.iter().flat_map(memberships) {
        if let Some(first) = taken.get(&membership) {
            let other = d.sources.describe(*first);
            let (group, family) = membership;
            let message = format!("the group {group} already has {family} addresses in {other}");
            d.error(place, "duplicate-group", message)
                .also(*first, "first here")
                .help("put all its addresses into one contact, or give this one another number");
        } else if taken.len() == MAX_GROUPS {
            let message = format!("a switch is a member of {MAX_GROUPS} groups at most");
            let help = "a contact with IPv4 and IPv6 addresses counts twice; let more addresses \
                        share a contact";
            d.error(place, "out-of-range", message).help(help);
            return;
        } else {
            taken.insert(membership, place);
        }
    }
}

/// The elections that a contact takes part in: group and family. The interface makes no difference,
/// although VRRP would let it: the switches name a group to each other by its number alone.
fn memberships(contact: &PlacedContact) -> impl Iterator<Item = ((u8, &'static str), Place)> {
    let Contact {
        announce, group, ..
    } = &contact.item;
    let elected = *announce == Announce::Vrrp && *group > 0;
    let families = [("IPv4", true), ("IPv6", false)].into_iter();
    let families = families.filter(move |(_, is_v4)| {
        let mut written = contact.places.addresses.iter();
        elected && written.any(|(address, _)| address.is_ipv4() == *is_v4)
    });
    families.map(|(family, _)| ((*group, family), contact.places.group))
}

/// Contacts share the session with a peer, so that it can have only one secret and one pace.
fn check_sessions(decoded: &Decoded, d: &mut Diagnostics) {
    let mut keeping = decoded
        .contacts
        .iter()
        .filter(|contact| contact.item.secret.is_some());
    let Some(first) = keeping.next() else { return };
    for other in keeping {
        let (a, b) = (&first.item, &other.item);
        let (at_a, at_b) = (&first.places, &other.places);
        for (key, same, first, place) in [
            ("secret", a.secret == b.secret, at_a.secret, at_b.secret),
            ("port", a.port == b.port, at_a.port, at_b.port),
            (
                "heartbeat",
                a.heartbeat == b.heartbeat,
                at_a.heartbeat,
                at_b.heartbeat,
            ),
            ("misses", a.misses == b.misses, at_a.misses, at_b.misses),
        ] {
            if !same {
                let other = d.sources.describe(first);
                let message = format!(
                    "`{key}` differs from that of the contact in {other}, but both share the \
                     sessions with peers"
                );
                d.error(place, "conflicting-contacts", message)
                    .also(first, "the other one")
                    .help(format!("write `{key}` once, in [defaults.contact]"));
            }
        }
    }
}

/// A contact address is now here, now there: nobody can be spoken to at it, or from it.
fn check_hosts(addresses: &HashSet<IpAddr>, contact: &PlacedContact, d: &mut Diagnostics) {
    let peers = contact.item.peers.iter().zip(&contact.places.peers);
    for (peer, place) in peers.filter(|(peer, _)| addresses.contains(peer)) {
        let message = format!("`{peer}` is a contact address, which moves between the switches");
        d.error(*place, "contact-as-peer", message)
            .help("write the address that the peer has for itself");
    }
    let source = contact.item.source.as_ref();
    // The owner has the address for itself.
    let moves = |source: &&IpAddr| contact.item.priority != OWNER && addresses.contains(source);
    if let Some(source) = source.filter(moves) {
        let message = format!("`{source}` is a contact address, which moves between the switches");
        d.error(contact.places.source, "contact-as-source", message)
            .help("write an address that this switch has for itself");
    }
}

fn check_timing(contact: &PlacedContact, d: &mut Diagnostics) {
    let Contact {
        heartbeat, misses, ..
    } = contact.item;
    let silence = heartbeat * misses;
    if silence < USUAL_SILENCE {
        let message = format!(
            "false takeovers are likely: a switch counts as dead after {} ms of silence",
            silence.as_millis()
        );
        let place = contact.places.heartbeat;
        d.warning(place, "false-takeovers", message)
            .help("a busy processor is silent for as long: write heartbeat = \"5ms\", misses = 3");
    }
}

fn check_session(contact: &PlacedContact, d: &mut Diagnostics) {
    let Contact {
        announce,
        interval,
        peers,
        secret,
        ..
    } = &contact.item;
    match secret {
        Some(_) if peers.is_empty() => {
            let message = "there is nobody to keep a session with: `secret` says nothing by itself";
            d.warning(contact.places.secret, "no-peers", message)
                .help("name the other switches: peers = [\"10.0.0.11\", \"10.0.0.12\"]");
        }
        None if *announce == Announce::Vrrp && !peers.iter().all(IpAddr::is_loopback) => {
            let message = format!(
                "without `secret` takeovers take as long as VRRP needs: about 3 intervals, {} ms",
                3 * interval.as_millis()
            );
            d.warning(contact.places.peers_key, "slow-takeover", message)
                .help(
                    "give all switches the same one, and they keep sessions and take over within \
                     milliseconds: secret = \"${file:/etc/pointsman/contact.secret}\"",
                );
        }
        _ => {}
    }
}

fn check_owner(contact: &PlacedContact, d: &mut Diagnostics) {
    let Contact {
        priority, preempt, ..
    } = contact.item;
    if priority == OWNER && !preempt {
        let message = "with a priority of 255 a switch always takes over, whatever `preempt` says";
        d.warning(contact.places.preempt, "owner-preempts", message)
            .help("write a priority of 254 at most, or leave `preempt` out");
    }
}
