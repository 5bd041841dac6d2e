//! keepalived in a host.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use tempfile::TempDir;

use super::{Daemon, Host, INTERFACE};

/// One virtual router (VRRPv3).
#[derive(Debug, Clone)]
pub struct Config {
    /// The virtual router's identifier.
    pub group: u8,
    /// 1 to 254; the highest one is elected.
    pub priority: u8,
    /// Time between adverts, 10 ms at least, in hundredths of a second on the wire.
    pub interval: Duration,
    /// The shared addresses in CIDR notation, all of one family. With IPv6, the first one is
    /// link-local.
    pub addresses: Vec<String>,
    /// To whom adverts are sent; with none, to the group's multicast address.
    pub peers: Vec<IpAddr>,
    /// Whether it takes the addresses from a living router of lower priority.
    pub preempt: bool,
    /// Whether the addresses have the virtual router's hardware address (`use_vmac`).
    pub virtual_mac: bool,
    /// More lines for the instance.
    pub more: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: 51,
            priority: 100,
            interval: Duration::from_millis(100),
            addresses: Vec::new(),
            peers: Vec::new(),
            preempt: true,
            virtual_mac: false,
            more: String::new(),
        }
    }
}

/// What a virtual router is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has just begun.
    Init,
    /// It holds the addresses.
    Master,
    /// It would take over.
    Backup,
    /// It cannot.
    Fault,
}

/// A running keepalived with one virtual router.
#[derive(Debug)]
pub struct Keepalived {
    daemon: Daemon,
    _folder: TempDir,
}

impl Keepalived {
    /// Starts it. It has not been elected yet then, nor has it heard of anybody.
    pub fn start(host: &Host, config: &Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("k.conf"), text(host, config)).expect("it is our folder");
        let mut command = host.command("keepalived");
        // Where no syslog runs, its lines would go to the machine's console: a serial line that
        // takes them in its own time, with the processor waiting, and the takeover, too.
        command.args(["-n", "-P", "-l", "-D", "--no-syslog"]);
        // Without files of its own, each one would take the others for itself.
        for (flag, name) in [("-f", "k.conf"), ("-p", "p"), ("-r", "r"), ("-c", "c")] {
            command.arg(flag).arg(path(name));
        }
        let mut daemon = Daemon::start(&format!("keepalived of {}", host.name()), &mut command);
        daemon.wait_for_log("Entering BACKUP STATE");
        Self {
            daemon,
            _folder: folder,
        }
    }

    /// What it is, by its log.
    pub fn state(&self) -> State {
        let last = |(_, line): (_, String)| {
            let word = line
                .split("Entering ")
                .nth(1)?
                .split(' ')
                .next()?
                .to_owned();
            match word.as_str() {
                "MASTER" => Some(State::Master),
                "BACKUP" => Some(State::Backup),
                "FAULT" => Some(State::Fault),
                _ => None,
            }
        };
        let mut lines = self.daemon.lines().into_iter().rev();
        lines.find_map(last).unwrap_or(State::Init)
    }

    /// Asks it to end, upon which it tells its peers, and waits for that.
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it, its children first: they would tell the peers.
    pub fn kill(&mut self) {
        self.daemon.kill_all();
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// The configuration file.
fn text(host: &Host, config: &Config) -> String {
    let mut text = format!(
        "global_defs {{\n script_user root\n vrrp_version 3\n router_id {name}\n}}\n\
         vrrp_instance lab {{\n state BACKUP\n interface {INTERFACE}\n virtual_router_id {group}\n \
         priority {priority}\n advert_int {interval}\n",
        name = host.name(),
        group = config.group,
        priority = config.priority,
        interval = config.interval.as_secs_f64(),
    );
    if !config.preempt {
        text.push_str(" nopreempt\n");
    }
    if config.virtual_mac {
        text.push_str(" use_vmac\n");
    }
    if let Some(first) = config.peers.first() {
        let own = match first {
            IpAddr::V4(_) => host.ipv4().into(),
            IpAddr::V6(_) => IpAddr::from(host.ipv6().expect("the host has IPv6")),
        };
        let _ = write!(text, " unicast_src_ip {own}\n unicast_peer {{\n");
        for peer in &config.peers {
            let _ = writeln!(text, "  {peer}");
        }
        text.push_str(" }\n");
    }
    let addresses = config.addresses.join("\n  ");
    let more = &config.more;
    let _ = write!(
        text,
        " virtual_ipaddress {{\n  {addresses}\n }}\n{more}\n}}\n"
    );
    text
}
