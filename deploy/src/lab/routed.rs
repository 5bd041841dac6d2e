//! Two switches that both hold an address, and a router that shares its clients out to them. BIRD runs
//! everywhere with the configurations that Pointsman ships (`deploy/bird`).

use std::net::{IpAddr, SocketAddr};

use super::run::wait_until;
use super::{Bird, Host, INTERFACE, Lab, Server, Skip, Switch};

/// The address that is announced, and the device that it stands on.
const ADDRESS: &str = "198.51.100.10";
const DEVICE: &str = "pointsman0";
/// Where the servers listen.
const PORTS: [u16; 2] = [3001, 3002];

/// The whole network. Everything is there: the router knows both ways.
#[derive(Debug)]
pub struct RoutedLab {
    // Programs end before the hosts that they run in.
    /// Both switches: `a` and `b`.
    pub switches: [Switch; 2],
    /// The BIRDs of both.
    pub birds: [Bird; 2],
    /// That of the router.
    pub routing: Bird,
    servers: Vec<Server>,
    /// Where the switches run.
    pub hosts: [Host; 2],
    /// Behind the router.
    pub client: Host,
    /// Shares out.
    pub router: Host,
    /// Where the servers run, which both switches reach by themselves.
    pub back: Host,
    _lab: Lab,
}

impl RoutedLab {
    /// Builds it, and waits until the router knows both ways.
    ///
    /// # Errors
    ///
    /// With the reason why there can be none here.
    pub fn new() -> Result<Self, Skip> {
        let lab = Lab::with(&["bird", "birdc", "nft"])?;
        let router = router(&lab);
        let client = lab.host("client", "10.78.0.20/24", None);
        client.ip("route add default via 10.78.0.1");
        let back = lab.host("back", "10.77.0.30/24", None);
        let servers = PORTS.map(|port| {
            let listen = (back.ipv4(), port).into();
            Server::start(&back, listen, &port.to_string())
        });
        let hosts = [("a", 11), ("b", 12)].map(|(name, last)| {
            let host = lab.host(name, &format!("10.77.0.{last}/24"), None);
            host.ip("route add default via 10.77.0.1");
            host
        });
        let switches = [0, 1].map(|at: usize| Switch::start(&hosts[at], &policy(&hosts)));
        let birds = [0, 1].map(|at: usize| Bird::start(&hosts[at], &of_switch(&hosts[at])));
        let routing = Bird::start(&router, &of_router());
        let routed = Self {
            switches,
            birds,
            routing,
            servers: servers.into(),
            hosts,
            client,
            router,
            back,
            _lab: lab,
        };
        routed.wait_for_ways(&[0, 1]);
        wait_until("BFD is up", || {
            let sessions = routed.routing.birdc(&["show", "bfd", "sessions"]);
            sessions.matches(" Up ").count() == 2
        });
        Ok(routed)
    }

    /// Where clients connect.
    pub fn target(&self) -> SocketAddr {
        (address(), 80).into()
    }

    /// The next hops to the address that the router knows: numbers of switches.
    pub fn ways(&self) -> Vec<usize> {
        let text = self.router.ip(&format!("route show {ADDRESS}"));
        let is_way = |at: &usize| text.contains(&format!("via {} ", self.hosts[*at].ipv4()));
        (0..self.hosts.len()).filter(is_way).collect()
    }

    /// Waits until the router knows these ways and no others.
    #[track_caller]
    pub fn wait_for_ways(&self, ways: &[usize]) {
        let what = format!("the router knows the ways {ways:?}");
        wait_until(&what, || self.ways() == ways);
    }

    /// Whether the switch's device has the address.
    pub fn announces(&self, switch: usize) -> bool {
        let device = self.hosts[switch].ip("-br address");
        let line = device.lines().find(|line| line.starts_with(DEVICE));
        line.is_some_and(|line| line.contains(ADDRESS))
    }

    /// Lets a switch reach no server any more, or reach them again.
    pub fn cut_off(&self, switch: usize, cut: bool) {
        let host = &self.hosts[switch];
        match cut {
            true => host.drop_to(self.back.ipv4().into()),
            false => host.drop_nothing(),
        }
    }

    /// Starts a switch again that has ended.
    pub fn restart(&mut self, switch: usize) {
        self.switches[switch] = Switch::start(&self.hosts[switch], &policy(&self.hosts));
    }

    /// Ends the servers.
    pub fn stop_servers(&mut self) {
        self.servers.clear();
    }
}

fn address() -> IpAddr {
    ADDRESS.parse().expect("it is one")
}

/// The client stands behind it, though it uses the same cable.
fn router(lab: &Lab) -> Host {
    let router = lab.host("router", "10.77.0.1/24", None);
    router.ip(&format!("addr add 10.78.0.1/24 dev {INTERFACE}"));
    router.sysctl("net/ipv4/ip_forward", "1");
    router.sysctl("net/ipv4/fib_multipath_hash_policy", "1");
    for interface in ["all", INTERFACE] {
        router.sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0");
    }
    router
}

/// The same for both: only then each believes what the other says of its backends.
fn policy(hosts: &[Host; 2]) -> String {
    let [a, b] = hosts.each_ref().map(Host::ipv4);
    let backends = PORTS
        .map(|port| format!("\"10.77.0.30:{port}\""))
        .join(", ");
    format!(
        "[process]\ndrain = \"1s\"\n\
         [contact]\nannounce = \"bgp\"\naddress = [\"{ADDRESS}/32\"]\npeers = [\"{a}\", \"{b}\"]\n\
         secret = \"a secret of the lab 0123456789\"\n\
         [listener.web]\nbind = \":80\"\n\
         [[route]]\npool = \"app\"\n[pool.app]\nbackends = [{backends}]\n\
         health = {{ interval = \"100ms\", timeout = \"200ms\", fall = 2, rise = 1 }}\n"
    )
}

fn of_switch(host: &Host) -> String {
    let shipped = include_str!("../../bird/switch.conf");
    adapted(shipped).replace("192.0.2.11", &host.ipv4().to_string())
}

fn of_router() -> String {
    adapted(include_str!("../../bird/router.conf"))
}

/// The addresses, the interface and the log of the lab.
fn adapted(shipped: &str) -> String {
    shipped
        .replace("192.0.2.1 ", "10.77.0.1 ")
        .replace("192.0.2.1;", "10.77.0.1;")
        .replace("neighbor 192.0.2.", "neighbor 10.77.0.")
        .replace("eth0", INTERFACE)
        .replace("log syslog", "log stderr")
}
