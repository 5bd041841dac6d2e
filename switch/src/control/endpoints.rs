//! The table of endpoints: they are interned by pool, backend and address, so that a reload keeps
//! what is known of them.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pointsman_config::policy::{Backend, BackendAddr, Discover, Policy, Pool};

use crate::control::discovery::known::Resolved;
use crate::endpoint::{Address, Duty, Endpoint, EndpointId, Health, clock};
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
    /// As far as is known, it does not even take connections.
    pub refuses: bool,
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
                let mut members = match pool.discover.is_empty() {
                    true => self.listed(pool, resolved),
                    false => self.discovered(pool, resolved),
                };
                if pool.load_report {
                    members.iter_mut().for_each(hear_capacity);
                }
                members
            })
            .collect()
    }

    fn listed(&mut self, pool: &Pool, resolved: &Resolved) -> Vec<Member> {
        let backends = pool.backends.iter();
        let planned = backends.flat_map(|backend| planned(backend, resolved));
        let planned: Vec<_> = planned.collect();
        planned
            .into_iter()
            .map(|plan| self.member(&pool.name, plan, None))
            .collect()
    }

    /// Those that are listed and those that are found. Of two with one address the first counts, so
    /// that what the policy lists goes before; of two that would have one name, the newer one is
    /// called by its address, too.
    fn discovered(&mut self, pool: &Pool, resolved: &Resolved) -> Vec<Member> {
        let mut planned: Vec<_> = pool
            .backends
            .iter()
            .flat_map(|backend| planned(backend, resolved))
            .collect();
        for source in &pool.discover {
            match resolved.backends(source) {
                Some(found) => {
                    planned.extend(found.iter().flat_map(|one| self::planned(one, resolved)))
                }
                None => planned.push(Plan::unresolved(source.to_string(), 1, 0)),
            }
        }
        let mut seen = HashSet::new();
        planned.retain(|plan| !plan.resolved || seen.insert(plan.address.clone()));
        let known = planned
            .iter()
            .filter_map(|plan| self.known(&pool.name, plan));
        let mut names: HashSet<String> = known.map(|endpoint| endpoint.name.clone()).collect();
        let mut members = Vec::with_capacity(planned.len());
        for plan in planned {
            let name = match self.known(&pool.name, &plan) {
                Some(_) => None,
                None => Some(free_name(&plan, &mut names)),
            };
            members.push(self.member(&pool.name, plan, name));
        }
        members
    }

    fn known(&self, pool: &str, plan: &Plan) -> Option<&Arc<Endpoint>> {
        let key = (pool.to_owned(), plan.backend.clone(), plan.address.clone());
        let entry = self.entries.get(self.ids.get(&key)?)?;
        Some(&entry.endpoint)
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

    /// The member of this plan; an endpoint that is new is called `name`, or as planned.
    fn member(&mut self, pool: &str, plan: Plan, name: Option<String>) -> Member {
        let key = (pool.to_owned(), plan.backend, plan.address);
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => {
                self.next += 1;
                self.ids.insert(key.clone(), self.next);
                self.next
            }
        };
        let (pool, _, address) = key;
        let entry = self.entries.entry(id).or_insert_with(|| {
            let name = name.unwrap_or(plan.name);
            let endpoint = Arc::new(Endpoint::new(id, pool, name, address));
            Entry {
                endpoint,
                since: SystemTime::now(),
                last: None,
                refuses: false,
                used: false,
            }
        });
        if let Some(host) = plan.host {
            entry.endpoint.tls.set_host(host);
        }
        if !plan.resolved {
            entry.endpoint.set_health(Health::Unresolved);
        }
        let endpoint = entry.endpoint.clone();
        Member {
            weight: plan.weight,
            priority: plan.priority,
            capacity: None,
            health: endpoint.health(),
            ejected: endpoint.is_ejected(),
            refuses: entry.refuses,
            share: endpoint.share(),
            endpoint,
            // The operator's overlay goes over all members at once.
            duty: Duty::Active,
        }
    }
}

/// A member that is to be.
#[derive(Debug)]
struct Plan {
    /// What it is called in policy or list; with pool and address it tells the endpoint.
    backend: String,
    /// What a new endpoint is called.
    name: String,
    address: Address,
    weight: u32,
    priority: u8,
    /// Whether there is an address.
    resolved: bool,
    /// The host that it is written by, if it is a name.
    host: Option<String>,
}

impl Plan {
    fn of(backend: &Backend, address: Address) -> Self {
        Self {
            backend: backend.name.clone(),
            name: backend.name.clone(),
            address,
            weight: backend.weight,
            priority: backend.priority,
            resolved: true,
            host: None,
        }
    }

    fn unresolved(name: String, weight: u32, priority: u8) -> Self {
        Self {
            backend: name.clone(),
            name,
            address: Address::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            weight,
            priority,
            resolved: false,
            host: None,
        }
    }
}

