//! A switch with a direct pool, two servers with agents, and a client.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pointsman_deploy::lab::{
    Daemon, Host, INTERFACE, KeepAlive, Lab, Prober, Server, Skip, Switch, program, wait_until,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// The addresses of the service.
pub const SHARED: &str = "10.77.0.100";
pub const SHARED6: &str = "fd77::100";
const SECRET: &str = "a secret of the lab 0123456789";

/// A busy machine may take that long for an answer; a lost SYN is sent again after a second.
const LIMIT: Duration = Duration::from_millis(900);
/// Connections that are being opened or served at once.
const MOST: usize = 16;

/// Labs in which every single request counts have the machine for themselves.
static TURN: Mutex<()> = Mutex::new(());

pub struct Scene {
    agents: Vec<(String, Daemon)>,
    switch: Switch,
    _servers: Vec<Server>,
    servers: Vec<Host>,
    front: Host,
    client: Host,
    router: Option<Host>,
    folder: TempDir,
    _pins: Pins,
    lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

/// What an agent may change on its host.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    addresses: BTreeSet<String>,
    /// `arp_ignore` and `arp_announce` of all interfaces.
    pub arp: [String; 2],
    /// `allow_join_initial_addr_port`; empty where there is no MPTCP.
    pub join: String,
    endpoints: String,
    limits: String,
    pub routes: String,
}

impl Facts {
    pub fn holds(&self, address: &str) -> bool {
        self.addresses.contains(&format!("lo {address}"))
    }

    pub fn has_mptcp(&self) -> bool {
        !self.join.is_empty()
    }

    pub fn endpoint(&self, address: &str, flag: &str) -> bool {
        let mut lines = self.endpoints.lines();
        lines.any(|line| line.starts_with(&format!("{address} ")) && line.contains(flag))
    }
}

impl Scene {
    /// None where a program or a right is missing, which is told.
    pub fn new(test: &str, pool: &str) -> Option<Self> {
        Self::with(test, pool, &[], Server::start)
    }

    /// The same where the servers speak Multipath TCP, and clients are let, if the kernel does.
    pub fn with_mptcp(test: &str) -> Option<Self> {
        let pool = "route_optimization = \"mptcp\"";
        let scene = Self::with(test, pool, &["mptcpize"], Server::start_with_mptcp)?;
        if !scene.facts("s1").has_mptcp() {
            Skip::NoProgram("MPTCP in this kernel".to_owned()).tell(test);
            return None;
        }
        let words = "mptcp limits set subflows 4 add_addr_accepted 4";
        scene.client.ip(words);
        Some(scene)
    }

    fn with(
        test: &str,
        pool: &str,
        programs: &[&str],
        serve: fn(&Host, SocketAddr, &str) -> Server,
    ) -> Option<Self> {
        let lab = Lab::with(programs).map_err(|why| why.tell(test)).ok()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let host = |name: &str, last: u8| {
            let ipv6 = format!("fd77::{last}/64");
            lab.host(name, &format!("10.77.0.{last}/24"), Some(&ipv6))
        };
        let servers: Vec<Host> = (1..=2).map(|n| host(&format!("s{n}"), 30 + n)).collect();
        let listen: SocketAddr = "[::]:80".parse().unwrap();
        let running = servers.iter();
        let running = running.map(|host| serve(host, listen, host.name()));
        let running = running.collect();
        let (front, client) = (host("a", 11), host("client", 20));
        for cidr in [format!("{SHARED}/24"), format!("{SHARED6}/64")] {
            front.ip(&format!("addr add {cidr} dev {INTERFACE} nodad"));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        Some(Self {
            agents: vec![],
            switch: Switch::start(&front, &policy(pool)),
            _servers: running,
            servers,
            front,
            client,
            router: None,
            folder,
            _pins: Pins,
            lab,
            _turn: turn,
        })
    }

    pub fn host(&self, name: &str) -> &Host {
        let mut hosts = self.servers.iter();
        hosts.find(|host| host.name() == name).unwrap()
    }

    pub fn start_agent(&mut self, name: &str, flags: &[&str]) {
        let mut command = self.agent(name);
        command.args(flags);
        let daemon = Daemon::start(&format!("agent of {name}"), &mut command);
        self.agents.push((name.to_owned(), daemon));
    }

    /// An agent that does nothing for a while.
    pub fn pause_agent(&self, name: &str, pause: bool) {
        let mut agents = self.agents.iter();
        let (_, agent) = agents.find(|(own, _)| own == name).unwrap();
        agent.signal(if pause { Signal::STOP } else { Signal::CONT });
    }

    /// Kills the switch and starts it anew.
    pub fn restart_switch(&mut self) {
        self.switch.kill_all();
        self.switch = Switch::start(&self.front, &policy(""));
    }

    /// Clients that keep their connections.
    pub fn keep_connections(&self, count: usize) -> KeepAlive {
        let kept = KeepAlive::start(&self.client, target(), count, Duration::from_millis(50));
        wait_until("all connections stand", || kept.kept().requests > 2 * count);
        kept
    }

    pub fn kill_agent(&mut self, name: &str) {
        self.take(name).kill();
    }

    /// Waits for its end.
    pub fn stop_agent(&mut self, name: &str) {
        self.take(name).stop();
    }

    /// An agent that may do nothing with programs of the kernel.
    pub fn start_agent_without_bpf(&mut self, name: &str) {
        let lacks = "--bounding-set=-bpf,-perfmon,-sys_admin";
        let mut command = self.without(name, lacks);
        let daemon = Daemon::start(&format!("agent of {name}"), &mut command);
        self.agents.push((name.to_owned(), daemon));
    }

    fn without(&self, name: &str, rights: &str) -> Command {
        let agent = self.agent(name);
        let mut command = self.host(name).command("setpriv");
        command.args([rights, "--inh-caps=-all"]);
        // After nsenter's own words.
        let words = agent.get_args().skip_while(|word| *word != "--").skip(1);
        command.args(words);
        command
    }

    /// What became of an agent without capabilities, and what it said.
    pub fn agent_without_rights(&self, name: &str, check: bool) -> (Option<i32>, String) {
        let mut command = self.without(name, "--bounding-set=-all");
        command.args(check.then_some("--check"));
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    }

    pub fn take_back(&self, name: &str) {
        let mut command = self.agent(name);
        assert!(command.arg("--take-back").status().unwrap().success());
    }

    /// Where the kernel keeps the end of an agent's tunnel.
    pub fn tunnel_of(&self, name: &str) -> PathBuf {
        let book = self.folder.path().join(name).join("host.json");
        let book: Value = serde_json::from_str(&fs::read_to_string(book).unwrap()).unwrap();
        let mut pins = book
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["pins"].as_str());
        pins.next().unwrap().into()
    }

