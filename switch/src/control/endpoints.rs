//! The table of endpoints: they are interned by pool, backend and address, so that a reload keeps
//! what is known of them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pointsman_config::policy::{Backend, BackendAddr, Policy};

use crate::control::discovery::Name;
use crate::control::upgrade::KnownName;
use crate::endpoint::{Address, Endpoint, EndpointId, Health};
use crate::pool::Member;

/// One endpoint and what the control plane knows of it.
#[derive(Debug)]
pub struct Entry {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// When its health last changed.
    pub since: SystemTime,
    /// Its last check.
    pub last: Option<LastCheck>,
    used: bool,
}

/// The last check of an endpoint.
#[derive(Debug, Clone)]
pub struct LastCheck {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took; `None` for a client's connection that failed.
    pub took: Option<Duration>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// A lookup that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub error: String,
}

/// Addresses of names, and the last problem with finding them.
#[derive(Debug, Default)]
pub struct Resolved {
    addresses: HashMap<Name, Vec<SocketAddr>>,
    errors: HashMap<Name, LookupError>,
}

impl Resolved {
    /// Takes the result of a lookup; whether the addresses changed.
    pub fn learn(&mut self, name: Name, found: Result<Vec<SocketAddr>, String>) -> bool {
        match found {
            Ok(addresses) => {
                self.errors.remove(&name);
                let before = self.addresses.insert(name, addresses.clone());
                before.is_none_or(|before| before != addresses)
            }
            Err(error) => {
                let at = SystemTime::now();
                self.errors.insert(name, LookupError { at, error });
                false
            }
        }
    }

    /// Forgets all names but these.
    pub fn retain(&mut self, keep: impl Fn(&Name) -> bool) {
        self.addresses.retain(|name, _| keep(name));
        self.errors.retain(|name, _| keep(name));
    }

    /// Every address that was found, for another process.
    pub fn known(&self) -> Vec<KnownName> {
        let names = self.addresses.iter();
        let known = names.map(|((host, port), addresses)| KnownName {
            host: host.clone(),
            port: *port,
            addresses: addresses.clone(),
        });
        known.collect()
    }

    /// Why the last lookup failed, if it did.
    pub fn error(&self, name: &Name) -> Option<&LookupError> {
        self.errors.get(name)
    }
}

/// Every endpoint in use.
#[derive(Debug, Default)]
pub struct EndpointTable {
    entries: HashMap<EndpointId, Entry>,
    ids: HashMap<(String, String, Address), EndpointId>,
    next: EndpointId,
}

impl EndpointTable {
    /// The members of every pool, in the order of the policy; endpoints that are new are made.
    ///
    /// A name with several addresses has one endpoint each, named `name (address)`. A name without
    /// one has an endpoint that is never chosen: it only shows that there is something to find.
    pub fn members(&mut self, policy: &Policy, resolved: &Resolved) -> Vec<Vec<Member>> {
        let pools = policy.pools.iter();
        pools
            .map(|pool| {
                let backends = pool.backends.iter();
                backends
                    .flat_map(|backend| self.intern(&pool.name, backend, resolved))
                    .collect()
            })
            .collect()
    }

    /// Forgets endpoints that are in none of these lists.
    pub fn retain(&mut self, members: &[Vec<Member>]) {
        for member in members.iter().flatten() {
            if let Some(entry) = self.entries.get_mut(&member.endpoint.id) {
                entry.used = true;
            }
        }
        self.entries
            .retain(|_, entry| std::mem::take(&mut entry.used));
        self.ids.retain(|_, id| self.entries.contains_key(id));
    }

