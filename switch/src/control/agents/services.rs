//! What a pool serves by direct return, as agents are told.

use std::collections::BTreeSet;

use pointsman_backend::protocol::message::{Accepted, MAX_SERVICES, Service, Transport};
use pointsman_config::policy::{BindAddr, Policy, Protocol};

/// What holds for every member of a pool.
pub(super) fn of(policy: &Policy, pool: &str) -> Accepted {
    let listeners = policy.listeners.iter();
    let own = listeners.filter(|listener| match &listener.protocol {
        Protocol::Tcp { pool: own } => own == pool,
        Protocol::Http => false,
    });
    let binds = own.flat_map(|listener| &listener.bind);
    let services: BTreeSet<Service> = binds.flat_map(|bind| at(policy, bind)).collect();
    Accepted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: services.into_iter().take(MAX_SERVICES).collect(),
        ..Accepted::default()
    }
}

/// Contact addresses alone: any other address is this switch's own.
fn at(policy: &Policy, bind: &BindAddr) -> Vec<Service> {
    let contacts = policy.contacts.iter();
    let addresses = contacts.flat_map(|contact| &contact.addresses);
    let service = |address, port| Service {
        address,
        port,
        protocol: Transport::Tcp,
    };
    let addresses = addresses.map(|address| address.addr());
    match bind {
        BindAddr::Any(port) => addresses.map(|address| service(address, *port)).collect(),
        BindAddr::Socket(socket) => addresses
            .filter(|address| *address == socket.ip().to_canonical())
            .map(|address| service(address, socket.port()))
            .collect(),
        BindAddr::Unix(_) => vec![],
    }
}