    pub fn facts(&self, name: &str) -> Facts {
        let host = self.host(name);
        let setting = |name: &str| {
            let read = host.enter(|| fs::read_to_string(format!("/proc/sys/net/{name}")));
            read.unwrap_or_default().trim().to_owned()
        };
        let links: Value = serde_json::from_str(&host.ip("-j addr")).unwrap();
        let mut addresses = BTreeSet::new();
        for link in links.as_array().unwrap() {
            for address in link["addr_info"].as_array().into_iter().flatten() {
                let (link, address) = (&link["ifname"], &address["local"]);
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                addresses.insert(format!("{} {}", text(link), text(address)));
            }
        }
        let join = setting("mptcp/allow_join_initial_addr_port");
        let mptcp = |what: &str| match join.is_empty() {
            true => String::new(),
            false => host.ip(&format!("mptcp {what}")),
        };
        Facts {
            addresses,
            arp: ["arp_ignore", "arp_announce"]
                .map(|name| setting(&format!("ipv4/conf/all/{name}"))),
            endpoints: mptcp("endpoint show"),
            limits: mptcp("limits show"),
            join,
            routes: host.ip("route"),
        }
    }

    /// Moves a server into another subnet, behind a router.
    pub fn move_behind_router(&mut self, name: &str) {
        let router = self.lab.host("router", "10.77.0.1/24", None);
        router.ip(&format!("addr add 10.78.0.1/24 dev {INTERFACE}"));
        router.sysctl("net/ipv4/ip_forward", "1");
        // It is one and the same wire, of which nobody is to hear.
        router.sysctl("net/ipv4/conf/all/send_redirects", "0");
        router.sysctl(&format!("net/ipv4/conf/{INTERFACE}/send_redirects"), "0");
        let host = self.host(name);
        host.ip(&format!("addr flush dev {INTERFACE}"));
        host.ip(&format!("addr add 10.78.0.31/24 dev {INTERFACE}"));
        host.ip("route add default via 10.78.0.1");
        for other in [&self.front, &self.client] {
            other.ip("route add 10.78.0.0/24 via 10.77.0.1");
        }
        self.router = Some(router);
    }

    #[track_caller]
    pub fn wait_for(&self, wanted: &[(&str, &str)]) {
        self.wait_until(&format!("{wanted:?}"), |scene| {
            let agents = scene.agents();
            let agents: Vec<(&str, &str)> = agents
                .iter()
                .map(|(name, state, _)| (name.as_str(), state.as_str()))
                .collect();
            agents == wanted
        });
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_until(what, || holds(self));
    }

    /// Waits until these answer, and nobody else.
    #[track_caller]
    pub fn wait_until_answers(&self, wanted: &[&str]) {
        self.wait_until(&format!("{wanted:?} answer"), |scene| {
            let mut names: Vec<String> = (0..12).filter_map(|_| scene.ask()).collect();
            names.sort();
            names.dedup();
            names == wanted
        });
    }

    pub fn why(&self, name: &str) -> String {
        let agents = self.agents();
        let found = agents.into_iter().find(|(own, ..)| own == name);
        found.unwrap().2
    }

