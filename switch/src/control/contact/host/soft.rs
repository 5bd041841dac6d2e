//! What a soft release does to this host.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::netlink::{Host, Scope};
use super::sysctl;
use crate::control::contact::relay::soft::{LOOPBACK, STAND_IN_METRIC, SoftHost};

impl SoftHost for Host {
    fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let scope = match index {
            LOOPBACK => Scope::Host,
            _ => Scope::Universe,
        };
        Host::add_address(self, index, address, scope)
    }

    fn remove_address(&mut self, index: u32, address: IpNet) -> io::Result<bool> {
        Host::remove_address(self, index, address)
    }

    fn is_local(&mut self, index: u32, address: IpAddr) -> io::Result<bool> {
        match address {
            // Of IPv4, the route comes with the address.
            IpAddr::V4(_) => Ok(true),
            IpAddr::V6(ip) => Host::has_local_route(self, index, ip),
        }
    }

    fn add_route(&mut self, index: u32, network: IpNet) -> io::Result<()> {
        Host::add_route(self, index, network, STAND_IN_METRIC)
    }

    fn remove_route(&mut self, index: u32, network: IpNet) -> io::Result<()> {
        Host::remove_route(self, index, network, STAND_IN_METRIC)
    }

    fn sysctl(&mut self, path: &str) -> io::Result<String> {
        sysctl::read(&Path::new("/proc/sys").join(path))
    }

    fn set_sysctl(&mut self, path: &str, value: &str) -> io::Result<()> {
        sysctl::replace(&Path::new("/proc/sys").join(path), value).map(|_| ())
    }
}
