//! Who stands between client and servers.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use pointsman_deploy::lab::{Daemon, Host, INTERFACE, Lab, Nginx, Switch, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The address of the service.
const SHARED: &str = "10.77.0.100";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nobody,
    Pointsman,
    Nftlb,
    Haproxy,
    Nginx,
}

impl Who {
    pub const ALL: [Who; 5] = [
        Who::Nobody,
        Who::Pointsman,
        Who::Nftlb,
        Who::Haproxy,
        Who::Nginx,
    ];
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Who::Nobody => "no switch",
            Who::Pointsman => "Pointsman, direct",
            Who::Nftlb => "nftlb, direct",
            Who::Haproxy => "HAProxy, TCP",
            Who::Nginx => "nginx, stream",
        })
    }
}

/// The network, and what runs in it.
pub struct Stage {
    _running: Running,
    _servers: Vec<Nginx>,
    _backends: Vec<Host>,
    pub switch: Host,
    pub client: Host,
    pub target: SocketAddr,
    _lab: Lab,
}

enum Running {
    Nobody,
    Pointsman(Switch, PathBuf),
    /// The process, and the folder of its configuration.
    Proxy {
        _daemon: Daemon,
        _folder: TempDir,
    },
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Pointsman(switch, pins) = self {
            switch.stop();
            let _ = fs::remove_dir_all(pins);
        }
    }
}

impl Stage {
    pub fn new(who: Who, servers: u8) -> Self {
        let lab = Lab::new().unwrap_or_else(|why| panic!("{why}"));
        let host = |name: &str, last: u8| lab.host(name, &format!("10.77.0.{last}/24"), None);
        let backends: Vec<Host> = (1..=servers)
            .map(|n| host(&format!("s{n}"), 30 + n))
            .collect();
        for backend in &backends {
            backend.sysctl("net/ipv4/conf/all/arp_ignore", "1");
            backend.sysctl("net/ipv4/conf/all/arp_announce", "2");
            backend.ip(&format!("addr add {SHARED}/32 dev lo"));
        }
        let nginx = backends.iter();
        let nginx = nginx.map(|host| Nginx::start(host, host.name(), &[80]));
        let nginx: Vec<Nginx> = nginx.collect();
        let servers: Vec<String> = backends
            .iter()
            .map(|host| format!("{}:80", host.ipv4()))
            .collect();
        let (switch, client) = (host("switch", 11), host("client", 20));
        switch.ip(&format!("addr add {SHARED}/24 dev {INTERFACE}"));
        let running = start(who, &switch, &servers);
        let target: SocketAddr = match who {
            Who::Nobody => (backends[0].ipv4(), 80).into(),
            _ => SocketAddr::new(SHARED.parse().expect("an address"), 80),
        };
        wait_until("the service answers", || {
            client.enter(|| std::net::TcpStream::connect(target).is_ok())
        });
        Self {
            _running: running,
            _servers: nginx,
            _backends: backends,
            switch,
            client,
            target,
            _lab: lab,
        }
    }
}

fn start(who: Who, host: &Host, servers: &[String]) -> Running {
    match who {
        Who::Nobody => Running::Nobody,
        Who::Pointsman => {
            let pins = PathBuf::from(format!("/sys/fs/bpf/pmd{}", std::process::id()));
            let policy = format!(
                "[process]\ndirect = {{ pins = {pins:?} }}\n[listener.web]\nbind = \"{SHARED}:80\"\n\
                 protocol = \"tcp\"\npool = \"web\"\n[pool.web]\nforward = \"direct\"\nbackends = {servers:?}\n"
            );
            Running::Pointsman(Switch::start(host, &policy), pins)
        }
        Who::Nftlb => {
            // It takes link-layer addresses from the kernel's neighbours.
            let reached = |at: &String| host.enter(|| std::net::TcpStream::connect(at).is_ok());
            assert!(servers.iter().all(reached), "the servers answer");
            let backends = servers.iter().enumerate();
            let backends: Vec<Value> = backends
                .map(|(n, at)| {
                    let ip = at.split(':').next();
                    json!({ "name": format!("s{n}"), "ip-addr": ip, "state": "up" })
                })
                .collect();
            let config = json!({ "farms": [{
                "name": "web", "family": "ipv4", "mode": "dsr", "protocol": "tcp",
                "scheduler": "hash", "sched-param": "srcip srcport", "state": "up",
                "virtual-addr": SHARED, "virtual-ports": "80", "backends": backends,
            }] });
            proxy(host, "nftlb", &config.to_string(), &["-c"])
        }
        Who::Haproxy => {
            let lines = servers.iter().enumerate();
            let lines: String = lines
                .map(|(n, at)| format!(" server s{n} {at}\n"))
                .collect();
            let config = format!(
                "global\n nbthread 1\n maxconn 4000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n \
                 timeout server 60s\nlisten web\n bind {SHARED}:80\n balance roundrobin\n{lines}"
            );
            proxy(host, "haproxy", &config, &["-db", "-f"])
        }
        Who::Nginx => {
            let lines: String = servers.iter().map(|at| format!("server {at};\n")).collect();
            let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
            let config = format!(
                "load_module {module};\ndaemon off;\nuser root;\nworker_processes 1;\npid stream.pid;\n\
                 error_log stderr;\nevents {{ worker_connections 8192; }}\nstream {{\nupstream web {{\n{lines}}}\n\
                 server {{ listen {SHARED}:80; proxy_pass web; }}\n}}\n"
            );
            proxy(host, "nginx", &config, &["-c"])
        }
    }
}

fn proxy(host: &Host, program: &str, config: &str, args: &[&str]) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.conf");
    fs::write(&file, config).expect("it is our folder");
    let mut command = host.command(program);
    command.args(args).arg(&file);
    if program == "nginx" {
        command.arg("-p").arg(folder.path());
    }
    Running::Proxy {
        _daemon: Daemon::start(program, &mut command),
        _folder: folder,
    }
}
