//! What the kernel is to do: services and their backends, from a policy and the members of its pools.
//! Pure; the same policy and members make the same plan on every switch.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};

use pointsman_config::policy::{Announce, Contact, Datapath, Policy, Transport};
use siphasher::sip::SipHasher13;

use super::face::{Key, Mode, Protocol, State};
use super::keeper::Wish;
use super::weights::{self, Part};
use crate::control::contact::group::{Family, GroupId};
use crate::control::contact::host::virtual_mac;
use crate::endpoint::{Address, Duty, Endpoint, Health, WHOLE};
use crate::pool::{Member, Pool};
use crate::snapshot::Snapshot;

/// What the kernel is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The services.
    pub services: BTreeMap<Key, Service>,
    /// Their backends.
    pub backends: BTreeMap<Identity, Backend>,
    /// Backends that cannot be served, and why not, in words for the operator.
    pub unfit: Vec<(Identity, String)>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The listener that it comes from.
    pub listener: String,
    /// Its pool.
    pub pool: String,
    /// Where packets are to be taken up.
    pub mode: Mode,
    /// The interface on which its address is held, where the policy says that.
    pub interface: Option<String>,
    /// The link-layer address that packets come to there, if that is the group's own.
    pub virtual_mac: Option<[u8; 6]>,
    /// Who takes new flows, and what part of them.
    pub members: Vec<(Identity, u32)>,
}

/// A backend: one address of one pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The pool.
    pub pool: String,
    /// The backend's own address.
    pub address: IpAddr,
}

impl Identity {
    /// Of an endpoint; `None`: it is no address.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        match endpoint.address {
            Address::Tcp(at) => Some(Self {
                pool: endpoint.pool.clone(),
                address: at.ip(),
            }),
            Address::Unix(_) => None,
        }
    }

    /// The same for the same backend, in every process and version.
    pub fn number(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write(self.pool.as_bytes());
        hasher.write_u8(0);
        hasher.write(self.address.to_string().as_bytes());
        hasher.finish()
    }
}

/// What is known of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name in the policy.
    pub name: String,
    /// What it gets.
    pub state: State,
    /// Where it is checked: a service of its family, if there is one.
    pub service: Option<SocketAddr>,
}

impl Plan {
    /// What a policy wants with its pools as they are.
    pub fn of(policy: &Policy, snapshot: &Snapshot) -> Self {
        let mut plan = Self::default();
        for service in policy.services() {
            let place = policy
                .pools
                .iter()
                .position(|pool| pool.name == service.pool);
            let Some(place) = place else { continue };
            let (spec, pool) = (&policy.pools[place], snapshot.pools.get(place));
            let (Some(pool), Some(direct)) = (pool, spec.forward.direct()) else {
                continue;
            };
            let members = plan.add_backends(pool, service.address, service.transport);
            let wanted = Service {
                listener: service.listener,
                pool: service.pool,
                mode: mode(direct.datapath),
                interface: held_on(policy, service.address.ip()),
                virtual_mac: virtual_mac(policy, service.address.ip()),
                members,
            };
            plan.services
                .insert(key(service.address, service.transport), wanted);
        }
        plan
    }

    /// The members of a service's ring.
    fn add_backends(
        &mut self,
        pool: &Pool,
        service: SocketAddr,
        transport: Transport,
    ) -> Vec<(Identity, u32)> {
        let mut taking: BTreeMap<Identity, Part> = BTreeMap::new();
        for member in &pool.members {
            let Address::Tcp(at) = member.endpoint.address else {
                continue;
            };
            if member.health == Health::Unresolved {
                continue;
            }
            let identity = Identity {
                pool: pool.name.clone(),
                address: at.ip(),
            };
            if let Some(why) = unfit(at, service) {
                self.unfit.push((identity, why));
                continue;
            }
            let mut candidates = pool.candidates.iter();
            let candidate = candidates.find(|one| one.endpoint.id == member.endpoint.id);
            if let Some(candidate) = candidate {
                let part = Part {
                    weight: candidate.weight.max(1),
                    grows: member.share < WHOLE,
                };
                taking.entry(identity.clone()).or_insert(part);
            }
            let backend = self.backends.entry(identity).or_insert(Backend {
                name: member.endpoint.name.clone(),
                state: state(member, candidate.is_some()),
                service: None,
            });
            if transport == Transport::Tcp && at.is_ipv4() == service.is_ipv4() {
                backend.service.get_or_insert(service);
            }
        }
        let parts: Vec<Part> = taking.values().copied().collect();
        taking.into_keys().zip(weights::of(&parts)).collect()
    }
}

