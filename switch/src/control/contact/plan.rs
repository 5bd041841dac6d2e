//! What a policy asks of the contact plane: its contacts, taken apart into groups of one family.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use pointsman_config::policy::{Announce, Checksum, Contact, Policy, Secret};

use super::election::Settings;
use super::group::{Family, GroupId};

/// Everything that the contact plane takes from a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Addresses that are elected by VRRP.
    pub groups: Vec<GroupPlan>,
    /// Addresses that a routing daemon announces.
    pub routed: Vec<RoutedPlan>,
    /// How the switches reach each other; `None`: there is nobody to be reached.
    pub mesh: Option<MeshPlan>,
    /// What the switches' policies must have in common.
    pub digest: String,
    /// How long connections may go on after their address has moved.
    pub drain: Duration,
    /// For so long a backend may look different from two switches that check it.
    pub doubt: Duration,
    /// Whether there are pools, without a backend of which clients are not served.
    pub has_pools: bool,
}

/// One group's addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// The group.
    pub id: GroupId,
    /// Its addresses with their prefixes, in the order of the adverts.
    pub addresses: Vec<IpNet>,
    /// The interface that they are put on.
    pub interface: String,
    /// From which this switch speaks; `None`: the interface's first address.
    pub source: Option<IpAddr>,
    /// To whom adverts go; empty: to all, by multicast.
    pub unicast: Vec<IpAddr>,
    /// 1 to 255.
    pub priority: u8,
    /// Between adverts.
    pub interval: Duration,
    /// Whether the addresses are taken back.
    pub preempt: bool,
    /// How long after the start.
    pub preempt_delay: Duration,
    /// How adverts are summed up.
    pub checksum: Checksum,
    /// Whether the addresses have a link-layer address of their own.
    pub virtual_mac: bool,
}

/// Addresses that stand on a device of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedPlan {
    /// The device's name.
    pub device: String,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
}

/// How the switches reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshPlan {
    /// The switches; this one may be among them.
    pub peers: Vec<IpAddr>,
    /// From which this switch speaks, where that is said.
    pub sources: Vec<IpAddr>,
    /// What they authenticate each other with.
    pub secret: Option<Secret>,
    /// For sessions (TCP) and heartbeats (UDP).
    pub port: u16,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// Heartbeats missed until a switch counts as dead.
    pub misses: u32,
}

impl Plan {
    /// Of this policy.
    pub fn of(policy: &Policy) -> Self {
        let (mut groups, mut routed) = (Vec::new(), Vec::new());
        for contact in &policy.contacts {
            match contact.announce {
                Announce::Vrrp => groups.extend(GroupPlan::of(contact)),
                Announce::Bgp => RoutedPlan::add(&mut routed, contact),
            }
        }
        Self {
            groups,
            routed,
            mesh: MeshPlan::of(&policy.contacts),
            digest: policy.shared_digest.clone(),
            drain: policy.process.drain,
            doubt: doubt(policy),
            has_pools: !policy.pools.is_empty(),
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.routed.is_empty()
    }

    /// All contact addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let elected = self.groups.iter().flat_map(|group| &group.addresses);
        let routed = self.routed.iter().flat_map(|routed| &routed.addresses);
        elected.map(IpNet::addr).chain(routed.copied())
    }
}

/// Checks of two switches are that far apart at most when both are right.
fn doubt(policy: &Policy) -> Duration {
    let checks = policy.pools.iter().filter_map(|pool| pool.health.as_ref());
    let slowest = checks.map(|health| {
        let rounds = health.fall.max(health.rise);
        (health.interval + health.timeout) * rounds
    });
    slowest.max().unwrap_or_default() + Duration::from_secs(1)
}

impl GroupPlan {
    fn of(contact: &Contact) -> Vec<Self> {
        let families = [Family::Ipv4, Family::Ipv6];
        let plans = families.into_iter().filter_map(|family| {
            let own = |ip: &IpAddr| Family::of(*ip) == family;
            let addresses: Vec<IpNet> = contact
                .addresses
                .iter()
                .filter(|net| own(&net.addr()))
                .copied()
                .collect();
            (!addresses.is_empty()).then(|| Self {
                id: GroupId {
                    number: contact.group,
                    family,
                },
                addresses,
                interface: contact.interface.clone(),
                source: contact.source.filter(own),
                unicast: contact.peers.iter().copied().filter(own).collect(),
                priority: contact.priority,
                interval: contact.interval,
                preempt: contact.preempt,
                preempt_delay: contact.preempt_delay,
                checksum: contact.checksum,
                virtual_mac: contact.virtual_mac,
            })
        });
        plans.collect()
    }

    /// What the election is told.
    pub fn settings(&self, own: IpAddr) -> Settings {
        Settings {
            group: self.id,
            own,
            priority: self.priority,
            interval: self.interval,
            preempt: self.preempt,
            preempt_delay: self.preempt_delay,
        }
    }

    /// Whether only what can be changed in passing is different.
    pub fn differs_little(&self, other: &Self) -> bool {
        let plain = Self {
            priority: self.priority,
            interval: self.interval,
            preempt: self.preempt,
            preempt_delay: self.preempt_delay,
            checksum: self.checksum,
            unicast: self.unicast.clone(),
            addresses: self.addresses.clone(),
            ..other.clone()
        };
        plain == *self && self.unicast.is_empty() == other.unicast.is_empty()
    }
}

impl RoutedPlan {
    /// Contacts may share a device.
    fn add(plans: &mut Vec<Self>, contact: &Contact) {
        let addresses = contact.addresses.iter().map(IpNet::addr);
        let known = plans
            .iter_mut()
            .find(|plan| plan.device == contact.interface);
        match known {
            Some(plan) => plan.addresses.extend(addresses),
            None => plans.push(Self {
                device: contact.interface.clone(),
                addresses: addresses.collect(),
            }),
        }
    }
}

impl MeshPlan {
    /// The first contact that has peers speaks for all: the policy is checked for that.
    fn of(contacts: &[Contact]) -> Option<Self> {
        let first = contacts.iter().find(|contact| !contact.peers.is_empty())?;
        let mut peers: Vec<IpAddr> = contacts.iter().flat_map(|c| c.peers.clone()).collect();
        peers.sort_unstable();
        peers.dedup();
        let is_local = peers.iter().all(IpAddr::is_loopback);
        if first.secret.is_none() && !is_local {
            return None;
        }
        Some(Self {
            peers,
            sources: contacts
                .iter()
                .filter_map(|contact| contact.source)
                .collect(),
            secret: first.secret.clone(),
            port: first.port,
            heartbeat: first.heartbeat,
            misses: first.misses,
        })
    }
}
