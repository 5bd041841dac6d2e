//! Cables that are cut, and mended.

use std::process::Command;

use super::run::{installed, ip, run};
use super::{Host, Lab};

/// The bridge to which hosts are connected.
pub(super) const NEAR: &str = "br0";
/// The bridge of those behind a partition; `j0` and `j1` are the cable between both.
pub(super) const FAR: &str = "br1";

impl Host {
    /// Cuts its cable so that nobody notices: the carrier stays, and nothing passes.
    pub fn silent(&self, cut: bool) {
        let (bridges, port) = self.port();
        pass(bridges, port, !cut);
    }

    /// Takes the carrier from its interface, or gives it back.
    pub fn carrier(&self, carrier: bool) {
        let (bridges, port) = self.port();
        let state = if carrier { "up" } else { "down" };
        ip(&format!("-n {bridges} link set {port} {state}"));
    }
}

impl Lab {
    /// Puts these hosts behind a cable of their own, which passes everything for now.
    ///
    /// Takes some milliseconds for each host, in which frames of it may be lost.
    pub fn set_apart(&self, hosts: &[&Host]) {
        for host in hosts {
            let (bridges, port) = host.port();
            ip(&format!("-n {bridges} link set {port} master {FAR}"));
        }
    }

    /// Cuts the network in two: these hosts and all others. Everybody's carrier stays.
    pub fn partition(&self, hosts: &[&Host]) {
        self.set_apart(hosts);
        pass(self.bridges.name(), "j0", false);
    }

    /// Ends the partition.
    pub fn heal(&self) {
        pass(self.bridges.name(), "j0", true);
    }
}

/// Lets frames pass a port of a bridge, or none: states of the spanning tree protocol.
fn pass(bridges: &str, port: &str, all: bool) {
    let state = if all { "3" } else { "0" };
    let mut command = Command::new(installed("bridge"));
    run(command.args(["-n", bridges, "link", "set", "dev", port, "state", state]));
}