/// The kernel's word for a service.
pub fn key(address: SocketAddr, transport: Transport) -> Key {
    Key {
        address: address.ip(),
        port: address.port(),
        protocol: match transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        },
    }
}

/// The kernel's word for a datapath.
pub fn mode(datapath: Datapath) -> Mode {
    match datapath {
        Datapath::Auto => Mode::Auto,
        Datapath::Tc => Mode::Tc,
        Datapath::Xdp => Mode::Xdp,
        Datapath::XdpGeneric => Mode::XdpGeneric,
    }
}

/// What a member gets. Whoever is chosen gets its share though it may be ill: the pool is in panic.
fn state(member: &Member, chosen: bool) -> State {
    match (chosen, member.health, member.duty) {
        (true, _, _) => State::Active,
        (false, Health::Down, _) | (false, _, Duty::Disabled) => State::Dead,
        (false, _, _) => State::Draining,
    }
}

/// Why a backend cannot serve what a service gets. A policy is checked for that; what is found
/// elsewhere is not.
fn unfit(at: SocketAddr, service: SocketAddr) -> Option<String> {
    if at.port() != service.port() {
        return Some(format!(
            "its port is {}, and packets to {service} arrive as they are: let it listen on {}",
            at.port(),
            service.port()
        ));
    }
    if at.ip() == service.ip() || at.ip().is_loopback() || at.ip().is_unspecified() {
        return Some("it has no address of its own that packets could be passed on to".to_owned());
    }
    None
}

/// The interface that holds a contact address.
fn held_on(policy: &Policy, address: IpAddr) -> Option<String> {
    Some(contact_of(policy, address)?.interface.clone())
}

/// The link-layer address of a contact address, where it has one of its own.
fn virtual_mac(policy: &Policy, address: IpAddr) -> Option<[u8; 6]> {
    let contact = contact_of(policy, address).filter(|contact| contact.virtual_mac)?;
    let family = match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    };
    Some(virtual_mac::mac(GroupId {
        number: contact.group,
        family,
    }))
}

fn contact_of(policy: &Policy, address: IpAddr) -> Option<&Contact> {
    let mut contacts = policy.contacts.iter();
    contacts.find(|contact| {
        contact.announce == Announce::Vrrp
            && contact.addresses.iter().any(|net| net.addr() == address)
    })
}

impl Plan {
    /// What the services need of interfaces.
    pub fn wishes(&self) -> Vec<Wish> {
        let wish = |(key, service): (&Key, &Service)| Wish {
            address: key.address,
            mode: service.mode,
            interface: service.interface.clone(),
            virtual_mac: service.virtual_mac,
        };
        self.services.iter().map(wish).collect()
    }
}

/// What the services of a policy need of interfaces.
pub fn wishes(policy: &Policy) -> Vec<Wish> {
    let services = policy.services().into_iter();
    let wish = |service: pointsman_config::policy::Service| {
        let mut pools = policy.pools.iter();
        let pool = pools.find(|pool| pool.name == service.pool)?;
        Some(Wish {
            address: service.address.ip(),
            mode: mode(pool.forward.direct()?.datapath),
            interface: held_on(policy, service.address.ip()),
            virtual_mac: virtual_mac(policy, service.address.ip()),
        })
    };
    services.filter_map(wish).collect()
}
