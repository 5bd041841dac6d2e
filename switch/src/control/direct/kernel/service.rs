//! Services and their members.

use std::io;

use super::layout::{Index, Service, encode_key};
use super::ring::{self, Ring};
use super::{Datapath, Key, Member, flows};
use crate::balance::hash_bytes;

impl Datapath {
    /// Has these members share what comes to a service. Flows that the table knows stay where they
    /// are; a change moves few others. With equal members nothing is written.
    ///
    /// # Errors
    /// `InvalidInput`: a member's number is none of [`set_backend`](Self::set_backend).
    /// `StorageFull`: there are as many services or different lists of members as
    /// [`Capacity`](super::Capacity) says. Otherwise those of the kernel.
    pub fn set_service(&mut self, key: Key, members: &[Member]) -> io::Result<()> {
        for member in members {
            self.check_id(member.id)?;
        }
        let (old, digest) = (self.services.get(&key).copied(), ring::digest(members));
        let ring = self.rings.of(digest);
        if old.is_some_and(|old| Some(old.ring) == ring) {
            return Ok(());
        }
        let mut service = match old {
            Some(old) => old,
            None => self.new_service(key)?,
        };
        service.ring = match ring {
            Some(ring) => ring,
            None => self.write_ring(members, digest)?,
        };
        service.previous = old.map_or(service.ring, |old| old.ring);
        service.changed = flows::now();
        service.generation = service.generation.wrapping_add(1);
        if let Err(error) = self.maps.set_service(key, service) {
            self.release(service.ring);
            return Err(error);
        }
        self.services.insert(key, service);
        if let Some(old) = old {
            self.release(old.ring);
        }
        Ok(())
    }

    /// From now on packets to it are this host's own. Nothing happens if it is not there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn remove_service(&mut self, key: Key) -> io::Result<()> {
        self.maps.remove_service(key)?;
        if let Some(service) = self.services.remove(&key) {
            self.release(service.ring);
        }
        Ok(())
    }

    /// All services, of a former process, too.
    pub fn services(&self) -> Vec<Key> {
        self.services.keys().copied().collect()
    }

    fn new_service(&mut self, key: Key) -> io::Result<Service> {
        let taken = |index: &Index| self.services.values().all(|one| one.index != *index);
        let Some(index) = (0..self.capacity.services).find(taken) else {
            return Err(full("services", self.capacity.services));
        };
        self.maps.reset_service_counters(index)?;
        Ok(Service {
            tag: self.tag(key),
            index,
            ring: 0,
            generation: 0,
            changed: 0,
            previous: 0,
        })
    }

    /// A service that goes and comes again has the same one, and knows its flows.
    fn tag(&self, key: Key) -> u32 {
        let mut tag = hash_bytes(&encode_key(key)) as u32;
        while self.services.values().any(|one| one.tag == tag) {
            tag = tag.wrapping_add(1);
        }
        tag
    }

    fn write_ring(&mut self, members: &[Member], digest: u64) -> io::Result<Index> {
        let Some(number) = self.rings.borrow() else {
            return Err(full("lists of members", self.capacity.rings));
        };
        if let Err(error) = self.maps.set_ring(number, &Ring::new(members)) {
            self.rings.release(number);
            return Err(error);
        }
        self.rings.keep(number, digest);
        Ok(number)
    }

    fn release(&mut self, ring: Index) {
        if self.services.values().all(|one| one.ring != ring) {
            self.rings.release(ring);
        }
    }
}

fn full(what: &str, limit: u32) -> io::Error {
    let text = format!("direct return has room for {limit} {what}");
    io::Error::new(io::ErrorKind::StorageFull, text)
}
