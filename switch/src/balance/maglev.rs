//! Maglev hashing (Eisenbud et al.: "Maglev: a fast and reliable software network load balancer",
//! NSDI 2016, section 3.4), with weights.

use super::hash::{hash_bytes, mix};
use super::{Balance, Candidate, Choice};
use crate::endpoint::Address;

/// Slots of a table, a prime. The same for every pool, because a table of another size sends nearly
/// every key elsewhere: were it chosen by the number of candidates, the loss of one of them could
/// move all keys.
const SLOTS: u64 = 65_537;

/// Other slots that are looked at when the key's own candidate was tried.
const REHASHES: u64 = 8;

/// Sends equal keys to the same candidate; when candidates come or go, few other keys move.
///
/// The table depends on nothing but the candidates' names, addresses and weights: not on their
/// order, the process or the machine.
#[derive(Debug)]
pub struct Maglev {
    /// The place of each slot's candidate.
    slots: Box<[u32]>,
    /// The place of each candidate behind a point that is its own, in the order of the points.
    ring: Box<[(u64, u32)]>,
}

impl Maglev {
    /// For this list of candidates.
    pub fn new(candidates: &[Candidate]) -> Self {
        let seed = |candidate: &Candidate| (seed(candidate), candidate.weight);
        let mut claims = claims(candidates.iter().map(seed));
        Self {
            ring: claims
                .iter()
                .map(|claim| (claim.seed, claim.place))
                .collect(),
            slots: fill(&mut claims),
        }
    }

    fn at(&self, hash: u64) -> usize {
        self.slots
            .get((hash % SLOTS) as usize)
            .map_or(0, |place| *place as usize)
    }

    /// Every candidate in the order in which they stand in for one another for this hash; some come
    /// more than once. First come those of other slots, by their weight, then all around a ring.
    pub(super) fn order(&self, hash: u64) -> impl Iterator<Item = usize> {
        let elsewhere = (0..=REHASHES).map(move |step| match step {
            0 => self.at(hash),
            _ => self.at(mix(hash.wrapping_add(step))),
        });
        let (before, behind) = self
            .ring
            .split_at(self.ring.partition_point(|(seed, _)| *seed < mix(!hash)));
        let onward = behind.iter().chain(before);
        elsewhere.chain(onward.map(|(_, place)| *place as usize))
    }
}

impl Balance for Maglev {
    fn pick(&self, candidates: &[Candidate], choice: &Choice<'_>) -> Option<usize> {
        let hash = choice.hash.unwrap_or(choice.entropy);
        let own = self.at(hash);
        if choice.is_open(candidates.get(own)?) {
            return Some(own);
        }
        self.order(hash)
            .find(|&place| candidates.get(place).is_some_and(|c| choice.is_open(c)))
    }
}

/// The table alone, of members that are told by seeds of their own and by weights of 1 and more: the
/// place of each slot's member. Empty if there are no members.
pub fn maglev_slots(members: impl IntoIterator<Item = (u64, u32)>) -> Box<[u32]> {
    fill(&mut claims(members))
}

fn claims(members: impl IntoIterator<Item = (u64, u32)>) -> Vec<Claim> {
    let mut claims: Vec<Claim> = (0..).zip(members).map(Claim::new).collect();
    // Turns are taken in this order, so it must not come from that of the list.
    claims.sort_unstable_by_key(|claim| (claim.seed, claim.weight));
    claims
}

/// A candidate's claim on the table: its permutation of the slots and how far it has come.
struct Claim {
    place: u32,
    seed: u64,
    weight: u64,
    next: u64,
    skip: u64,
    /// Times the heaviest weight: what it may have taken before it pauses.
    taken: u64,
}

impl Claim {
    fn new((place, (seed, weight)): (u32, (u64, u32))) -> Self {
        Self {
            place,
            seed,
            weight: u64::from(weight.max(1)),
            next: seed % SLOTS,
            skip: mix(seed) % (SLOTS - 1) + 1,
            taken: 0,
        }
    }

    /// The next slot of its permutation that nobody has.
    fn next_free(&mut self, slots: &[u32]) -> usize {
        loop {
            let slot = self.next as usize;
            self.next = (self.next + self.skip) % SLOTS;
            if slots[slot] == FREE {
                return slot;
            }
        }
    }
}

const FREE: u32 = u32::MAX;

fn fill(claims: &mut [Claim]) -> Box<[u32]> {
    let Some(heaviest) = claims.iter().map(|claim| claim.weight).max() else {
        return Box::default();
    };
    let mut slots = vec![FREE; SLOTS as usize].into_boxed_slice();
    let mut free = SLOTS;
    for round in 1.. {
        for claim in claims.iter_mut() {
            // The heaviest takes a slot each round, the others when their share has grown to one.
            if round * claim.weight < claim.taken + heaviest {
                continue;
            }
            let slot = claim.next_free(&slots);
            slots[slot] = claim.place;
            claim.taken += heaviest;
            free -= 1;
            if free == 0 {
                return slots;
            }
        }
    }
    slots
}

