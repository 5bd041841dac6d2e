//! Two switches, a client, and the servers behind.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, INTERFACE, Lab, Server, Switch, program, wait_until};
use serde_json::Value;

use crate::clients::ask;

/// The shared addresses.
pub const SHARED: &str = "10.77.0.100";
pub const SHARED6: &str = "fd77::100";
/// Time in which a wrong election would show: several intervals.
pub const WHILE: Duration = Duration::from_millis(500);

/// Labs in which every single request counts have the machine for themselves.
static TURNS: RwLock<()> = RwLock::new(());

/// How a lab goes along with the others.
pub enum Turn {
    Together,
    Alone,
}

/// A network with two hosts for switches.
pub struct Stage {
    _servers: Server,
    pub a: Host,
    pub b: Host,
    pub client: Host,
    pub third: Host,
    pub lab: Lab,
    _together: Option<RwLockReadGuard<'static, ()>>,
    _alone: Option<RwLockWriteGuard<'static, ()>>,
}

impl Stage {
    /// None where a program or a right is missing, which is told.
    pub fn new(test: &str, programs: &[&str], turn: Turn) -> Option<Self> {
        let lab = Lab::with(programs).map_err(|why| why.tell(test)).ok()?;
        let (together, alone) = match turn {
            Turn::Together => (Some(TURNS.read()), None),
            Turn::Alone => (None, Some(TURNS.write())),
        };
        let host = |name, last: u8| {
            let ipv6 = format!("fd77::{last}/64");
            lab.host(name, &format!("10.77.0.{last}/24"), Some(&ipv6))
        };
        let (a, b) = (host("a", 11), host("b", 12));
        let (client, third) = (host("client", 20), host("servers", 30));
        Some(Self {
            _servers: Server::start(&third, (third.ipv4(), 3001).into(), "one"),
            a,
            b,
            client,
            third,
            lab,
            _together: together.map(|turn| turn.unwrap_or_else(PoisonError::into_inner)),
            _alone: alone.map(|turn| turn.unwrap_or_else(PoisonError::into_inner)),
        })
    }

    /// The policy of the switch in this host.
    pub fn policy(&self, host: &Host, priority: u8) -> Policy {
        Policy {
            name: host.name().to_owned(),
            priority,
            addresses: vec![format!("{SHARED}/24")],
            peers: vec![self.a.ipv4().into(), self.b.ipv4().into()],
            keys: String::new(),
            more: String::new(),
            server: (self.third.ipv4(), 3001).into(),
        }
    }

    /// Switches in `a` and `b`, of which `a` is preferred and holds the address.
    pub fn pair(&self, keys: &str) -> (Switch, Switch) {
        let start = |host, priority| {
            let policy = self.policy(host, priority).keys(keys);
            Switch::start(host, &policy.text())
        };
        let (a, b) = (start(&self.a, 150), start(&self.b, 100));
        wait_for(&a, "active");
        wait_for(&b, "standby");
        wait_until("both are in touch", || {
            standbys(&a) == 1 && peers(&b, "up") == 1
        });
        self.wait_until_served_by("a");
        (a, b)
    }

    /// Waits until the client is answered by this one.
    #[track_caller]
    pub fn wait_until_served_by(&self, name: &str) {
        self.wait_until_served(target(), name);
    }

    #[track_caller]
    pub fn wait_until_served(&self, target: SocketAddr, name: &str) {
        let what = format!("{target} is answered by {name}");
        wait_until(&what, || ask(&self.client, target).as_deref() == Some(name));
    }

    /// Whether `a` and whether `b` have this address on an interface.
    pub fn held(&self, address: &str) -> (bool, bool) {
        let address: IpAddr = address.parse().unwrap();
        (self.a.holds(address), self.b.holds(address))
    }
}

/// Where clients connect.
pub fn target() -> SocketAddr {
    SocketAddr::new(SHARED.parse().unwrap(), 80)
}

pub fn target6() -> SocketAddr {
    SocketAddr::new(SHARED6.parse().unwrap(), 80)
}

/// What a switch is told.
#[derive(Clone)]
pub struct Policy {
    name: String,
    priority: u8,
    addresses: Vec<String>,
    peers: Vec<IpAddr>,
    keys: String,
    more: String,
    server: SocketAddr,
}

