//! Two switches that share an address, their client, their servers, and one more host. Both switches
//! have the same policy but for the priority: so each believes what the other says of its backends.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pointsman_deploy::lab::{Host, INTERFACE, Lab, Server, Switch, wait_until};
use serde_json::Value;

/// The shared address.
pub const SHARED: &str = "10.77.0.100";
pub const GROUP: u8 = 51;
const SECRET: &str = "a secret of the lab 0123456789";

/// The hosts, and the servers behind.
pub struct Stage {
    pub servers: Vec<Server>,
    pub a: Host,
    pub b: Host,
    pub client: Host,
    /// 10.77.0.13, 10.77.0.5 and 10.77.0.14.
    pub third: Host,
    pub back: Host,
    _lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// With so many servers, at ports from 3001 on, each with its port as its name. A machine has
    /// [`AT_ONCE`](crate::AT_ONCE) of them at a time. None where a program or a right is missing, which is told.
    pub fn new(test: &str, programs: &[&str], servers: u16) -> Option<Self> {
        static TURNS: [Mutex<()>; crate::AT_ONCE] = [const { Mutex::new(()) }; crate::AT_ONCE];
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
        let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = Lab::with(programs).map_err(|why| why.tell(test)).ok()?;
        let host = |name, last: u8| lab.host(name, &format!("10.77.0.{last}/24"), None);
        let (a, b) = (host("a", 11), host("b", 12));
        let (client, third, back) = (host("client", 20), host("third", 13), host("back", 30));
        for last in [5, 14] {
            third.ip(&format!("addr add 10.77.0.{last}/24 dev {INTERFACE}"));
        }
        third.ip(&format!("route add 224.0.0.0/4 dev {INTERFACE}"));
        let servers = (3001..3001 + servers).map(|port| {
            let listen = (back.ipv4(), port).into();
            Server::start(&back, listen, &port.to_string())
        });
        Some(Self {
            servers: servers.collect(),
            a,
            b,
            client,
            third,
            back,
            _lab: lab,
            _turn: turn,
        })
    }

    /// What a switch is told whose backends are all servers.
    pub fn policy(&self) -> Policy {
        let backend = |port: u16| format!("\"{}:{port}\"", self.back.ipv4());
        let backends: Vec<String> = (3001..).take(self.servers.len()).map(backend).collect();
        Policy {
            group: GROUP,
            address: format!("{SHARED}/24"),
            peers: [11, 12].map(|last| Ipv4Addr::new(10, 77, 0, last)).to_vec(),
            secret: Some(SECRET.to_owned()),
            keys: String::new(),
            listener: "[listener.web]\nbind = \":80\"\n".to_owned(),
            route: String::new(),
            pool: format!("backends = [{}]\n", backends.join(", ")),
        }
    }

    /// Switches in `a` and `b`; `a` is preferred and holds the address.
    pub fn pair(&self, policy: &Policy) -> (Switch, Switch) {
        let a = Switch::start(&self.a, &policy.text(150));
        let b = Switch::start(&self.b, &policy.text(100));
        wait_for_role(&a, "active");
        wait_for_role(&b, "standby");
        if policy.secret.is_some() {
            let touched = |switch| peer(switch, |one| one["state"] == "up").is_some();
            wait_until("both are in touch", || touched(&a) && touched(&b));
        }
        wait_until("the address is announced", || {
            self.a.holds(SHARED.parse().unwrap()) && !self.b.holds(SHARED.parse().unwrap())
        });
        (a, b)
    }

    /// Which of both hosts have the address.
    pub fn held(&self) -> (bool, bool) {
        let shared: IpAddr = SHARED.parse().unwrap();
        (self.a.holds(shared), self.b.holds(shared))
    }
}

/// Where clients connect.
pub fn target() -> SocketAddr {
    SocketAddr::new(SHARED.parse().unwrap(), 80)
}

/// What a switch is told.
#[derive(Clone)]
pub struct Policy {
    pub group: u8,
    pub address: String,
    /// To whom adverts go; with none, they go to all.
    pub peers: Vec<Ipv4Addr>,
    pub secret: Option<String>,
    /// More keys of `[contact]`.
    pub keys: String,
    pub listener: String,
    /// More keys of the route.
    pub route: String,
    /// The keys of the pool.
    pub pool: String,
}

impl Policy {
    pub fn text(&self, priority: u8) -> String {
        let mut text = format!(
            "[process]\ndrain = \"1s\"\n[contact]\naddress = [{:?}]\ninterface = \"{INTERFACE}\"\n\
             group = {}\npriority = {priority}\n{}",
            self.address, self.group, self.keys
        );
        if !self.peers.is_empty() {
            let peers: Vec<String> = self.peers.iter().map(Ipv4Addr::to_string).collect();
            let _ = writeln!(text, "peers = {peers:?}");
        }
        if let Some(secret) = &self.secret {
            let _ = writeln!(text, "secret = {secret:?}");
        }
        let Self {
            listener,
            route,
            pool,
            ..
        } = self;
        text + &format!("{listener}[[route]]\npool = \"app\"\n{route}[pool.app]\n{pool}")
    }
}

/// What a switch tells of its only group.
pub fn group(switch: &Switch) -> Value {
    switch.status()["contact"]["contacts"][0].clone()
}

#[track_caller]
pub fn wait_for_role(switch: &Switch, role: &str) {
    wait_until(&format!("it is {role}"), || group(switch)["role"] == role);
}

/// The first peer like that, as a switch tells.
pub fn peer(switch: &Switch, fits: impl Fn(&Value) -> bool) -> Option<Value> {
    let peers = switch.status()["contact"]["peers"].clone();
    peers.as_array()?.iter().find(|one| fits(one)).cloned()
}

/// The sum of a metric's series whose labels contain this.
pub fn metric(switch: &Switch, name: &str, labels: &str) -> f64 {
    let text = switch.admin("GET", "/metrics").1;
    let lines = text
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(labels));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
