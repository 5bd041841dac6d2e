//! One of two switches that share the address.

use std::path::PathBuf;
use std::time::Duration;

use pointsman_deploy::lab::{Config, Host, INTERFACE, Keepalived, Server, Switch};

/// The shared address, and the group that shares it.
pub const SHARED: &str = "10.77.0.100";
const GROUP: u8 = 51;

/// A running switch of the pair.
pub enum Node {
    /// A web server whose address is keepalived's.
    Keepalived(Keepalived, Server),
    /// Pointsman, with the servers behind it in another host.
    Pointsman(Switch),
}

/// What a switch of the pair is told.
pub struct Settings<'a> {
    pub host: &'a Host,
    pub peer: &'a Host,
    pub priority: u8,
    pub interval: Duration,
    /// Where the servers are.
    pub servers: &'a [Host],
}

impl Node {
    pub fn keepalived(settings: &Settings<'_>) -> Self {
        let host = settings.host;
        let web = Server::start(host, ([0, 0, 0, 0], 80).into(), host.name());
        let config = Config {
            group: GROUP,
            priority: settings.priority,
            interval: settings.interval,
            addresses: vec![format!("{SHARED}/24")],
            peers: vec![settings.peer.ipv4().into()],
            ..Config::default()
        };
        Self::Keepalived(Keepalived::start(host, &config), web)
    }

    pub fn pointsman(settings: &Settings<'_>) -> Self {
        let servers = settings.servers[0].ipv4();
        let backends = PORTS.map(|port| format!("\"{servers}:{port}\"")).join(", ");
        let name = settings.host.name();
        let rest = format!(
            "[listener.web]\nbind = \":80\"\n\
             [[route]]\npool = \"app\"\nresponse_headers = {{ set = {{ x-switch = \"{name}\" }} }}\n\
             [pool.app]\nbackends = [{backends}]\n"
        );
        Self::Pointsman(Switch::start(settings.host, &(contact(settings) + &rest)))
    }

    pub fn direct(settings: &Settings<'_>) -> Self {
        let servers = settings.servers.iter();
        let backends: Vec<String> = servers.map(|host| format!("{}:80", host.ipv4())).collect();
        let rest = format!(
            "[process]\ndirect = {{ pins = {:?} }}\n\
             [listener.web]\nbind = \":80\"\nprotocol = \"tcp\"\npool = \"app\"\n\
             [pool.app]\nforward = \"direct\"\nbackends = {backends:?}\n",
            pins(settings.host)
        );
        Self::Pointsman(Switch::start(settings.host, &(contact(settings) + &rest)))
    }

    /// Asks it to give the address away, and go on.
    pub fn give_way(&mut self) {
        match self {
            Self::Keepalived(keepalived, _) => keepalived.stop(),
            Self::Pointsman(switch) => drop(switch.tell(&["contact", "yield"])),
        }
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        match self {
            Self::Keepalived(keepalived, _) => keepalived.stop(),
            Self::Pointsman(switch) => switch.stop(),
        }
    }

    pub fn kill(&mut self) {
        match self {
            Self::Keepalived(keepalived, web) => {
                keepalived.kill();
                web.kill();
            }
            Self::Pointsman(switch) => switch.kill(),
        }
    }

    pub fn kill_all(&mut self) {
        match self {
            Self::Keepalived(..) => self.kill(),
            Self::Pointsman(switch) => switch.kill_all(),
        }
    }

    pub fn log(&self) -> String {
        match self {
            Self::Keepalived(keepalived, _) => keepalived.log(),
            Self::Pointsman(switch) => switch.log(),
        }
    }
}

/// The ports of the servers behind Pointsman.
pub const PORTS: [u16; 2] = [3001, 3002];

fn contact(settings: &Settings<'_>) -> String {
    format!(
        "[contact]\naddress = [\"{SHARED}/24\"]\ninterface = \"{INTERFACE}\"\ngroup = {GROUP}\n\
         priority = {priority}\npeers = [\"{own}\", \"{peer}\"]\n\
         secret = \"a secret of the lab 0123456789\"\ninterval = \"{interval}ms\"\n",
        priority = settings.priority,
        own = settings.host.ipv4(),
        peer = settings.peer.ipv4(),
        interval = settings.interval.as_millis(),
    )
}

/// Where the kernel keeps the programs of a switch for direct return.
pub fn pins(host: &Host) -> PathBuf {
    PathBuf::from(format!("/sys/fs/bpf/{}", host.netns()))
}
