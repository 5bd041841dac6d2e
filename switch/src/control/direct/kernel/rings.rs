//! Which ring is whose: services with equal members share one, and a ring in use is never written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use super::layout::{Index, Service};
use super::load::Maps;

/// The numbers of rings.
#[derive(Debug, PartialEq, Eq)]
pub struct Rings {
    /// Of the members whose ring it is.
    used: BTreeMap<Index, u64>,
    /// The one that was given back last comes last: for some seconds, packets of connections that have
    /// begun before still look at it.
    free: VecDeque<Index>,
}

impl Rings {
    /// With those that these services use.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn read<'a>(
        maps: &Maps,
        count: u32,
        services: impl Iterator<Item = &'a Service>,
    ) -> io::Result<Self> {
        let numbers: BTreeSet<Index> = services.map(|service| service.ring).collect();
        let mut used = BTreeMap::new();
        for number in numbers {
            used.insert(number, maps.ring_digest(number)?);
        }
        Ok(Self::new(count, used))
    }

    fn new(count: u32, used: BTreeMap<Index, u64>) -> Self {
        let free = (0..count).filter(|number| !used.contains_key(number));
        Self {
            free: free.collect(),
            used,
        }
    }

    /// The ring of members with this digest.
    pub fn of(&self, digest: u64) -> Option<Index> {
        let mut used = self.used.iter();
        used.find(|(_, of)| **of == digest)
            .map(|(number, _)| *number)
    }

    /// One to be written, which is to be given to [`keep`](Self::keep) or [`release`](Self::release)
    /// afterwards.
    pub fn borrow(&mut self) -> Option<Index> {
        self.free.pop_front()
    }

    /// It is of members with this digest.
    pub fn keep(&mut self, number: Index, digest: u64) {
        self.used.insert(number, digest);
    }

    /// No service uses it any more.
    pub fn release(&mut self, number: Index) {
        self.used.remove(&number);
        if !self.free.contains(&number) {
            self.free.push_back(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_is_given_back_is_taken_last() {
        let mut rings = Rings::new(3, BTreeMap::from([(1, 77)]));
        assert_eq!(rings.of(77), Some(1));
        let first = rings.borrow();
        assert_eq!(first, Some(0));
        rings.release(1);
        assert_eq!(rings.of(77), None);
        rings.keep(0, 5);
        assert_eq!((rings.borrow(), rings.borrow()), (Some(2), Some(1)));
        assert_eq!(rings.borrow(), None);
        assert_eq!(rings.of(5), Some(0));
    }
}
