use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{BindAddr, Contact, Listener, Policy, Pool, Protocol};

/// `pool.forward`: how packets reach the backends of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The switch ends the clients' connections and makes connections of its own.
    Proxy,
    /// The kernel passes the clients' packets on; backends answer the clients themselves.
    Direct(Direct),
}

impl Forward {
    /// The settings of direct return, if that is how.
    pub fn direct(&self) -> Option<&Direct> {
        match self {
            Self::Proxy => None,
            Self::Direct(direct) => Some(direct),
        }
    }
}

/// Direct return to the backends of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// Where in the kernel packets are taken up.
    pub datapath: Datapath,
    /// Whether the switch proxies where direct return is not possible.
    pub fallback: bool,
    /// Whether backends tell clients of MPTCP (RFC 8684) their own addresses.
    pub mptcp: bool,
}

/// `pool.datapath`: where in the kernel packets are taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datapath {
    /// What suits the interface.
    Auto,
    /// Traffic control's ingress.
    Tc,
    /// XDP in the driver.
    Xdp,
    /// XDP before traffic control, for drivers without it.
    XdpGeneric,
}

impl Datapath {
    /// The word of the policy.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
        }
    }
}

/// `[process]`, `direct`: what all direct pools have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectProcess {
    /// The folder of a BPF file system in which programs and tables outlive the process.
    pub pins: PathBuf,
    /// Connections that the kernel remembers the backends of; 1024 to 16,777,216.
    pub connections: u32,
}

/// What a service is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// In lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An address and port that a direct pool serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What clients connect to.
    pub address: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// The listener that it comes from.
    pub listener: String,
    /// Whose backends serve it.
    pub pool: String,
}

impl Policy {
    /// Every service of direct pools, in the order of listeners and addresses. An address that
    /// stands for all of the host's is every contact address of its family.
    pub fn services(&self) -> Vec<Service> {
        let mut services = Vec::new();
        for listener in &self.listeners {
            let Some((transport, pool)) = served(listener, &self.pools) else {
                continue;
            };
            let contacts = contact_addresses(&self.contacts);
            let addresses = listener
                .bind
                .iter()
                .flat_map(|bind| addresses(bind, &contacts));
            services.extend(addresses.map(|address| Service {
                address,
                transport,
                listener: listener.name.clone(),
                pool: pool.name.clone(),
            }));
        }
        services
    }
}

impl Policy {
    /// Whether a pool is a direct one.
    pub fn is_direct(&self) -> bool {
        let mut pools = self.pools.iter();
        pools.any(|pool| pool.used && pool.forward.direct().is_some())
    }

    /// The policy where direct return is not possible: the pools that may be proxied are, and are
    /// named.
    ///
    /// # Errors
    /// The names of the pools that may not.
    pub fn proxied(mut self) -> Result<(Self, Vec<String>), Vec<String>> {
        let (mut proxied, mut stuck) = (Vec::new(), Vec::new());
        for pool in &mut self.pools {
            let Forward::Direct(direct) = pool.forward else {
                continue;
            };
            match direct.fallback || !pool.used {
                true => {
                    pool.forward = Forward::Proxy;
                    proxied.push(pool.name.clone());
                }
                false => stuck.push(pool.name.clone()),
            }
        }
        match stuck.is_empty() {
            true => Ok((self, proxied)),
            false => Err(stuck),
        }
    }
}

/// The transport of a listener and its pool, if that is a direct one.
fn served<'a>(listener: &Listener, pools: &'a [Pool]) -> Option<(Transport, &'a Pool)> {
    let transport = match listener.protocol {
        Protocol::Http => return None,
        Protocol::Tcp { .. } => Transport::Tcp,
        Protocol::Udp { .. } => Transport::Udp,
    };
    let name = listener.protocol.pool()?;
    let pool = pools.iter().find(|pool| pool.name == name)?;
    pool.forward.direct().map(|_| (transport, pool))
}

/// The contact addresses that clients can be told: those that VRRP alone wants are link-local.
pub(crate) fn contact_addresses<'a>(
    contacts: impl IntoIterator<Item = &'a Contact>,
) -> Vec<IpAddr> {
    let all = contacts.into_iter().flat_map(|contact| &contact.addresses);
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    all.map(IpNet::addr).filter(|ip| !link_local(ip)).collect()
}

/// The addresses of services that one address to listen on stands for.
pub(crate) fn addresses(bind: &BindAddr, contacts: &[IpAddr]) -> Vec<SocketAddr> {
    let (port, fits): (u16, fn(&IpAddr) -> bool) = match bind {
        BindAddr::Unix(_) => return Vec::new(),
        BindAddr::Any(port) => (*port, |_| true),
        BindAddr::Socket(at) if !at.ip().is_unspecified() => return vec![*at],
        BindAddr::Socket(at) if at.is_ipv4() => (at.port(), IpAddr::is_ipv4),
        BindAddr::Socket(at) => (at.port(), IpAddr::is_ipv6),
    };
    let fitting = contacts.iter().filter(|ip| fits(ip));
    fitting.map(|ip| SocketAddr::new(*ip, port)).collect()
}
