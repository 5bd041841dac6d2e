//! A client, a switch and backends on one bridge, in namespaces of their own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use pointsman::control::direct::kernel::{Backend, Hop, Key, Member, Protocol, State};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The interface of every host, and its index.
pub const INTERFACE: &str = "e0";
pub const INDEX: u32 = 7;
pub const PORT: u16 = 8080;
pub const BACKENDS: [u16; 3] = [1, 2, 3];
/// The services' addresses.
pub const ADDRESSES: [&str; 2] = ["10.78.0.100", "fd78::100"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Client,
    Switch,
    Backend(u16),
}

const HOSTS: [Host; 5] = [
    Host::Client,
    Host::Switch,
    Host::Backend(1),
    Host::Backend(2),
    Host::Backend(3),
];

impl Host {
    fn number(self) -> u16 {
        match self {
            Self::Client => 11,
            Self::Switch => 12,
            Self::Backend(id) => id,
        }
    }

    pub fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 8, self.number() as u8]
    }
}

/// The namespaces, and a folder of the BPF file system; they go when this is dropped.
pub struct Lab {
    name: String,
    pins: PathBuf,
}

impl Lab {
    pub fn start() -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("kern-{}-{number}", std::process::id());
        let pins = std::env::temp_dir().join(&name);
        std::fs::create_dir(&pins).unwrap();
        run("mount", &format!("-t bpf bpf {}", pins.display()));
        let lab = Self { name, pins };
        let bridge = lab.bridge();
        ip(&format!("netns add {bridge}"));
        ip(&format!("-n {bridge} link add br0 type bridge"));
        ip(&format!("-n {bridge} link set br0 up"));
        for host in HOSTS {
            lab.connect(host);
        }
        lab.give_addresses();
        lab
    }

    fn connect(&self, host: Host) {
        let (name, bridge, number) = (self.namespace(host), self.bridge(), host.number());
        let mac = host.mac().map(|byte| format!("{byte:02x}")).join(":");
        ip(&format!("netns add {name}"));
        self.within(host, || {
            for scope in ["all", "default"] {
                set_sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0");
                set_sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0");
            }
        });
        ip(&format!("-n {name} link set lo up"));
        ip(&format!(
            "-n {name} link add {INTERFACE} index {INDEX} address {mac} type veth peer name \
             p{number} netns {bridge}"
        ));
        ip(&format!("-n {bridge} link set p{number} master br0 up"));
        ip(&format!("-n {name} link set {INTERFACE} up"));
        for address in [format!("10.78.0.{number}/24"), format!("fd78::{number}/64")] {
            ip(&format!("-n {name} addr add {address} dev {INTERFACE}"));
        }
    }

    /// The services' addresses: of the switch for the neighbours, of the backends for themselves.
    fn give_addresses(&self) {
        let switch = self.namespace(Host::Switch);
        ip(&format!(
            "-n {switch} addr add 10.78.0.100/24 dev {INTERFACE}"
        ));
        ip(&format!(
            "-n {switch} addr add fd78::100/64 dev {INTERFACE} nodad"
        ));
        for id in BACKENDS {
            let name = self.namespace(Host::Backend(id));
            self.within(Host::Backend(id), || {
                set_sysctl("net/ipv4/conf/all/arp_ignore", "1");
                set_sysctl("net/ipv4/conf/all/arp_announce", "2");
            });
            ip(&format!("-n {name} addr add 10.78.0.100/32 dev lo"));
            ip(&format!("-n {name} addr add fd78::100/128 dev lo nodad"));
        }
    }

    pub fn pins(&self) -> PathBuf {
        self.pins.join("direct")
    }

    pub fn namespace(&self, host: Host) -> String {
        match host {
            Host::Client => format!("{}-client", self.name),
            Host::Switch => format!("{}-switch", self.name),
            Host::Backend(id) => format!("{}-backend{id}", self.name),
        }
    }

    fn bridge(&self) -> String {
        format!("{}-bridge", self.name)
    }

    /// Of the interface and of the other end of its cable.
    pub fn set_mtu(&self, host: Host, mtu: u32) {
        let (name, bridge, number) = (self.namespace(host), self.bridge(), host.number());
        ip(&format!("-n {bridge} link set p{number} mtu {mtu}"));
        ip(&format!("-n {name} link set {INTERFACE} mtu {mtu}"));
    }

    /// Does it in a thread that is at home at this host.
    pub fn within<T: Send>(&self, host: Host, what: impl FnOnce() -> T + Send) -> T {
        let name = self.namespace(host);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_to(&name);
                what()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        host: Host,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let name = self.namespace(host);
        std::thread::spawn(move || {
            move_to(&name);
            what()
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in HOSTS {
            let _ = try_run("ip", &format!("netns del {}", self.namespace(host)));
        }
        let _ = try_run("ip", &format!("netns del {}", self.bridge()));
        let _ = try_run("umount", &self.pins.display().to_string());
        let _ = std::fs::remove_dir(&self.pins);
    }
}

fn move_to(name: &str) {
    let file = std::fs::File::open(Path::new("/run/netns").join(name)).unwrap();
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind).unwrap();
}

fn set_sysctl(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/{path}"), value).unwrap();
}

#[track_caller]
pub fn ip(arguments: &str) {
    run("ip", arguments);
}

#[track_caller]
fn run(program: &str, arguments: &str) {
    if let Err(message) = try_run(program, arguments) {
        panic!("{program} {arguments}: {message}");
    }
}

fn try_run(program: &str, arguments: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    let output = command.args(arguments.split_whitespace()).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

pub fn keys() -> [Key; 2] {
    ADDRESSES.map(|address| Key {
        address: address.parse().unwrap(),
        port: PORT,
        protocol: Protocol::Tcp,
    })
}

pub fn backend(id: u16, state: State) -> Backend {
    Backend {
        address: IpAddr::from([10, 78, 0, id as u8]),
        hop: Hop::Neighbour {
            interface: INDEX,
            source_mac: Host::Switch.mac(),
            mac: Host::Backend(id).mac(),
        },
        state,
        identity: u64::from(id) << 40,
    }
}

pub fn members(ids: &[u16]) -> Vec<Member> {
    let member = |id: &u16| Member {
        id: *id,
        name: format!("10.78.0.{id}"),
        weight: 1,
    };
    ids.iter().map(member).collect()
}
