//! Which backend has which slot of a service's ring, and which slot a flow has: pure, and the same on
//! every switch, so that a standby needs no word about the flows that it takes over.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::layout::{RING, RING_SLOTS, RingBytes, SLOTS};
use super::{Key, Member};
use crate::balance::{hash_bytes, maglev_slots, mix};

/// How many slots are looked at for a backend that can take a flow, and how far they are apart: as
/// in `direct_pick.h`.
const TRIES: usize = 8;
const STRIDE: usize = 16_411;

/// A service's ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    digest: u64,
    /// Numbers of backends; 0 everywhere if there are none.
    slots: Box<[u16]>,
}

impl Ring {
    /// Of these members: their order does not matter, those of weight 0 have no slot.
    pub fn new(members: &[Member]) -> Self {
        let taking = || members.iter().filter(|member| member.weight > 0);
        let ids: Vec<u16> = taking().map(|member| member.id).collect();
        let places = maglev_slots(taking().map(|member| (seed(&member.name), member.weight)));
        let id = |place: &u32| ids.get(*place as usize).copied().unwrap_or(0);
        let mut slots: Vec<u16> = places.iter().map(id).collect();
        slots.resize(SLOTS, 0);
        Self {
            digest: digest(members),
            slots: slots.into_boxed_slice(),
        }
    }

    /// The backends that are looked at for a flow of this slot, one after the other.
    pub fn backends(&self, slot: usize) -> impl Iterator<Item = u16> {
        let slots = (0..TRIES).map(move |step| (slot + step * STRIDE) % SLOTS);
        slots.filter_map(|slot| self.slots.get(slot).copied())
    }

    /// As `struct ring`.
    pub fn encode(&self) -> Box<RingBytes> {
        let mut bytes = Vec::with_capacity(RING);
        bytes.extend(self.digest.to_ne_bytes());
        bytes.extend(self.slots.iter().flat_map(|id| id.to_ne_bytes()));
        bytes.resize(RING, 0);
        bytes
            .into_boxed_slice()
            .try_into()
            .unwrap_or_else(|_| unreachable!("it has been given the length"))
    }

    /// From `struct ring`.
    pub fn decode(bytes: &RingBytes) -> Self {
        let slots = bytes[RING_SLOTS..RING_SLOTS + 2 * SLOTS].chunks_exact(2);
        Self {
            digest: decode_digest(bytes),
            slots: slots.map(|id| u16::from_ne_bytes([id[0], id[1]])).collect(),
        }
    }
}

/// Of the members of the ring in these bytes.
pub fn decode_digest(bytes: &RingBytes) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|place| bytes[place]))
}

/// Tells lists of members apart: equal for the same numbers, names and weights, whatever the order.
pub fn digest(members: &[Member]) -> u64 {
    let one = |member: &Member| {
        let numbers = u64::from(member.id) << 32 | u64::from(member.weight);
        mix(seed(&member.name) ^ mix(numbers))
    };
    let taking = members.iter().filter(|member| member.weight > 0);
    taking.map(one).fold(1, u64::wrapping_add)
}

/// The flow's slot, as `slot_of` of `direct_pick.h`.
pub fn slot(client: SocketAddr, service: Key) -> usize {
    let address = match client.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let ports = u64::from(client.port()) << 16 | u64::from(service.port);
    let (upper, lower) = halves(address);
    let hash = mix(mix(upper ^ ports) ^ lower);
    ((hash >> 32) as usize * SLOTS) >> 32
}

fn halves(address: Ipv6Addr) -> (u64, u64) {
    let bits = u128::from(address);
    ((bits >> 64) as u64, bits as u64)
}