fn planned(backend: &Backend, resolved: &Resolved) -> Vec<Plan> {
    let (host, port) = match &backend.addr {
        BackendAddr::Socket(socket) => return vec![Plan::of(backend, Address::Tcp(*socket))],
        BackendAddr::Unix(path) => return vec![Plan::of(backend, Address::Unix(path.clone()))],
        BackendAddr::Name(host, port) => (host, *port),
    };
    let Some(found) = resolved.backends(&Discover::name(host.as_str(), port)) else {
        return vec![Plan::unresolved(
            backend.name.clone(),
            backend.weight,
            backend.priority,
        )];
    };
    let sockets = found.iter().filter_map(|found| match found.addr {
        BackendAddr::Socket(socket) => Some(socket),
        _ => None,
    });
    let plan = |socket: SocketAddr| {
        let mut plan = Plan::of(backend, Address::Tcp(socket));
        plan.host = Some(host.clone());
        if found.len() > 1 {
            plan.name = format!("{} ({})", backend.name, socket.ip());
        }
        plan
    };
    sockets.map(plan).collect()
}

fn free_name(plan: &Plan, names: &mut HashSet<String>) -> String {
    if names.insert(plan.name.clone()) {
        return plan.name.clone();
    }
    let name = match &plan.address {
        Address::Tcp(socket) => format!("{} ({socket})", plan.name),
        Address::Unix(path) => format!("{} ({})", plan.name, path.display()),
    };
    names.insert(name.clone());
    name
}

fn hear_capacity(member: &mut Member) {
    member.capacity = member.endpoint.load.capacity(clock::now());
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

    fn found(addresses: &[&str]) -> Result<Vec<Backend>, String> {
        let backend = |address: &&str| Backend {
            name: (*address).to_owned(),
            addr: BackendAddr::Socket(address.parse().expect("an address")),
            weight: 1,
            priority: 0,
        };
        Ok(addresses.iter().map(backend).collect())
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
        let name = Discover::name("app.test", 80);
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
    }

    #[test]
    fn a_name_with_several_addresses_has_one_endpoint_each() {
        let mut table = EndpointTable::default();
        let mut resolved = Resolved::default();
        let policy = policy(&["app.test:80"]);
        let name = Discover::name("app.test", 80);
        resolved.learn(name, found(&["10.0.0.1:80", "[::1]:80"]));
        let got = names(&table.members(&policy, &resolved));
        let got: Vec<&str> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(got, ["app.test:80 (10.0.0.1)", "app.test:80 (::1)"]);
    }

    fn discovering(keys: &str) -> Policy {
        let text = format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n[pool.app]\n{keys}\n"
        );
        Policy::from_toml(&text, std::path::Path::new("test.toml")).expect("the policy is right")
    }

    #[test]
    fn backends_that_are_found_join_those_that_are_listed() {
        let (mut table, mut resolved) = (EndpointTable::default(), Resolved::default());
        let policy = discovering(
            "backends = [{ addr = \"10.0.0.1:80\", name = \"one\", weight = 5 }]\n\
             discover = { dns = \"app.test:80\" }",
        );
        let source = policy.pools[0].discover[0].clone();
        let got = names(&table.members(&policy, &resolved));
        assert_eq!(got[1], ("dns app.test:80".to_owned(), Health::Unresolved));
        resolved.learn(source.clone(), found(&["10.0.0.1:80", "10.0.0.2:80"]));
        let members = table.members(&policy, &resolved);
        table.retain(&members);
        let got: Vec<_> = names(&members).into_iter().map(|(name, _)| name).collect();
        assert_eq!(got, ["one", "10.0.0.2:80"], "an address counts once");
        members[0][1].endpoint.set_health(Health::Up);
        resolved.learn(source, found(&["10.0.0.2:80", "10.0.0.3:80"]));
        let after = table.members(&policy, &resolved);
        assert!(Arc::ptr_eq(&members[0][1].endpoint, &after[0][1].endpoint));
        let states: Vec<_> = after[0].iter().map(|member| member.health).collect();
        assert_eq!(states, [Health::Starting, Health::Up, Health::Starting]);
    }

    #[test]
    fn no_two_backends_of_a_pool_have_one_name() {
        let (mut table, mut resolved) = (EndpointTable::default(), Resolved::default());
        let policy = discovering("discover = { file = \"list\" }");
        let source = policy.pools[0].discover[0].clone();
        let list = |addresses: &[&str]| {
            let mut list = found(addresses).expect("a list");
            list.iter_mut()
                .for_each(|backend| backend.name = "a".into());
            Ok(list)
        };
        resolved.learn(source.clone(), list(&["10.0.0.2:80"]));
        let members = table.members(&policy, &resolved);
        table.retain(&members);
        resolved.learn(source, list(&["10.0.0.1:80", "10.0.0.2:80"]));
        let got = names(&table.members(&policy, &resolved));
        let got: Vec<_> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(got, ["a (10.0.0.1:80)", "a"]);
    }

    #[test]
    fn names_in_a_list_are_looked_up_as_those_of_a_policy() {
        let (mut table, mut resolved) = (EndpointTable::default(), Resolved::default());
        let policy = discovering("discover = { file = \"list\" }");
        let source = policy.pools[0].discover[0].clone();
        let mut list = found(&["10.0.0.1:80"]).expect("a list");
        list[0].addr = BackendAddr::Name("app.test".into(), 80);
        resolved.learn(source, Ok(list));
        let got = names(&table.members(&policy, &resolved));
        assert_eq!(got, [("10.0.0.1:80".to_owned(), Health::Unresolved)]);
        resolved.learn(Discover::name("app.test", 80), found(&["10.0.0.7:80"]));
        let members = table.members(&policy, &resolved);
        let address = Address::Tcp(([10, 0, 0, 7], 80).into());
        assert_eq!(members[0][0].endpoint.address, address);
    }
}
