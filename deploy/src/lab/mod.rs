//! A network of namespaces on this machine, to see contact addresses change hands.
//!
//! A [`Lab`] is a bridge; each [`Host`] hangs on it with one interface, `e0`, in a namespace of its
//! own. In hosts run the real programs: [`Switch`], [`Server`], [`Keepalived`], [`Bird`]. Cables
//! are cut by [`Host::silent`], [`Host::carrier`] and [`Lab::partition`]. What clients notice is
//! told by [`Prober`] (new connections) and [`KeepAlive`] (old ones), what is on the wire by
//! [`Capture`]. [`RoutedLab`] is a whole one of switches, a router and BGP.
//!
//! It is for tests and measurements: what goes wrong in building a network is a panic with what
//! the program said. Only what cannot be had here at all is a [`Skip`].

mod answer;
mod bird;
mod capture;
mod cut;
mod daemon;
mod flood;
mod host;
mod keep_alive;
mod keepalived;
mod namespace;
mod nginx;
mod prober;
mod program;
mod record;
mod routed;
mod run;
mod server;
mod skip;
mod switch;

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

pub use bird::Bird;
pub use capture::Capture;
pub use daemon::Daemon;
pub use flood::{Forged, flood};
pub use host::{Host, INTERFACE};
pub use keep_alive::{KeepAlive, Kept};
pub use keepalived::{Config, Keepalived, State};
pub use nginx::Nginx;
pub use prober::{EVERY, LIMIT, Prober};
pub use program::program;
pub use record::{Attempt, Outcome, Record};
pub use routed::RoutedLab;
pub use run::{PATIENCE, wait_until};
pub use server::Server;
pub use skip::Skip;
pub use switch::Switch;

use cut::{FAR, NEAR};
use namespace::Namespace;
use run::ip;

/// A bridge to which hosts are connected. Everything is removed when lab and hosts are dropped.
#[derive(Debug)]
pub struct Lab {
    /// Holds both bridges and the hosts' ends of their cables.
    bridges: Namespace,
    id: String,
}

impl Lab {
    /// An empty network.
    ///
    /// # Errors
    ///
    /// With the reason why there can be none here.
    pub fn new() -> Result<Self, Skip> {
        Self::with(&[])
    }

    /// An empty network in which these programs are wanted, such as `keepalived`.
    ///
    /// # Errors
    ///
    /// With the reason why there can be none here, such as a program that is missing.
    pub fn with(programs: &[&str]) -> Result<Self, Skip> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        skip::check(programs)?;
        namespace::remove_leftovers();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{}-{count}", namespace::PREFIX, process::id());
        let bridges = Namespace::new(format!("{id}-bridges")).map_err(Skip::NoNamespaces)?;
        let lab = Self { bridges, id };
        lab.build_bridges();
        Ok(lab)
    }

    /// A host with these addresses in CIDR notation on its interface `e0`.
    ///
    /// `name` is unique within the lab and has 10 letters at most.
    pub fn host(&self, name: &str, ipv4: &str, ipv6: Option<&str>) -> Host {
        Host::new(&self.id, self.bridges.name(), name, ipv4, ipv6)
    }

    fn build_bridges(&self) {
        // The bridges themselves have nothing to say on the wire.
        self.bridges
            .sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        let name = self.bridges.name();
        ip(&format!("-n {name} link add j0 type veth peer name j1"));
        for (bridge, joint) in [(NEAR, "j0"), (FAR, "j1")] {
            // Snooping would hold back the groups of VRRP from ports that never reported.
            let kind = "type bridge mcast_snooping 0 stp_state 0";
            ip(&format!("-n {name} link add {bridge} {kind}"));
            ip(&format!("-n {name} link set {bridge} up"));
            ip(&format!("-n {name} link set {joint} master {bridge} up"));
        }
    }
}
