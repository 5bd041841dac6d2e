//! Two network namespaces with a cable between them, and keepalived in one of them.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pointsman::control::contact::group::Family;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support;

#[derive(Debug, Clone, Copy)]
pub enum Side {
    Ours,
    Theirs,
}

/// Two namespaces, each with an interface `e0` at one end of the same cable.
pub struct Lab {
    names: [String; 2],
}

impl Lab {
    /// `None`, and a word about it, where it cannot be built.
    pub fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            support::skip(test, "network namespaces need root");
            return None;
        }
        if !is_installed("ip") {
            support::skip(test, "iproute2 is not installed");
            return None;
        }
        let name = format!(
            "wire-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let lab = Self {
            names: [format!("{name}-a"), format!("{name}-b")],
        };
        for name in &lab.names {
            if let Err(error) = run("ip", &["netns", "add", name]) {
                support::skip(test, &format!("no network namespace: {error}"));
                return None;
            }
        }
        let [_, theirs] = &lab.names;
        let cable = format!("link add e0 type veth peer name e0 netns {theirs}");
        lab.ip(Side::Ours, &cable);
        for (side, end, mac) in [(Side::Ours, "1", "0a"), (Side::Theirs, "2", "0b")] {
            lab.ip(side, &format!("link set e0 address 02:00:00:00:00:{mac}"));
            lab.ip(side, "link set e0 addrgenmode none");
            lab.ip(side, &format!("addr add 10.9.0.{end}/24 dev e0"));
            lab.ip(side, &format!("addr add fe80::{mac}/64 dev e0 nodad"));
            lab.ip(side, "link set e0 up");
        }
        wait("both ends are ready for IPv6", || {
            [Side::Ours, Side::Theirs].into_iter().all(|side| {
                let routes = lab.ip(side, "-6 route show table all dev e0");
                routes.contains("multicast ff00::/8")
            })
        });
        Some(lab)
    }

    pub fn ours(&self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => [10, 9, 0, 1].into(),
            Family::Ipv6 => "fe80::a".parse().unwrap(),
        }
    }

    pub fn theirs(&self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => [10, 9, 0, 2].into(),
            Family::Ipv6 => "fe80::b".parse().unwrap(),
        }
    }

    /// Runs it in a thread that lives in the namespace, with the index of `e0`. Sockets that it
    /// opens belong there wherever they are used.
    pub fn inside<T: Send>(&self, side: Side, run: impl FnOnce(u32) -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.names[side as usize])).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), kind).unwrap();
                let probe = rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::DGRAM,
                    None,
                );
                let index = rustix::net::netdevice::name_to_index(probe.unwrap(), "e0").unwrap();
                run(index)
            });
            thread.join().unwrap()
        })
    }

    /// What `ip` prints in a namespace.
    pub fn ip(&self, side: Side, arguments: &str) -> String {
        let namespace = &self.names[side as usize];
        let arguments = ["-n", namespace].into_iter().chain(arguments.split(' '));
        run("ip", &arguments.collect::<Vec<_>>()).unwrap()
    }

    /// Which of these addresses the other side has.
    pub fn held<const N: usize>(&self, addresses: [IpAddr; N]) -> [bool; N] {
        let list = self.ip(Side::Theirs, "-o addr show dev e0");
        addresses.map(|ip| list.contains(&format!(" {ip}/")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = run("ip", &["netns", "del", name]);
        }
    }
}

/// keepalived on their side, standby for each of the test's groups.
pub struct Keepalived {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Keepalived {
    pub fn start(lab: &Lab, groups: &[(u8, IpAddr)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let instances: String = groups.iter().map(instance).collect();
        let head = "global_defs {\n script_user root\n vrrp_version 3\n}\n";
        std::fs::write(path("conf"), head.to_owned() + &instances).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &lab.names[1]])
            .args(["keepalived", "-n", "-P", "-l", "-f", &path("conf")])
            .args([
                "-p",
                &path("pid"),
                "-r",
                &path("vrrp"),
                "-c",
                &path("check"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            _folder: folder,
        }
    }

    /// `ip` has become keepalived, which passes it on to its own child.
    pub fn stop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.stop();
        }
    }
}

/// Of the configuration of keepalived: 52 and 53 speak to a peer.
fn instance((number, ip): &(u8, IpAddr)) -> String {
    let peers = match number {
        52 | 53 => "unicast_src_ip 10.9.0.2\n unicast_peer { 10.9.0.1 }",
        _ => "",
    };
    format!(
        "vrrp_instance G{number} {{\n state BACKUP\n interface e0\n virtual_router_id {number}\n \
         priority 100\n advert_int 0.1\n {peers}\n virtual_ipaddress {{ {ip} }}\n}}\n"
    )
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    let help = Command::new(program)
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    help.is_ok()
}

fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {arguments:?}: {told}")))
}

/// Until it holds, for five seconds at most.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within 5 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
