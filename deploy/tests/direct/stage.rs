//! Two switches, a client, and three servers that answer it themselves.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pointsman_deploy::lab::{Host, INTERFACE, Lab, Nginx, Switch, program, wait_until};
use serde_json::Value;

/// The addresses of the service.
pub const SHARED: &str = "10.77.0.100";
pub const SHARED6: &str = "fd77::100";

/// Labs in which every single request counts have the machine for themselves.
static TURN: Mutex<()> = Mutex::new(());

pub struct Stage {
    /// By their numbers, 1 to 3.
    servers: Vec<Option<Nginx>>,
    pub backends: Vec<Host>,
    pub a: Host,
    pub b: Host,
    pub client: Host,
    _pins: Pins,
    lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// None where a program or a right is missing, which is told.
    pub fn new(test: &str) -> Option<Self> {
        Self::with(test, &[])
    }

    /// The same where these programs are wanted as well.
    pub fn with(test: &str, programs: &[&str]) -> Option<Self> {
        let mut stage = Self::without_servers(test, &[programs, &["nginx"]].concat())?;
        let hosts = stage.backends.iter();
        let servers = hosts.map(|host| Some(Nginx::start(host, host.name(), &[80])));
        stage.servers = servers.collect();
        Some(stage)
    }

    /// The same with hosts alone, where these programs are wanted.
    pub fn without_servers(test: &str, programs: &[&str]) -> Option<Self> {
        let lab = Lab::with(programs).map_err(|why| why.tell(test)).ok()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let host = |name: &str, last: u8| {
            let ipv6 = format!("fd77::{last}/64");
            lab.host(name, &format!("10.77.0.{last}/24"), Some(&ipv6))
        };
        let backends: Vec<Host> = (1..=3).map(|n| host(&format!("s{n}"), 30 + n)).collect();
        backends.iter().for_each(take_in);
        Some(Self {
            servers: Vec::new(),
            a: host("a", 11),
            b: host("b", 12),
            client: host("client", 20),
            backends,
            _pins: Pins,
            lab,
            _turn: turn,
        })
    }

    /// A switch alone, on whose interface the addresses stand.
    pub fn alone(&self, pool: &str) -> Switch {
        self.take_addresses();
        let switch = Switch::start(&self.a, &Self::policy(pool));
        self.wait_until_spread(target());
        switch
    }

    /// The policy of a switch alone.
    pub fn policy(pool: &str) -> String {
        let bind = format!("[\"{SHARED}:80\", \"[{SHARED6}]:80\"]");
        policy("a", &bind, pool, &Self::servers())
    }

    /// The service's addresses stand on the interface of `a`.
    pub fn take_addresses(&self) {
        for cidr in [format!("{SHARED}/24"), format!("{SHARED6}/64")] {
            self.a.ip(&format!("addr add {cidr} dev {INTERFACE} nodad"));
        }
    }

    /// A router between the network of all hosts and 10.78.0.0/24 with fd78::/64, which the switch knows.
    pub fn router(&self) -> Host {
        let router = self.lab.host("router", "10.77.0.1/24", Some("fd77::1/64"));
        router.ip(&format!("addr add 10.78.0.1/24 dev {INTERFACE}"));
        router.ip(&format!("addr add fd78::1/64 dev {INTERFACE}"));
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv6/conf/all/forwarding", "1");
        // It is one and the same wire, of which nobody is to hear.
        for interface in ["all", INTERFACE] {
            router.sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0");
        }
        for host in self.backends.iter().chain([&self.a, &self.client]) {
            host.sysctl(&format!("net/ipv6/conf/{INTERFACE}/accept_redirects"), "0");
        }
        self.a.ip("route add 10.78.0.0/24 via 10.77.0.1");
        self.a.ip("-6 route add fd78::/64 via fd77::1");
        router
    }

    /// Switches in `a` and `b`, of which `a` is preferred and holds the addresses.
    pub fn pair(&self) -> (Switch, Switch) {
        self.pair_with("", "")
    }

    /// The same with more keys in the pool and in `[contact]`.
    pub fn pair_with(&self, pool: &str, contact: &str) -> (Switch, Switch) {
        let start = |host: &Host, priority| {
            Switch::start(host, &(self.policy_of_pair(host, priority, pool) + contact))
        };
        let (a, b) = (start(&self.a, 150), start(&self.b, 100));
        wait_for(&a, "active");
        wait_for(&b, "standby");
        self.wait_until_spread(target());
        wait_until("b sees all servers up", || up(&b) == 3);
        (a, b)
    }

    /// The policy of one of the pair.
    pub fn shared_policy(&self, host: &Host, priority: u8) -> String {
        self.policy_of_pair(host, priority, "")
    }

