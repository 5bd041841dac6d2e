//! One network of three hosts, in namespaces of their own: a client, the old holder and the new one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use ipnet::IpNet;
use pointsman::control::contact::group::Family;
use pointsman::control::contact::relay::soft::{STAND_IN_METRIC, SoftHost};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::wait_until;

/// The interface of every host, and its index.
pub const INTERFACE: &str = "e0";
pub const INDEX: u32 = 7;

/// A host of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Client,
    Old,
    New,
}

impl Host {
    const ALL: [Self; 3] = [Self::Client, Self::Old, Self::New];

    pub fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 7, self as u8 + 1]
    }

    /// Its own address.
    pub fn address(self, family: Family) -> IpNet {
        in_network(family, self as u8 + 1)
    }
}

/// The address that is handed over.
pub fn contact(family: Family) -> IpNet {
    in_network(family, 100)
}

fn in_network(family: Family, host: u8) -> IpNet {
    let (address, length) = match family {
        Family::Ipv4 => (IpAddr::from(Ipv4Addr::new(10, 77, 0, host)), 24),
        Family::Ipv6 => {
            let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host.into());
            (IpAddr::from(address), 64)
        }
    };
    IpNet::new(address, length).unwrap()
}

/// The namespaces; they go when this is dropped.
pub struct Lab(String);

impl Lab {
    /// Every host has its own addresses; nobody has the contact address.
    pub fn start() -> Self {
        let lab = Self::bare();
        for host in Host::ALL {
            for family in [Family::Ipv4, Family::Ipv6] {
                lab.within(host, || add(host.address(family)));
            }
        }
        lab
    }

    /// No host has any address.
    pub fn bare() -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let lab = Self(format!("relay-{}-{number}", std::process::id()));
        let bridge = lab.bridge();
        ip(&format!("netns add {bridge}"));
        ip(&format!("-n {bridge} link add br0 type bridge"));
        ip(&format!("-n {bridge} link set br0 up"));
        for host in Host::ALL {
            lab.connect(host, &bridge);
        }
        lab
    }

    fn connect(&self, host: Host, bridge: &str) {
        let (name, mac) = (
            self.name(host),
            host.mac().map(|byte| format!("{byte:02x}")),
        );
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!(
            "-n {name} link add {INTERFACE} index {INDEX} address {} type veth \
             peer name p{} netns {bridge}",
            mac.join(":"),
            host as u8
        ));
        ip(&format!(
            "-n {bridge} link set p{} master br0 up",
            host as u8
        ));
        self.within(host, || {
            // Otherwise the link-local address comes and changes while tests compare.
            let path = format!("net/ipv6/conf/{INTERFACE}/accept_dad");
            ThisHost.set_sysctl(&path, "0").unwrap();
            ip(&format!("link set {INTERFACE} up"));
            wait_until("the link-local address is there", || {
                ip("-6 route show table local type local").contains("local fe80:")
            });
        });
    }

    /// Does it in a thread that is at home at this host.
    pub fn within<T: Send>(&self, host: Host, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let name = self.name(host);
            let thread = scope.spawn(move || {
                move_to(&name);
                what()
            });
            thread.join().unwrap()
        })
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        host: Host,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let name = self.name(host);
        std::thread::spawn(move || {
            move_to(&name);
            what()
        })
    }

    /// A counter of TCP at this host (RFC 4022), such as `OutRsts`.
    pub fn tcp_counter(&self, host: Host, name: &str) -> u64 {
        let path = "/proc/thread-self/net/snmp";
        let text = self.within(host, || std::fs::read_to_string(path).unwrap());
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let at = names.split(' ').position(|one| one == name).unwrap();
        values.split(' ').nth(at).unwrap().parse().unwrap()
    }

    fn name(&self, host: Host) -> String {
        format!("{}-{host:?}", self.0).to_lowercase()
    }

    fn bridge(&self) -> String {
        format!("{}-bridge", self.0)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in Host::ALL.map(|host| self.name(host)) {
            try_ip(&format!("netns del {name}"));
        }
        try_ip(&format!("netns del {}", self.bridge()));
    }
}

fn move_to(name: &str) {
    let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind).unwrap();
}

/// Adds an address where this thread is, and waits until packets to it are this host's.
pub fn add(address: IpNet) {
    ThisHost.add_address(INDEX, address).unwrap();
    wait_until("the address is local", || {
        ThisHost.is_local(INDEX, address.addr()).unwrap()
    });
}

