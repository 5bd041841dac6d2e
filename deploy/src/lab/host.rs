//! A host of the lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

use serde_json::Value;

use super::namespace::Namespace;
use super::run::{installed, ip, run};

/// The interface by which every host is connected.
pub const INTERFACE: &str = "e0";

/// Its rules for packets.
const TABLE: &str = "lab";

/// A host: a network namespace with an interface `e0` that hangs on the lab's bridge.
///
/// When it is dropped, everything that runs in it is killed.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: Namespace,
    /// The namespace of the bridges, and this host's port there.
    bridges: String,
    port: String,
    ipv4: Ipv4Addr,
    ipv6: Option<Ipv6Addr>,
}

impl Host {
    pub(super) fn new(id: &str, bridges: &str, name: &str, ipv4: &str, ipv6: Option<&str>) -> Self {
        assert!(name.len() <= 10, "the name {name} is too long");
        let namespace =
            Namespace::new(format!("{id}-{name}")).unwrap_or_else(|why| panic!("{why}"));
        let host = Self {
            name: name.to_owned(),
            namespace,
            bridges: bridges.to_owned(),
            port: format!("p-{name}"),
            ipv4: address(ipv4),
            ipv6: ipv6.map(address),
        };
        host.connect();
        for cidr in [ipv4].into_iter().chain(ipv6) {
            host.ip(&format!("addr add {cidr} dev {INTERFACE}"));
        }
        host
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its namespace.
    pub fn netns(&self) -> &str {
        self.namespace.name()
    }

    /// The file that is its namespace.
    pub fn netns_path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// Its own IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Its own IPv6 address, when it was given one.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        self.ipv6
    }

    /// A program that is to run in it.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(installed(program))
    }

    /// Runs a program in it to its end; what it printed.
    ///
    /// # Panics
    ///
    /// When the program fails, with what it said.
    #[track_caller]
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        run(self.command(program).args(args))
    }

    /// Runs `ip` for it with these words, such as `route add default via 10.77.0.1`.
    ///
    /// # Panics
    ///
    /// When `ip` fails, with what it said.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        ip(&format!("-n {} {words}", self.netns()))
    }

    /// Sets a parameter of its kernel, such as `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) {
        self.namespace.sysctl(key, value);
    }

    /// Drops what it sends to this address, by nftables.
    pub fn drop_to(&self, address: IpAddr) {
        let family = if address.is_ipv4() { "ip" } else { "ip6" };
        let rules = format!(
            "table inet {TABLE} {{\nchain out {{\ntype filter hook output priority 0\n\
             {family} daddr {address} drop\n}}\n}}\n"
        );
        self.run("nft", &[&rules]);
    }

    /// Ends what [`Host::drop_to`] began.
    pub fn drop_nothing(&self) {
        self.run("nft", &["delete", "table", "inet", TABLE]);
    }

    /// Lets what a program of XDP sends over `e0` in the driver arrive: veth(4) drops it unless the other
    /// end has a program as well, here one that passes everything on.
    pub fn let_xdp_send(&self) {
        let (bridges, port) = self.port();
        let object = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend/bpf/decap.bpf.o");
        ip(&format!(
            "-n {bridges} link set dev {port} xdpdrv object {object} section xdp"
        ));
    }

    /// Has it send packets with checksums that are complete, and no longer than the wire takes, as
    /// those of a network card come in.
    pub fn send_as_a_card(&self) {
        self.run("ethtool", &["-K", INTERFACE, "tx", "off"]);
    }

    /// Runs this in a thread inside of its namespace, and waits for it.
    ///
    /// `/proc/sys/net` is the namespace's there, but `/proc/net` the process's.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(work)
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.namespace.spawn(work)
    }

    /// The addresses that its interfaces have now, without those of the loopback network.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let links: Value = json(&self.ip("-j addr"));
        let links = links.as_array().cloned().unwrap_or_default();
        let addresses = links.iter().filter_map(|link| link["addr_info"].as_array());
        addresses
            .flatten()
            .filter_map(|one| one["local"].as_str()?.parse::<IpAddr>().ok())
            .filter(|address| !address.is_loopback())
            .collect()
    }

    /// Whether one of its interfaces has this address now.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses().contains(&address)
    }

    /// The hardware address of `e0`.
    pub fn mac(&self) -> [u8; 6] {
        let link = json(&self.ip(&format!("-j link show {INTERFACE}")));
        let text = link[0]["address"].as_str().unwrap_or_default();
        let mut parts = text.split(':').map(|part| u8::from_str_radix(part, 16));
        std::array::from_fn(|_| match parts.next() {
            Some(Ok(byte)) => byte,
            _ => panic!("{}: no hardware address: {text}", self.name),
        })
    }

    /// The namespace of the bridges and the port there.
    pub(super) fn port(&self) -> (&str, &str) {
        (&self.bridges, &self.port)
    }

    fn connect(&self) {
        // Duplicate address detection would hold each IPv6 address back for a second.
        self.sysctl("net/ipv6/conf/all/accept_dad", "0");
        self.sysctl("net/ipv6/conf/default/accept_dad", "0");
        self.ip("link set lo up");
        let (bridges, port) = self.port();
        self.ip(&format!(
            "link add {INTERFACE} type veth peer name {port} netns {bridges}"
        ));
        ip(&format!(
            "-n {bridges} link set {port} master {} up",
            super::NEAR
        ));
        self.ip(&format!("link set {INTERFACE} up"));
    }
}

fn address<T: std::str::FromStr>(cidr: &str) -> T {
    let parsed = cidr.split('/').next().and_then(|text| text.parse().ok());
    parsed.unwrap_or_else(|| panic!("{cidr} is no address in CIDR notation"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("ip -j prints JSON")
}