fn seed(candidate: &Candidate) -> u64 {
    let address = match &candidate.endpoint.address {
        Address::Tcp(address) => hash_bytes(address.to_string().as_bytes()),
        Address::Unix(path) => hash_bytes(path.as_os_str().as_encoded_bytes()),
    };
    mix(hash_bytes(candidate.endpoint.name.as_bytes()) ^ address.rotate_left(32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::Tried;
    use crate::balance::testing::{candidates, choice, keyed, tried};

    fn owners(candidates: &[Candidate]) -> Vec<&str> {
        let table = Maglev::new(candidates);
        table
            .slots
            .iter()
            .map(|place| &*candidates[*place as usize].endpoint.name)
            .collect()
    }

    fn share(table: &Maglev, place: usize) -> f64 {
        table
            .slots
            .iter()
            .filter(|owner| **owner as usize == place)
            .count() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_candidate_gets_slots_by_its_weight(
            weights in proptest::collection::vec(1u32..=100, 2..20),
        ) {
            let table = Maglev::new(&candidates(&weights));
            let sum: u32 = weights.iter().sum();
            for (place, weight) in weights.iter().enumerate() {
                let wanted = SLOTS as f64 * f64::from(*weight) / f64::from(sum);
                let share = share(&table, place);
                // The last round is not filled, and each pause may come a turn late.
                let most = 2.0 + wanted / SLOTS as f64 * weights.len() as f64;
                prop_assert!((share - wanted).abs() <= most, "{share} instead of {wanted}");
            }
        }

        #[test]
        fn the_order_of_the_candidates_does_not_matter(
            list in proptest::collection::vec(1u32..=10, 2..12)
                .prop_map(|weights| candidates(&weights)),
            by in 1usize..11,
        ) {
            let mut turned = list.clone();
            turned.rotate_left(by % list.len());
            turned.swap(0, 1);
            prop_assert_eq!(owners(&list), owners(&turned));
        }

        #[test]
        fn a_candidate_that_goes_takes_few_other_keys_along(
            count in 3usize..20,
            gone in 0usize..20,
        ) {
            let all = candidates(&vec![1; count]);
            let mut rest = all.clone();
            let gone = rest.remove(gone % count).endpoint.name.clone();
            let (before, after) = (owners(&all), owners(&rest));
            let moved =
                before.iter().zip(&after).filter(|(b, a)| b != a && **b != gone).count();
            prop_assert!(moved as u64 <= SLOTS / 100, "{moved} of {SLOTS} moved");
        }
    }

    #[test]
    fn the_table_is_the_same_in_every_process() {
        let table = Maglev::new(&candidates(&[1, 2, 3]));
        let bytes: Vec<u8> = table.slots.iter().map(|place| *place as u8).collect();
        assert_eq!(hash_bytes(&bytes), 3_283_676_690_105_653_223);
    }

    #[test]
    fn equal_keys_meet_the_same_candidate_whatever_the_entropy() {
        let candidates = candidates(&[1, 1, 1, 1]);
        let table = Maglev::new(&candidates);
        let none = Tried::default();
        for key in 0..50u64 {
            let key = mix(key);
            let pick = |entropy| table.pick(&candidates, &keyed(key, entropy, &none));
            assert_eq!(pick(1), pick(u64::MAX));
        }
    }

    #[test]
    fn after_a_try_the_keys_of_one_candidate_spread_over_the_others() {
        let candidates = candidates(&[1, 1, 1, 1]);
        let table = Maglev::new(&candidates);
        let tried = tried(&[0]);
        let mut counts = [0u32; 4];
        for key in 0..4000u64 {
            let pick = || {
                table
                    .pick(&candidates, &keyed(mix(key), 0, &tried))
                    .unwrap()
            };
            assert_eq!(pick(), pick());
            if table.at(mix(key)) == 0 {
                counts[pick()] += 1;
            }
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| *count > 200), "{counts:?}");
    }

    #[test]
    fn a_request_without_the_key_goes_anywhere() {
        let candidates = candidates(&[1, 1, 1]);
        let table = Maglev::new(&candidates);
        let none = Tried::default();
        let mut seen = [false; 3];
        for entropy in 0..100 {
            seen[table
                .pick(&candidates, &choice(mix(entropy), &none))
                .unwrap()] = true;
        }
        assert_eq!(seen, [true; 3]);
    }
}
