//! The keeper over a kernel and a network that are plain data.

mod leaving;
mod mirror;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::*;
use crate::control::contact::host::{Device, Neighbour, Way};
use crate::control::direct::face::{
    Attached, Backend, Counters, Flow, Hook, Hop, Mode, Protocol, State,
};
use crate::control::direct::plan::{self, Service};
use crate::control::random::SplitMix;

/// What there is, over the death of keepers.
#[derive(Debug, Default)]
struct World {
    backends: BTreeMap<u16, Backend>,
    services: BTreeMap<Key, Vec<Member>>,
    attached: BTreeMap<String, Mode>,
    flows: BTreeMap<u16, Vec<Flow>>,
    /// Everything that was changed, in order.
    log: Vec<String>,
    /// What the kernel refuses.
    refuses: Option<&'static str>,
    macs: BTreeMap<IpAddr, Option<[u8; 6]>>,
    routers: BTreeMap<IpAddr, IpAddr>,
    solicited: Vec<IpAddr>,
    addresses: Vec<(u32, IpNet)>,
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test has panicked")
    }

    fn change(&self, what: &str) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        if world.refuses.is_some_and(|word| what.starts_with(word)) {
            return Err(io::Error::other("refused"));
        }
        world.log.push(what.to_owned());
        Ok(world)
    }
}

impl Path for Shared {
    fn attach(&mut self, interface: &str, mode: Mode) -> io::Result<Attached> {
        let mut world = self.change(&format!("attach {interface}"))?;
        let before = world.attached.insert(interface.to_owned(), mode);
        Ok(Attached {
            interface: interface.to_owned(),
            index: 2,
            hook: Hook::Tcx,
            replaced: before.is_some(),
            passed_over: Vec::new(),
        })
    }

    fn detach(&mut self, interface: &str) -> io::Result<()> {
        self.change(&format!("detach {interface}"))?
            .attached
            .remove(interface);
        Ok(())
    }

    fn lead_checks(&mut self, _: &BTreeSet<u32>) -> io::Result<()> {
        Ok(())
    }

    fn accept_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.change(&format!("accept {}", mac[5])).map(|_| ())
    }

    fn attached(&self) -> Vec<(u32, Hook)> {
        let world = self.world();
        world.attached.keys().map(|_| (2, Hook::Tcx)).collect()
    }

    fn set_backend(&mut self, id: u16, backend: &Backend) -> io::Result<()> {
        let mut world = self.change(&format!("backend {id}"))?;
        world.backends.insert(id, *backend);
        Ok(())
    }

    fn set_state(&mut self, id: u16, state: State) -> io::Result<()> {
        let mut world = self.change(&format!("state {id} {state:?}"))?;
        let backend = world.backends.get_mut(&id);
        backend
            .ok_or_else(|| io::Error::other("no such backend"))?
            .state = state;
        Ok(())
    }

    fn remove_backend(&mut self, id: u16) -> io::Result<()> {
        let mut world = self.change(&format!("remove backend {id}"))?;
        let named = |members: &Vec<Member>| members.iter().any(|member| member.id == id);
        assert!(!world.services.values().any(named), "a ring speaks of {id}");
        world.backends.remove(&id);
        Ok(())
    }

    fn backends(&self) -> io::Result<Vec<(u16, Backend)>> {
        let world = self.world();
        Ok(world.backends.iter().map(|(id, one)| (*id, *one)).collect())
    }

    fn set_service(&mut self, key: Key, members: &[Member]) -> io::Result<()> {
        let mut world = self.change(&format!("service {key}"))?;
        world.services.insert(key, members.to_vec());
        Ok(())
    }

    fn remove_service(&mut self, key: Key) -> io::Result<()> {
        let mut world = self.change(&format!("remove service {key}"))?;
        assert!(world.attached.is_empty() || world.services.len() > 1);
        world.services.remove(&key);
        Ok(())
    }

    fn services(&self) -> Vec<Key> {
        self.world().services.keys().copied().collect()
    }

    fn lookup(&self, key: Key, _: SocketAddr) -> io::Result<Option<(u16, Found)>> {
        let world = self.world();
        let member = world.services.get(&key).and_then(|members| members.first());
        Ok(member.map(|member| (member.id, Found::Ring)))
    }

    fn counters(&self) -> io::Result<Counters> {
        Ok(Counters::default())
    }

    fn flows(&self, id: u16, limit: usize) -> io::Result<Vec<Flow>> {
        let mut flows = self.world().flows.get(&id).cloned().unwrap_or_default();
        flows.truncate(limit);
        Ok(flows)
    }

    fn insert_flows(&mut self, flows: &[(Flow, u16)]) -> io::Result<usize> {
        let mut world = self.change("flows")?;
        for (flow, id) in flows {
            let known = world.flows.entry(*id).or_default();
            known.retain(|one| (one.client, one.service) != (flow.client, flow.service));
            known.push(*flow);
        }
        Ok(flows.len())
    }

    fn forget_flows(&mut self, id: u16, flows: &[Flow]) -> io::Result<usize> {
        let mut world = self.change("forget")?;
        let known = world.flows.entry(id).or_default();
        let before = known.len();
        let named = |one: &Flow| {
            let mut all = flows.iter();
            all.any(|flow| (one.client, one.service) == (flow.client, flow.service))
        };
        known.retain(|one| !named(one));
        Ok(before - known.len())
    }
}

