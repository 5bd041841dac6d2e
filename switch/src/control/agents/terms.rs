//! What the policy says of agents.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use pointsman_backend::protocol::channel::Key;
use pointsman_backend::protocol::message::{Accepted, Mode, Register};
use pointsman_backend::protocol::talk;
use pointsman_config::policy::{self, BindAddr, Discover, Policy};

use super::refusal::Refusal;
use super::services;
use crate::control::direct::source;

/// Who may register what.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    agents: policy::Agents,
    key: Key,
    /// All pools of the policy; `None` for one that takes no servers from agents.
    pools: HashMap<String, Option<Accepted>>,
    /// Every address that is served by direct return.
    served: BTreeSet<IpAddr>,
}

impl Terms {
    /// `None`: nobody may.
    pub(super) fn of(policy: &Policy) -> Option<Self> {
        let agents = policy.agents.clone()?;
        let pools = policy.pools.iter().map(|pool| {
            let own = Discover::Agents {
                pool: pool.name.clone(),
            };
            let takes = pool.discover.contains(&own);
            let accepted = takes.then(|| services::of(policy, pool));
            (pool.name.clone(), accepted)
        });
        let served = policy.services().into_iter();
        Some(Self {
            key: talk::key(agents.secret.expose()),
            pools: pools.collect(),
            served: served.map(|service| service.address.ip()).collect(),
            agents,
        })
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn listen(&self) -> &[BindAddr] {
        &self.agents.listen
    }

    pub(super) fn grace(&self) -> Duration {
        self.agents.grace
    }

    /// Whether agents may connect from there.
    pub(super) fn lets_in(&self, from: IpAddr) -> bool {
        self.agents.from.is_empty() || contain(&self.agents.from, from)
    }

    /// Whether agents register servers for this pool.
    pub(super) fn takes(&self, pool: &str) -> bool {
        matches!(self.pools.get(pool), Some(Some(_)))
    }

    /// Where packets to this server come from in a tunnel, if they do.
    pub(super) fn tunnel(&self, register: &Register) -> io::Result<Option<IpAddr>> {
        let serves = |ip| self.served.contains(&ip);
        source::tunnel_to(register.address.to_canonical(), serves)
    }

    /// What holds for this server, if it may be a member.
    pub(super) fn judge(&self, register: &Register, from: IpAddr) -> Result<Accepted, Refusal> {
        let pool = &register.pool;
        let accepted = match self.pools.get(pool) {
            None => return Err(Refusal::UnknownPool(pool.clone())),
            Some(None) => return Err(Refusal::NotByAgents(pool.clone())),
            Some(Some(accepted)) => accepted,
        };
        let (address, from) = (register.address.to_canonical(), from.to_canonical());
        if address != from && !contain(&self.agents.addresses, address) {
            return Err(Refusal::ForeignAddress { address, from });
        }
        let mut services = accepted.services.iter();
        let port = register.port;
        if !accepted.services.is_empty() && services.all(|service| service.port != port) {
            return Err(Refusal::WrongPort(port, accepted.services[0].port));
        }
        Ok(match register.mode {
            Mode::Direct => accepted.clone(),
            Mode::Proxy | Mode::Unknown => Accepted {
                version: accepted.version.clone(),
                ..Accepted::default()
            },
        })
    }
}

fn contain(networks: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}
