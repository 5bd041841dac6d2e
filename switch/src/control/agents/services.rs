//! What a pool serves by direct return, as agents are told.

use std::collections::BTreeSet;

use pointsman_backend::protocol::message::{Accepted, MAX_SERVICES, Service, Transport};
use pointsman_config::policy::{self, Policy, Pool};

/// What holds for every member of a pool that answers clients itself.
pub(super) fn of(policy: &Policy, pool: &Pool) -> Accepted {
    let all = policy.services().into_iter();
    let own = all.filter(|service| service.pool == pool.name);
    let services: BTreeSet<Service> = own.map(|service| told(&service)).collect();
    Accepted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: services.into_iter().take(MAX_SERVICES).collect(),
        mptcp: pool.forward.direct().is_some_and(|direct| direct.mptcp),
        tunnel: None,
    }
}

fn told(service: &policy::Service) -> Service {
    Service {
        address: service.address.ip().to_canonical(),
        port: service.address.port(),
        protocol: match service.transport {
            policy::Transport::Tcp => Transport::Tcp,
            policy::Transport::Udp => Transport::Udp,
        },
    }
}