/// Tells the neighbours that the contact address is at this host, the new holder.
pub fn announce(family: Family) {
    let mac = Host::New.mac().map(|byte| format!("{byte:02x}")).concat();
    let script = match family {
        Family::Ipv4 => ARP,
        Family::Ipv6 => ADVERTISEMENT,
    };
    let address = contact(family).addr().to_string();
    let arguments = ["-c", script, INTERFACE, &INDEX.to_string(), &mac, &address];
    let output = Command::new("python3").args(arguments).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
}

const ARP: &str = r"
import socket, sys
name, mac, address = sys.argv[1], bytes.fromhex(sys.argv[3]), socket.inet_aton(sys.argv[4])
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind((name, 0))
question = bytes.fromhex('0001080006040001') + mac + address + bytes(6) + address
packets.send(b'\xff' * 6 + mac + b'\x08\x06' + question)
";

const ADVERTISEMENT: &str = r"
import socket, sys
index, mac = int(sys.argv[2]), bytes.fromhex(sys.argv[3])
address = socket.inet_pton(socket.AF_INET6, sys.argv[4])
icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
icmp.sendto(bytes.fromhex('8800000020000000') + address + b'\2\1' + mac, ('ff02::1', 0, 0, index))
";

/// The link-layer address that the contact address has for this host.
pub fn neighbour(family: Family) -> String {
    let address = contact(family).addr();
    ip(&format!("neigh show to {address} dev {INTERFACE}"))
}

/// Runs `ip` where this thread is; it must succeed.
#[track_caller]
pub fn ip(arguments: &str) -> String {
    match run_ip(arguments) {
        Ok(output) => output,
        Err(error) => panic!("ip {arguments}: {error}"),
    }
}

fn try_ip(arguments: &str) {
    let _ = run_ip(arguments);
}

fn run_ip(arguments: &str) -> io::Result<String> {
    let arguments = arguments.split_whitespace();
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(message))
}

/// Does it again when a signal interrupts it: a sibling test's child has ended (SIGCHLD).
pub fn uninterrupted<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match step() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Does it again until it would not block.
pub fn soon(mut step: impl FnMut() -> io::Result<()>) {
    wait_until("the kernel is ready", || match step() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        result => {
            result.unwrap();
            true
        }
    });
}

/// As `ip` words it for IPv4 and for IPv6.
fn is_not_there(error: &io::Error) -> bool {
    let text = error.to_string().to_lowercase();
    text.contains("address not found") || text.contains("cannot assign requested address")
}

/// The host that the calling thread is at.
pub struct ThisHost;

impl SoftHost for ThisHost {
    fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let (device, scope) = match (index, address) {
            (INDEX, IpNet::V4(_)) => (INTERFACE, ""),
            (INDEX, IpNet::V6(_)) => (INTERFACE, "nodad"),
            (_, IpNet::V4(_)) => ("lo", "scope host"),
            (_, IpNet::V6(_)) => ("lo", "preferred_lft 0"),
        };
        run_ip(&format!("addr replace {address} dev {device} {scope}")).map(|_| ())
    }

    fn remove_address(&mut self, index: u32, address: IpNet) -> io::Result<bool> {
        let device = if index == INDEX { INTERFACE } else { "lo" };
        match run_ip(&format!("addr del {address} dev {device}")) {
            Ok(_) => Ok(true),
            Err(error) if is_not_there(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_local(&mut self, index: u32, address: IpAddr) -> io::Result<bool> {
        let device = if index == INDEX { INTERFACE } else { "lo" };
        let family = if address.is_ipv4() { "-4" } else { "-6" };
        let filter = format!("table local type local dev {device}");
        let routes = run_ip(&format!("{family} route show {filter}"))?;
        Ok(routes.contains(&format!("local {address} ")))
    }

    fn add_route(&mut self, _: u32, network: IpNet) -> io::Result<()> {
        let route = format!("{network} dev {INTERFACE} scope link metric {STAND_IN_METRIC}");
        run_ip(&format!("route replace {route}")).map(|_| ())
    }

    fn remove_route(&mut self, _: u32, network: IpNet) -> io::Result<()> {
        let route = format!("{network} dev {INTERFACE} metric {STAND_IN_METRIC}");
        match run_ip(&format!("route del {route}")) {
            Err(error) if !error.to_string().contains("No such process") => Err(error),
            _ => Ok(()),
        }
    }

    fn sysctl(&mut self, path: &str) -> io::Result<String> {
        let text = std::fs::read_to_string(format!("/proc/sys/{path}"))?;
        Ok(text.trim_end().to_owned())
    }

    fn set_sysctl(&mut self, path: &str, value: &str) -> io::Result<()> {
        std::fs::write(format!("/proc/sys/{path}"), value)
    }
}