    /// What is known of an endpoint.
    pub fn get(&self, id: EndpointId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// What is known of an endpoint.
    pub fn get_mut(&mut self, id: EndpointId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    fn intern(&mut self, pool: &str, backend: &Backend, resolved: &Resolved) -> Vec<Member> {
        let sockets = match &backend.addr {
            BackendAddr::Socket(socket) => vec![*socket],
            BackendAddr::Unix(path) => {
                return vec![self.member(pool, backend, None, Address::Unix(path.clone()))];
            }
            BackendAddr::Name(host, port) => match resolved.addresses.get(&(host.clone(), *port)) {
                Some(addresses) => addresses.clone(),
                None => return vec![self.unresolved(pool, backend, *port)],
            },
        };
        let several = sockets.len() > 1;
        let member = |socket: SocketAddr| {
            let suffix = several.then(|| socket.ip().to_string());
            self.member(pool, backend, suffix, Address::Tcp(socket))
        };
        sockets.into_iter().map(member).collect()
    }

    fn member(
        &mut self,
        pool: &str,
        backend: &Backend,
        suffix: Option<String>,
        address: Address,
    ) -> Member {
        let key = (pool.to_owned(), backend.name.clone(), address.clone());
        let id = *self.ids.entry(key).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let entry = self.entries.entry(id).or_insert_with(|| {
            let name = match suffix {
                Some(suffix) => format!("{} ({suffix})", backend.name),
                None => backend.name.clone(),
            };
            let endpoint = Arc::new(Endpoint::new(id, pool.to_owned(), name, address));
            Entry {
                endpoint,
                since: SystemTime::now(),
                last: None,
                used: false,
            }
        });
        let endpoint = entry.endpoint.clone();
        let health = endpoint.health();
        Member {
            endpoint,
            weight: backend.weight,
            health,
        }
    }

    fn unresolved(&mut self, pool: &str, backend: &Backend, port: u16) -> Member {
        let nowhere = Address::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        let member = self.member(pool, backend, None, nowhere);
        member.endpoint.set_health(Health::Unresolved);
        Member {
            health: Health::Unresolved,
            ..member
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::policy;

    fn names(members: &[Vec<Member>]) -> Vec<(String, Health)> {
        let all = members.iter().flatten();
        all.map(|member| (member.endpoint.name.clone(), member.health))
            .collect()
    }

    fn found(addresses: &[&str]) -> Result<Vec<SocketAddr>, String> {
        Ok(addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect())
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_identity_and_health() {
        let mut table = EndpointTable::default();
        let resolved = Resolved::default();
        let first = table.members(&policy(&["10.0.0.1:80", "10.0.0.2:80"]), &resolved);
        first[0][1].endpoint.set_health(Health::Down);
        let second = table.members(&policy(&["10.0.0.2:80", "10.0.0.3:80"]), &resolved);
        table.retain(&second);
        assert!(Arc::ptr_eq(&first[0][1].endpoint, &second[0][0].endpoint));
        assert_eq!(second[0][0].health, Health::Down);
        assert_eq!(second[0][1].health, Health::Starting);
        assert!(
            table.get(first[0][0].endpoint.id).is_none(),
            "the first one is forgotten"
        );
    }

    #[test]
    fn an_endpoint_that_comes_back_is_a_new_one() {
        let mut table = EndpointTable::default();
        let resolved = Resolved::default();
        let first = table.members(&policy(&["10.0.0.1:80"]), &resolved);
        let other = table.members(&policy(&["10.0.0.2:80"]), &resolved);
        table.retain(&other);
        let again = table.members(&policy(&["10.0.0.1:80"]), &resolved);
        assert_ne!(first[0][0].endpoint.id, again[0][0].endpoint.id);
    }

    #[test]
    fn a_name_is_unresolved_until_an_address_is_found() {
        let mut table = EndpointTable::default();
        let mut resolved = Resolved::default();
        let policy = policy(&["app.test:80"]);
        let name = ("app.test".to_owned(), 80);
        let members = table.members(&policy, &resolved);
        assert_eq!(
            names(&members),
            [("app.test:80".to_owned(), Health::Unresolved)]
        );
        assert!(resolved.learn(name.clone(), found(&["10.0.0.1:80"])));
        let members = table.members(&policy, &resolved);
        assert_eq!(
            names(&members),
            [("app.test:80".to_owned(), Health::Starting)]
        );
        assert!(!resolved.learn(name.clone(), Err("no answer".into())));
        assert_eq!(names(&table.members(&policy, &resolved)), names(&members));
        assert!(
            resolved
                .error(&name)
                .is_some_and(|last| last.error == "no answer")
        );
    }

    #[test]
    fn a_name_with_several_addresses_has_one_endpoint_each() {
        let mut table = EndpointTable::default();
        let mut resolved = Resolved::default();
        let policy = policy(&["app.test:80"]);
        resolved.learn(("app.test".into(), 80), found(&["10.0.0.1:80", "[::1]:80"]));
        let got = names(&table.members(&policy, &resolved));
        let got: Vec<&str> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(got, ["app.test:80 (10.0.0.1)", "app.test:80 (::1)"]);
    }
}