impl Network for Shared {
    fn way(&mut self, to: IpAddr) -> io::Result<Option<Way>> {
        let gateway = self.world().routers.get(&to).copied();
        Ok(Some(Way {
            interface: 2,
            gateway,
            source: Some(ip(11)),
            mtu: None,
            local: to == ip(11),
        }))
    }

    fn devices(&mut self) -> io::Result<Vec<Device>> {
        let device = |index, name: &str, outward| Device {
            index,
            name: name.to_owned(),
            mac: [2, 0, 0, 0, 0, 11],
            mtu: 1500,
            up: true,
            outward,
        };
        Ok(vec![device(1, "lo", false), device(2, "eth0", true)])
    }

    fn addresses(&mut self) -> io::Result<Vec<(u32, IpNet)>> {
        Ok(self.world().addresses.clone())
    }

    fn neighbours(&mut self) -> io::Result<Vec<Neighbour>> {
        let world = self.world();
        Ok(world.macs.iter().map(|(ip, mac)| told(*ip, *mac)).collect())
    }

    fn solicit(&mut self, _: u32, address: IpAddr) -> io::Result<()> {
        self.world().solicited.push(address);
        Ok(())
    }
}

fn told(address: IpAddr, mac: Option<[u8; 6]>) -> Neighbour {
    Neighbour {
        interface: 2,
        address,
        mac,
        failed: mac.is_none(),
    }
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn mac(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

fn key() -> Key {
    Key {
        address: ip(10),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn identity(last: u8) -> Identity {
    Identity {
        pool: "web".to_owned(),
        address: ip(last),
    }
}

fn wanted(backends: &[(u8, State)]) -> Plan {
    let backend = |(last, state): &(u8, State)| {
        let backend = plan::Backend {
            name: format!("{}:80", ip(*last)),
            state: *state,
            service: None,
        };
        (identity(*last), backend)
    };
    let active = backends.iter().filter(|(_, state)| *state == State::Active);
    let service = Service {
        listener: "web".to_owned(),
        pool: "web".to_owned(),
        mode: Mode::Auto,
        interface: None,
        virtual_mac: None,
        members: active.map(|(last, _)| (identity(*last), 1)).collect(),
    };
    Plan {
        services: BTreeMap::from([(key(), service)]),
        backends: backends.iter().map(backend).collect(),
        unfit: Vec::new(),
    }
}

/// Three backends whose link-layer addresses are known.
fn world() -> Shared {
    let shared = Shared::default();
    {
        let mut world = shared.world();
        world.macs = (21..=23).map(|last| (ip(last), Some(mac(last)))).collect();
        let own: IpNet = "192.0.2.11/24".parse().expect("an address");
        world.addresses = vec![(2, own)];
    }
    shared
}

fn keeper(shared: &Shared, now: Instant) -> Keeper<Shared, Shared> {
    Keeper::new(shared.clone(), shared.clone(), 100, now).expect("the kernel tells")
}

use State::{Active, Dead, Draining};

/// State by the last part of the address, and whether it is in the ring.
fn shown(shared: &Shared) -> Vec<(u8, State, bool)> {
    let world = shared.world();
    let ring = world.services.get(&key()).cloned().unwrap_or_default();
    let mut shown: Vec<_> = world
        .backends
        .iter()
        .map(|(id, backend)| {
            let IpAddr::V4(v4) = backend.address else {
                panic!("all of them are IPv4");
            };
            let in_ring = ring.iter().any(|member| member.id == *id);
            (v4.octets()[3], backend.state, in_ring)
        })
        .collect();
    shown.sort_by_key(|one| one.0);
    shown
}

fn log(shared: &Shared) -> Vec<String> {
    std::mem::take(&mut shared.world().log)
}

#[test]
fn backends_come_first_then_services_then_interfaces() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Draining), (23, Dead)]), now);
    keeper.work(now);
    let expected = [
        "backend 1",
        "backend 2",
        "backend 3",
        "service tcp 192.0.2.10:80",
        "attach eth0",
    ];
    assert_eq!(log(&shared), expected);
    let expected = [(21, Active, true), (22, Draining, false), (23, Dead, false)];
    assert_eq!(shown(&shared), expected);
    keeper.work(now + ROUND);
    assert_eq!(log(&shared), Vec::<String>::new(), "nothing has changed");
}

