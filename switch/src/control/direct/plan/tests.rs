use std::path::Path;

use super::*;
use crate::control::direct::face::State::{Active, Dead, Draining};
use crate::control::discovery::known::Resolved;
use crate::control::endpoints::EndpointTable;
use crate::metrics::Hub;
use crate::snapshot::Frame;

const POLICY: &str = "[contact]\naddress = [\"192.0.2.10/24\", \"2001:db8::10/64\"]\n\
    interface = \"eth0\"\ngroup = 51\n\
    [listener.web]\nbind = \":80\"\nprotocol = \"tcp\"\npool = \"web\"\n\
    [listener.quic]\nbind = \"198.51.100.1:80\"\nprotocol = \"udp\"\npool = \"web\"\n\
    [pool.web]\nforward = \"direct\"\ndatapath = \"tc\"\n\
    backends = [\"192.0.2.21:80\", { addr = \"192.0.2.22:80\", weight = 2 }, \"192.0.2.23:80\", \
    { addr = \"192.0.2.24:80\", weight = 0 }]\n";

/// The plan of a policy whose pool's members are changed by this.
fn plan(text: &str, change: impl Fn(&mut Vec<Member>)) -> Plan {
    let policy = Policy::from_toml(text, Path::new("test.toml")).expect("the policy is right");
    let policy = std::sync::Arc::new(policy);
    let mut table = EndpointTable::default();
    let mut members = table.members(&policy, &Resolved::default());
    for member in members.iter_mut().flatten() {
        member.health = Health::Up;
    }
    members.iter_mut().for_each(change);
    let frame = Frame::new(policy.clone(), &Default::default(), &*Hub::new(10), None);
    Plan::of(&policy, &frame.snapshot(1, members, None))
}

/// State and weight in the ring, by the last part of the address.
fn shown(plan: &Plan) -> Vec<(u8, State, Option<u32>)> {
    let (_, service) = plan.services.iter().next().expect("a service");
    let weight = |identity: &Identity| {
        let mut members = service.members.iter();
        members
            .find(|member| member.0 == *identity)
            .map(|one| one.1)
    };
    let backends = plan.backends.iter();
    let shown = backends.map(|(identity, backend)| {
        let IpAddr::V4(v4) = identity.address else {
            panic!("all of them are IPv4");
        };
        (v4.octets()[3], backend.state, weight(identity))
    });
    shown.collect()
}

#[test]
fn a_port_alone_is_a_service_at_every_contact_address() {
    let plan = plan(POLICY, |_| {});
    let services: Vec<_> = plan
        .services
        .iter()
        .map(|(key, service)| (key.to_string(), service.interface.as_deref()))
        .collect();
    assert_eq!(
        services,
        [
            ("tcp 192.0.2.10:80".to_owned(), Some("eth0")),
            ("udp 198.51.100.1:80".to_owned(), None),
            ("tcp [2001:db8::10]:80".to_owned(), Some("eth0")),
        ]
    );
    assert!(plan.services.values().all(|one| one.mode == Mode::Tc));
    let checked = plan.backends.values().map(|backend| backend.service);
    let service: SocketAddr = "192.0.2.10:80".parse().expect("an address");
    assert!(checked.into_iter().all(|at| at == Some(service)));
}

#[test]
fn what_a_backend_gets_follows_health_and_orders() {
    let all_up = plan(POLICY, |_| {});
    let expected = [
        (21, Active, Some(1)),
        (22, Active, Some(2)),
        (23, Active, Some(1)),
        (24, Draining, None),
    ];
    assert_eq!(shown(&all_up), expected);
    let some = plan(POLICY, |members| {
        members[0].health = Health::Down;
        members[2].duty = Duty::Draining;
        members[3].duty = Duty::Disabled;
    });
    let expected = [
        (21, Dead, None),
        (22, Active, Some(1)),
        (23, Draining, None),
        (24, Dead, None),
    ];
    assert_eq!(shown(&some), expected);
    let ejected = plan(POLICY, |members| members[1].ejected = true);
    assert_eq!(shown(&ejected)[1], (22, Draining, None));
}

#[test]
fn in_panic_all_get_their_share_but_those_that_refuse() {
    let panicking = plan(POLICY, |members| {
        members.iter_mut().for_each(|one| one.health = Health::Down);
        members[1].refuses = true;
    });
    let expected = [
        (21, Active, Some(1)),
        (22, Dead, None),
        (23, Active, Some(1)),
        (24, Dead, None),
    ];
    assert_eq!(shown(&panicking), expected);
}

#[test]
fn backends_that_were_found_with_another_port_are_told() {
    let plan = plan(POLICY, |members| {
        let endpoint = &members[0].endpoint;
        let address = Address::Tcp("192.0.2.21:8080".parse().expect("an address"));
        let (id, name) = (endpoint.id, endpoint.name.clone());
        let other = crate::endpoint::Endpoint::new(id, "web".to_owned(), name, address);
        members[0].endpoint = std::sync::Arc::new(other);
    });
    assert_eq!(plan.unfit.len(), 3, "of each service");
    assert!(plan.unfit[0].1.contains("let it listen on 80"));
    assert_eq!(shown(&plan)[0].0, 22);
}

#[test]
fn the_number_of_a_backend_is_the_same_everywhere() {
    let identity = Identity {
        pool: "web".to_owned(),
        address: "192.0.2.21".parse().expect("an address"),
    };
    assert_eq!(identity.number(), 12_622_837_123_525_421_982);
}