    pub fn probe(&self) -> Prober {
        // What has just joined or come back is in its place by then.
        std::thread::sleep(Duration::from_secs(2));
        Prober::start_gently(&self.client, target(), LIMIT, MOST)
    }

    /// Bytes of what the client got.
    pub fn download(&self, path: &str) -> u64 {
        self.curl(&["-o", "/dev/null", "-w", "%{size_download}"], path)
    }

    /// Two downloads on one connection of Multipath TCP, the switch being cut off in the middle;
    /// the bytes of both and the connections that it took.
    pub fn downloads_past_a_dead_switch(&mut self, path: &str) -> String {
        let url = format!("http://{}{path}", target());
        let told = "%{size_download} %{num_connects}\\n";
        let mut command = self.client.command("mptcpize");
        command.args([
            "run",
            "curl",
            "-sS",
            "--max-time",
            "30",
            "--limit-rate",
            "8M",
        ]);
        command.args(["-w", told, "-o", "/dev/null", &url, "-o", "/dev/null", &url]);
        let sent = self.sent_by_switch();
        let child = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the connection stands", || self.sent_by_switch() > sent);
        std::thread::sleep(Duration::from_millis(500));
        self.switch.kill_all();
        self.front.silent(true);
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// A download by Multipath TCP: its bytes.
    pub fn download_by_mptcp(&self, path: &str) -> u64 {
        let url = format!("http://{}{path}", target());
        let args = [
            "run",
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            &url,
        ];
        self.client.run("mptcpize", &args).trim().parse().unwrap()
    }

    /// The status of the answer.
    pub fn upload(&self, bytes: usize) -> u64 {
        let file = self.folder.path().join("upload");
        fs::write(&file, vec![b'x'; bytes]).unwrap();
        let data = format!("@{}", file.display());
        let form = [
            "--data-binary",
            &data,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        self.curl(&form, "/")
    }

    /// Bytes that the switch has put on the wire.
    pub fn sent_by_switch(&self) -> u64 {
        let links = self.front.ip(&format!("-s -j link show {INTERFACE}"));
        let links: Value = serde_json::from_str(&links).unwrap();
        links[0]["stats64"]["tx"]["bytes"].as_u64().unwrap()
    }

    fn curl(&self, args: &[&str], path: &str) -> u64 {
        let url = format!("http://{}{path}", target());
        let mut words = vec!["-sS", "--max-time", "20"];
        words.extend(args);
        words.push(&url);
        self.client.run("curl", &words).trim().parse().unwrap()
    }

    fn agent(&self, name: &str) -> Command {
        let file = program("pointsman-backend");
        let mut command = self.host(name).command(file.to_str().unwrap());
        command
            .args([
                "agent",
                "--switch",
                "10.77.0.11",
                "--pool",
                "web",
                "--port",
                "80",
            ])
            .args(["--name", name, "--direct", "--drain", "2s", "--secret-file"])
            .arg(self.folder.path().join("secret"))
            .arg("--state-folder")
            .arg(self.folder.path().join(name));
        command
    }

    /// Name, state and why, sorted.
    fn agents(&self) -> Vec<(String, String, String)> {
        let status = self.switch.status();
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let agent = |one: &Value| (text(&one["name"]), text(&one["state"]), text(&one["why"]));
        let mut agents: Vec<_> = agents.iter().map(agent).collect();
        agents.sort();
        agents
    }

    fn ask(&self) -> Option<String> {
        self.client.enter(|| {
            let limit = Duration::from_millis(1500);
            let mut stream = TcpStream::connect_timeout(&target(), limit).ok()?;
            stream.set_read_timeout(Some(limit)).ok()?;
            let request = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let (_, body) = answer.split_once("\r\n\r\n")?;
            Some(body.trim().to_owned())
        })
    }

    fn take(&mut self, name: &str) -> Daemon {
        let place = self.agents.iter().position(|(own, _)| own == name);
        self.agents.swap_remove(place.unwrap()).1
    }
}

fn target() -> SocketAddr {
    SocketAddr::new(SHARED.parse().unwrap(), 80)
}

fn policy(pool: &str) -> String {
    format!(
        "[process]\ndirect = {{ pins = {:?} }}\n\
         [agents]\nlisten = \"10.77.0.11:9113\"\nsecret = \"{SECRET}\"\n\
         [listener.web]\nbind = [\"{SHARED}:80\", \"[{SHARED6}]:80\"]\nprotocol = \"tcp\"\n\
         pool = \"web\"\n[pool.web]\nforward = \"direct\"\ndiscover = {{ agents = true }}\n\
         health = {{ interval = \"250ms\", timeout = \"200ms\", fall = 2, rise = 1 }}\n{pool}\n",
        Pins::path()
    )
}

/// Where the kernel keeps the programs of the switch.
struct Pins;

impl Pins {
    fn path() -> PathBuf {
        PathBuf::from(format!("/sys/fs/bpf/pml{}-agents", std::process::id()))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Self::path());
    }
}