#[test]
fn a_backend_that_does_not_answer_is_in_the_ring_and_gets_nothing_until_it_does() {
    let (shared, now) = (world(), Instant::now());
    shared.world().macs.remove(&ip(22));
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    assert_eq!(shown(&shared), [(21, Active, true)]);
    assert_eq!(
        shared.world().services[&key()].len(),
        2,
        "as on every switch"
    );
    assert!(shared.world().solicited.contains(&ip(22)));
    keeper.hear(News::Neighbour(told(ip(22), Some(mac(22)))), now);
    assert_eq!(keeper.deadline(), now);
    keeper.work(now);
    assert_eq!(shown(&shared), [(21, Active, true), (22, Active, true)]);
    assert_eq!(keeper.happenings().len(), 1, "the interface alone is news");
}

#[test]
fn a_neighbour_that_falls_silent_gets_nothing_and_is_told_of() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active), (22, Active)]), now);
    keeper.work(now);
    let _ = (log(&shared), keeper.happenings());
    keeper.hear(News::Neighbour(told(ip(21), None)), now);
    keeper.work(now);
    assert_eq!(log(&shared), ["state 1 Dead"]);
    let word = |keeper: &mut Keeper<Shared, Shared>| keeper.happenings().remove(0).event;
    assert_eq!(word(&mut keeper), "direct-neighbour-lost");
    keeper.hear(News::Neighbour(told(ip(21), Some(mac(21)))), now);
    keeper.work(now);
    assert_eq!(log(&shared), ["state 1 Active"]);
    assert_eq!(word(&mut keeper), "direct-neighbour-found");
    keeper.hear(News::Neighbour(told(ip(21), Some(mac(99)))), now);
    keeper.work(now);
    assert_eq!(log(&shared), ["backend 1"]);
    assert_eq!(word(&mut keeper), "direct-neighbour-moved");
    let hop = shared.world().backends[&1].hop;
    assert!(matches!(
        hop,
        Hop::Neighbour {
            mac: [2, 0, 0, 0, 0, 99],
            ..
        }
    ));
    // The kernel forgets a neighbour that nobody has asked about: what was known holds.
    let forgotten = Neighbour {
        failed: false,
        ..told(ip(21), None)
    };
    keeper.hear(News::Neighbour(forgotten), now);
    keeper.work(now + LONG);
    assert_eq!(log(&shared), Vec::<String>::new());
}

#[test]
fn a_backend_behind_a_router_gets_a_tunnel() {
    let (shared, now) = (world(), Instant::now());
    shared.world().routers.insert(ip(23), ip(21));
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(23, Active)]), now);
    keeper.work(now);
    let expected = Hop::Tunnel {
        interface: 2,
        source_mac: mac(11),
        mac: mac(21),
        source: ip(11),
        mtu: 1500,
    };
    assert_eq!(shared.world().backends[&1].hop, expected);
}

#[test]
fn the_next_process_goes_on_with_what_is_there() {
    let (shared, now) = (world(), Instant::now());
    let mut first = keeper(&shared, now);
    first.want(wanted(&[(23, Active), (22, Active)]), now);
    first.work(now);
    drop(first);
    let before = shown(&shared);
    let ids: Vec<u16> = shared.world().backends.keys().copied().collect();
    let _ = log(&shared);
    let mut second = keeper(&shared, now);
    second.work(now + ROUND);
    assert_eq!(
        log(&shared),
        Vec::<String>::new(),
        "nobody has said what is wanted"
    );
    second.want(wanted(&[(21, Active), (22, Active), (23, Active)]), now);
    second.work(now);
    assert_eq!(shown(&shared).len(), 3);
    assert_eq!(shown(&shared)[1..], before);
    assert!(
        shared
            .world()
            .backends
            .keys()
            .all(|id| ids.contains(id) || *id == 3)
    );
}

#[test]
fn a_policy_without_services_leaves_nothing() {
    let (shared, now) = (world(), Instant::now());
    let mut keeper = keeper(&shared, now);
    keeper.want(wanted(&[(21, Active)]), now);
    keeper.work(now);
    let _ = log(&shared);
    keeper.want(Plan::default(), now);
    keeper.work(now);
    let expected = [
        "detach eth0",
        "remove service tcp 192.0.2.10:80",
        "remove backend 1",
    ];
    assert_eq!(log(&shared), expected);
}