impl Policy {
    /// More keys of `[contact]`, each on a line.
    pub fn keys(mut self, keys: &str) -> Self {
        self.keys = keys.to_owned();
        self
    }

    /// What the switch calls itself, otherwise by its host.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// More tables.
    pub fn more(mut self, tables: &str) -> Self {
        self.more = tables.to_owned();
        self
    }

    pub fn addresses(mut self, addresses: &[&str]) -> Self {
        self.addresses = addresses.iter().map(|one| (*one).to_owned()).collect();
        self
    }

    /// To whom adverts go; with none, they go to all.
    pub fn peers(mut self, peers: &[IpAddr]) -> Self {
        self.peers = peers.to_vec();
        self
    }

    pub fn text(&self) -> String {
        let peers: Vec<String> = self.peers.iter().map(IpAddr::to_string).collect();
        let mut contact = format!(
            "[contact]\naddress = {:?}\ninterface = \"{INTERFACE}\"\ngroup = 51\npriority = {}\n\
             {}\n",
            self.addresses, self.priority, self.keys
        );
        if !peers.is_empty() {
            let secret = "a secret of the lab 0123456789";
            let _ = writeln!(contact, "peers = {peers:?}\nsecret = \"{secret}\"");
        }
        contact + &self.text_without_contact()
    }

    pub fn text_without_contact(&self) -> String {
        format!(
            "[process]\ndrain = \"3s\"\n[listener.web]\nbind = \":80\"\n\
             [[route]]\npool = \"app\"\n\
             response_headers = {{ set = {{ x-switch = \"{}\" }} }}\n\
             [pool.app]\nbackends = [\"{}\"]\n{}",
            self.name, self.server, self.more
        )
    }
}

/// What a switch tells of its group of this family, such as `ipv4`.
pub fn group_of(switch: &Switch, family: &str) -> Value {
    let groups = switch.status()["contact"]["contacts"].clone();
    let group = format!("51/{family}");
    let groups = groups.as_array().into_iter().flatten();
    let mut found = groups.filter(|one| one["group"] == group.as_str());
    found.next().cloned().unwrap_or_default()
}

#[track_caller]
pub fn wait_for(switch: &Switch, role: &str) {
    wait_for_family(switch, "ipv4", role);
}

#[track_caller]
pub fn wait_for_family(switch: &Switch, family: &str, role: &str) {
    let what = format!("it is {role} for {family}");
    let until = Instant::now() + Duration::from_secs(12);
    while group_of(switch, family)["role"] != role && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    let group = group_of(switch, family);
    assert_eq!(group["role"], role, "{what}: {}", switch.log());
}

/// Switches that would take over, as this one knows.
pub fn standbys(switch: &Switch) -> u64 {
    standbys_for(switch, "ipv4")
}

pub fn standbys_for(switch: &Switch, family: &str) -> u64 {
    group_of(switch, family)["standbys"]
        .as_u64()
        .unwrap_or_default()
}

/// How many peers are in this state.
pub fn peers(switch: &Switch, state: &str) -> usize {
    let peers = switch.status()["contact"]["peers"].clone();
    let peers = peers.as_array().into_iter().flatten();
    peers.filter(|peer| peer["state"] == state).count()
}

/// Events of this word that a switch tells of.
pub fn events(switch: &Switch, word: &str) -> Vec<String> {
    let events = switch.status()["contact"]["events"].clone();
    let events = events.as_array().cloned().unwrap_or_default();
    let of_it = events.iter().filter(|one| one["event"] == word);
    of_it
        .map(|one| one["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Runs `pointsman WORDS` for this switch; it may fail.
pub fn order(switch: &Switch, words: &[&str]) -> Output {
    let mut command = Command::new(program("pointsman"));
    command.args(words).arg("--admin");
    command.arg(switch.admin_address()).output().unwrap()
}

/// Comes to hold, and does so for a while.
#[track_caller]
pub fn lasts(what: &str, mut holds: impl FnMut() -> bool) {
    wait_until(what, &mut holds);
    let until = Instant::now() + WHILE;
    while Instant::now() < until {
        assert!(holds(), "no more: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