    fn policy_of_pair(&self, host: &Host, priority: u8, pool: &str) -> String {
        let peers = [self.a.ipv4(), self.b.ipv4()].map(|peer| peer.to_string());
        let mut text = policy(host.name(), "\":80\"", pool, &Self::servers());
        let _ = writeln!(
            text,
            "[contact]\naddress = [\"{SHARED}/24\", \"{SHARED6}/64\"]\ninterface = \"{INTERFACE}\"\n\
             group = 51\npriority = {priority}\npeers = {peers:?}\n\
             secret = \"a secret of the lab 0123456789\""
        );
        text
    }

    /// Where the kernel keeps the programs of `a`.
    pub fn pins_of_a(&self) -> PathBuf {
        Pins::of("a")
    }

    /// The servers' own addresses.
    fn servers() -> Vec<String> {
        (1..=3).map(|n| format!("10.77.0.{}:80", 30 + n)).collect()
    }

    /// Waits until all three servers answer the client.
    #[track_caller]
    pub fn wait_until_spread(&self, target: SocketAddr) {
        let mut seen = std::collections::BTreeSet::new();
        wait_until("all servers answer", || {
            seen.extend(crate::clients::ask(&self.client, target));
            seen.len() == 3
        });
    }

    pub fn kill_server(&mut self, number: usize) {
        if let Some(server) = &mut self.servers[number - 1] {
            server.kill();
        }
    }

    pub fn restart_server(&mut self, number: usize) {
        self.servers[number - 1] = None;
        let host = &self.backends[number - 1];
        self.servers[number - 1] = Some(Nginx::start(host, host.name(), &[80]));
    }
}

/// The service's addresses stand on a server's loopback interface, and it does not answer ARP for them.
fn take_in(host: &Host) {
    host.sysctl("net/ipv4/conf/all/arp_ignore", "1");
    host.sysctl("net/ipv4/conf/all/arp_announce", "2");
    host.ip(&format!("addr add {SHARED}/32 dev lo"));
    host.ip(&format!("addr add {SHARED6}/128 dev lo nodad"));
}

fn policy(name: &str, bind: &str, pool: &str, servers: &[String]) -> String {
    format!(
        "[process]\ndirect = {{ pins = {:?} }}\n[listener.web]\nbind = {bind}\nprotocol = \"tcp\"\npool = \"web\"\n\
         [pool.web]\nforward = \"direct\"\nbackends = {servers:?}\n\
         health = {{ interval = \"250ms\", timeout = \"200ms\", fall = 2, rise = 1 }}\n{pool}\n",
        Pins::of(name)
    )
}

/// Where the kernel keeps the programs of the switches of this process's labs.
struct Pins;

impl Pins {
    fn of(name: &str) -> PathBuf {
        PathBuf::from(format!("/sys/fs/bpf/pml{}-{name}", std::process::id()))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            let _ = fs::remove_dir_all(Self::of(name));
        }
    }
}

pub fn target() -> SocketAddr {
    SocketAddr::new(SHARED.parse::<IpAddr>().unwrap(), 80)
}

pub fn target6() -> SocketAddr {
    SocketAddr::new(SHARED6.parse::<IpAddr>().unwrap(), 80)
}

/// Waits until a switch has this role in its IPv4 group.
#[track_caller]
pub fn wait_for(switch: &Switch, role: &str) {
    wait_until(&format!("the switch is {role}"), || {
        let contacts = switch.status()["contact"]["contacts"].clone();
        let contacts = contacts.as_array().cloned().unwrap_or_default();
        contacts.iter().all(|one| one["role"] == role) && !contacts.is_empty()
    });
}

/// The servers of the pool that this switch has found up.
pub fn up(switch: &Switch) -> usize {
    states(switch).iter().filter(|state| *state == "up").count()
}

/// The state of each server.
pub fn states(switch: &Switch) -> Vec<String> {
    let pools = switch.status()["pools"].clone();
    let backends = pools[0]["backends"].as_array().cloned().unwrap_or_default();
    let state = |one: &Value| one["state"].as_str().unwrap_or_default().to_owned();
    backends.iter().map(state).collect()
}

/// Bytes that a host has sent over its interface.
pub fn sent(host: &Host) -> u64 {
    let links: Value =
        serde_json::from_str(&host.ip(&format!("-s -j link show {INTERFACE}"))).unwrap();
    links[0]["stats64"]["tx"]["bytes"].as_u64().unwrap()
}

/// Runs `pointsman WORDS` about this switch.
pub fn order(switch: &Switch, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(program("pointsman"));
    command
        .args(words)
        .arg("--admin")
        .arg(switch.admin_address());
    command.output().unwrap()
}