#[test]
fn what_the_kernel_refuses_is_told_and_tried_again() {
    let (shared, now) = (world(), Instant::now());
    shared.world().refuses = Some("attach");
    let mut keeper = keeper(&shared, now);
    let wish = Wish {
        address: ip(10),
        mode: Mode::Xdp,
        interface: None,
        virtual_mac: None,
    };
    assert_eq!(keeper.prepare(&[wish]), Err("eth0: refused".to_owned()));
    keeper.want(wanted(&[(21, Active)]), now);
    keeper.work(now);
    let board = Board::default();
    keeper.show(&board);
    assert_eq!(
        board.read().expect("a plan holds").troubles,
        ["eth0: refused"]
    );
    assert_eq!(keeper.deadline(), now + AGAIN);
    shared.world().refuses = None;
    keeper.work(now + AGAIN);
    keeper.show(&board);
    let status = board.read().expect("a plan holds");
    assert_eq!((status.troubles.len(), status.interfaces.len()), (0, 1));
}

#[test]
fn an_address_on_lo_is_served_wherever_packets_may_come_from() {
    let device = |index, name: &str, outward| Device {
        index,
        name: name.to_owned(),
        mac: mac(1),
        mtu: 1500,
        up: true,
        outward,
    };
    let devices = [
        device(1, "lo", false),
        device(2, "a", true),
        device(3, "b", true),
        device(4, "c", true),
    ];
    let net = |text: &str| text.parse().expect("an address");
    let mut addresses = vec![
        (1, net("192.0.2.10/32")),
        (2, net("10.0.0.1/24")),
        (3, net("10.0.1.1/24")),
        (4, net("fe80::1/64")),
    ];
    let wish = |interface: Option<&str>| Wish {
        address: ip(10),
        mode: Mode::Auto,
        interface: interface.map(str::to_owned),
        virtual_mac: None,
    };
    let names = |wish: Wish, addresses: &[(u32, IpNet)]| {
        let wanted = places::wanted(&[wish], &devices, addresses);
        wanted.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(wish(None), &addresses), ["a", "b"]);
    assert_eq!(
        names(wish(Some("b")), &addresses),
        ["b"],
        "a contact's interface, on standbys, too"
    );
    addresses[0].0 = 3;
    assert_eq!(names(wish(None), &addresses), ["b"]);
}

/// Whatever happens in which order: when nothing happens any more, the kernel has what the plan and
/// the network say.
#[test]
fn in_the_end_the_kernel_has_what_is_wanted() {
    for seed in 0..200 {
        let mut random = SplitMix::new(seed);
        let (shared, mut now) = (world(), Instant::now());
        let mut kept = keeper(&shared, now);
        let mut plan = Plan::default();
        for _ in 0..60 {
            now += Duration::from_millis(random.next_u64() % 2000);
            match random.next_u64() % 6 {
                0 | 1 => {
                    let mut backends = Vec::new();
                    for last in 21..=23 {
                        match random.next_u64() % 4 {
                            0 => {}
                            1 => backends.push((last, Draining)),
                            2 => backends.push((last, Dead)),
                            _ => backends.push((last, Active)),
                        }
                    }
                    plan = wanted(&backends);
                    kept.want(plan.clone(), now);
                }
                2 => {
                    let last = 21 + (random.next_u64() % 3) as u8;
                    let known = match random.next_u64() % 3 {
                        0 => None,
                        _ => Some(mac(random.next_u64() as u8 | 1)),
                    };
                    shared.world().macs.insert(ip(last), known);
                    kept.hear(News::Neighbour(told(ip(last), known)), now);
                }
                3 => kept.hear(News::Overflow, now),
                4 => {
                    kept = keeper(&shared, now);
                    kept.want(plan.clone(), now);
                }
                _ => kept.work(now),
            }
        }
        for _ in 0..10 {
            now += LONG;
            kept.work(now);
        }
        let world = shared.world();
        for (identity, backend) in &plan.backends {
            let mut all = world.backends.values();
            let found = all.find(|one| one.address == identity.address);
            let known = world.macs[&identity.address];
            let expected = if known.is_some() { backend.state } else { Dead };
            let state = found.map_or(Dead, |found| found.state);
            assert_eq!(state, expected, "seed {seed}: {identity:?}");
            if let (Some(known), Some(found)) = (known, found) {
                let reached = matches!(found.hop, Hop::Neighbour { mac, .. } if mac == known);
                assert!(reached, "seed {seed}: {identity:?} has moved");
            }
        }
        let count = plan.backends.len();
        assert!(world.backends.len() <= count, "seed {seed}: one is left");
        let ring = world.services.get(&key()).map_or(0, Vec::len);
        let active = plan.backends.values().filter(|one| one.state == Active);
        assert_eq!(ring, active.count(), "seed {seed}");
    }
}

/// Longer than all of the keeper's pauses.
const LONG: Duration = Duration::from_secs(4000);