fn seed(name: &str) -> u64 {
    mix(hash_bytes(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(weights: &[u32]) -> Vec<Member> {
        let member = |(id, weight): (u16, &u32)| Member {
            id,
            name: format!("10.0.0.{id}"),
            weight: *weight,
        };
        (1..).zip(weights).map(member).collect()
    }

    fn count(ring: &Ring, id: u16) -> usize {
        ring.slots.iter().filter(|slot| **slot == id).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_order_of_the_members_does_not_matter(
            weights in proptest::collection::vec(0u32..=10, 2..12),
            by in 1usize..11,
        ) {
            let list = members(&weights);
            let mut turned = list.clone();
            turned.rotate_left(by % list.len());
            turned.swap(0, 1);
            prop_assert_eq!(Ring::new(&list), Ring::new(&turned));
        }

        #[test]
        fn a_switch_that_numbers_its_backends_otherwise_chooses_the_same(
            weights in proptest::collection::vec(1u32..=10, 2..12),
        ) {
            let here = members(&weights);
            let mut there = here.clone();
            there.iter_mut().for_each(|member| member.id += 100);
            let (here, there) = (Ring::new(&here), Ring::new(&there));
            let same = here.slots.iter().zip(&there.slots).all(|(one, other)| one + 100 == *other);
            prop_assert!(same);
        }

        #[test]
        fn a_member_that_goes_takes_few_other_slots_along(count in 3usize..20, gone in 0usize..20) {
            let all = members(&vec![1; count]);
            let mut rest = all.clone();
            let gone = rest.remove(gone % count).id;
            let (before, after) = (Ring::new(&all), Ring::new(&rest));
            let pairs = before.slots.iter().zip(&after.slots);
            let moved = pairs.filter(|(before, after)| before != after && **before != gone).count();
            prop_assert!(moved <= SLOTS / 100, "{moved} of {SLOTS} moved");
        }

        #[test]
        fn a_ring_is_read_back(weights in proptest::collection::vec(0u32..=10, 0..12)) {
            let ring = Ring::new(&members(&weights));
            prop_assert_eq!(Ring::decode(&ring.encode()), ring);
        }
    }

    #[test]
    fn a_member_of_no_weight_has_no_slot_and_one_of_twice_the_weight_twice_as_many() {
        let ring = Ring::new(&members(&[0, 1, 2]));
        assert_eq!(count(&ring, 1), 0);
        assert!(count(&ring, 3).abs_diff(2 * count(&ring, 2)) < 10);
        assert_eq!(count(&ring, 2) + count(&ring, 3), SLOTS);
    }

    #[test]
    fn a_ring_of_nobody_names_nobody() {
        for weights in [&[][..], &[0, 0]] {
            assert_eq!(count(&Ring::new(&members(weights)), 0), SLOTS);
        }
    }

    #[test]
    fn lists_differ_by_a_number_a_name_or_a_weight() {
        let list = members(&[1, 2]);
        let changed = |change: fn(&mut Member)| {
            let mut other = list.clone();
            change(&mut other[0]);
            digest(&other)
        };
        let digests = [
            digest(&list),
            digest(&list[..1]),
            changed(|member| member.id = 9),
            changed(|member| member.weight = 9),
            changed(|member| member.name.push('0')),
        ];
        let different: std::collections::BTreeSet<u64> = digests.into_iter().collect();
        assert_eq!(different.len(), digests.len());
    }

    #[test]
    fn flows_spread_over_all_slots() {
        let service = Key {
            address: "192.0.2.1".parse().expect("an address"),
            port: 80,
            protocol: super::super::Protocol::Tcp,
        };
        let slots = (0..60_000u16).map(|port| slot(([10, 0, 0, 1], port).into(), service));
        let mut tenths = [0; 10];
        slots.for_each(|slot| tenths[slot * 10 / SLOTS] += 1);
        assert!(tenths.iter().all(|tenth| (5_500..6_500).contains(tenth)));
    }

    #[test]
    fn the_slot_of_a_flow_never_changes() {
        let service = Key {
            address: "2001:db8::1".parse().expect("an address"),
            port: 443,
            protocol: super::super::Protocol::Tcp,
        };
        let client = "[2001:db8::2]:40000".parse().expect("an address");
        assert_eq!(slot(client, service), 42_732);
    }
}
