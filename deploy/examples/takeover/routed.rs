//! Two switches that both have the address, and a router that shares its clients out to them.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::{Bird, Host, Lab, RoutedLab, Server, wait_until};

use crate::args::{Event, Who};
use crate::table::Sample;
use crate::watch::{Watch, random_below};

/// The routed address.
const SHARED: &str = "10.99.0.1";
/// The time between two packets of BFD: the third one that is missing tells of the death.
const BFD: Duration = Duration::from_millis(10);

/// A network of its own, in which the event happens once.
pub fn measure(event: Event, who: Who) -> Sample {
    match who {
        Who::Pointsman => measure_pointsman(event),
        _ => measure_bird(event),
    }
}

/// BIRD and the configurations that Pointsman ships: only the switch dies, its BIRD lives.
fn measure_pointsman(event: Event) -> Sample {
    let mut lab = RoutedLab::new().expect("it was possible before");
    let mut watch = Watch::start(&lab.client, lab.target(), "");
    thread::sleep(random_below(BFD));
    watch.begin();
    match event {
        Event::BgpWithdraw => drop(lab.switches[0].tell(&["contact", "yield"])),
        Event::BgpKill => lab.switches[0].kill(),
        _ => lab.hosts[0].silent(true),
    }
    watch.end(Duration::from_millis(1500))
}

/// A web server beside each BIRD.
fn measure_bird(event: Event) -> Sample {
    let mut stage = Stage::new();
    let target = SHARED.parse().map(|ip: std::net::IpAddr| (ip, 80).into());
    let mut watch = Watch::start(&stage.client, target.expect("it is one"), "");
    thread::sleep(random_below(BFD));
    watch.begin();
    match event {
        Event::BgpWithdraw => drop(stage.birds[0].birdc(&["disable", "vip"])),
        Event::BgpKill => {
            stage.birds[0].kill();
            stage.webs[0].kill();
        }
        _ => stage.switches[0].silent(true),
    }
    watch.end(Duration::from_millis(1500))
}

struct Stage {
    // Programs end before the hosts that they run in.
    birds: Vec<Bird>,
    webs: [Server; 2],
    switches: [Host; 2],
    client: Host,
    _router: Host,
    _lab: Lab,
}

impl Stage {
    fn new() -> Self {
        let lab = Lab::new().expect("it was possible before");
        let router = lab.host("router", "10.77.0.1/24", None);
        // The client stands behind the router, though it uses the same cable.
        router.ip("addr add 10.78.0.1/24 dev e0");
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv4/fib_multipath_hash_policy", "1");
        for interface in ["all", "e0"] {
            router.sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0");
        }
        let client = lab.host("client", "10.78.0.20/24", None);
        client.ip("route add default via 10.78.0.1");
        let switches = [("a", 11), ("b", 12)].map(|(name, last)| {
            let host = lab.host(name, &format!("10.77.0.{last}/24"), None);
            host.ip("route add default via 10.77.0.1");
            host.ip(&format!("addr add {SHARED}/32 dev lo"));
            host
        });
        let webs = [0, 1].map(|index: usize| {
            let host = &switches[index];
            Server::start(host, ([0, 0, 0, 0], 80).into(), host.name())
        });
        let mut birds: Vec<Bird> = switches
            .iter()
            .map(|host| Bird::start(host, &of_switch(host, &router)))
            .collect();
        birds.push(Bird::start(&router, &of_router(&router, &switches)));
        wait_until("the router knows both ways and BFD is up", || {
            let routes = router.ip(&format!("route show {SHARED}"));
            let sessions = birds[2].birdc(&["show", "bfd", "sessions"]);
            routes.matches("nexthop").count() == 2 && sessions.matches(" Up ").count() == 2
        });
        Self {
            birds,
            webs,
            switches,
            client,
            _router: router,
            _lab: lab,
        }
    }
}

fn of_switch(host: &Host, router: &Host) -> String {
    let vip = format!("protocol static vip {{ ipv4; route {SHARED}/32 via \"lo\"; }}\n");
    common(host) + &vip + &session("up", 65010, router, 65001, "import none; export all;")
}

fn of_router(router: &Host, switches: &[Host; 2]) -> String {
    let mut text = common(router);
    text.push_str("protocol kernel { merge paths on; ipv4 { export all; }; }\n");
    for host in switches {
        let filter = "import all; export none;";
        text.push_str(&session(host.name(), 65001, host, 65010, filter));
    }
    text
}

fn common(host: &Host) -> String {
    let (id, every) = (host.ipv4(), BFD.as_millis());
    let mut text = format!("log stderr all;\nrouter id {id};\n");
    let _ = write!(
        text,
        "protocol device {{ scan time 1; }}\nprotocol bfd {{ interface \"e0\" {{\n\
         min rx interval {every} ms; min tx interval {every} ms; multiplier 3; }}; }}\n"
    );
    text
}

fn session(name: &str, own: u32, peer: &Host, theirs: u32, filter: &str) -> String {
    format!(
        "protocol bgp {name} {{ local as {own}; neighbor {} as {theirs}; bfd on;\n\
         connect delay time 1; connect retry time 1; error wait time 1, 2; ipv4 {{ {filter} }}; }}\n",
        peer.ipv4()
    )
}
