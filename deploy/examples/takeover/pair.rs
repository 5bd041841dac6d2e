//! Two switches on one network that share an address.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::{Host, Lab, Server, wait_until};

use crate::args::{Event, Who};
use crate::node::{Node, PORTS, SHARED, Settings, pins};
use crate::table::Sample;
use crate::watch::{Watch, random_below};

/// Between the adverts of two Pointsman switches.
const POINTSMAN_INTERVAL: Duration = Duration::from_millis(100);
/// How long a partition lasts.
const PARTITION: Duration = Duration::from_millis(1500);

/// A network of its own, in which the event happens once.
pub fn measure(event: Event, who: Who, interval: Duration) -> Sample {
    let mut stage = Stage::new(who, interval);
    if event == Event::Heal {
        let Stage {
            standby,
            client,
            back,
            ..
        } = &stage;
        let apart: Vec<&Host> = back.iter().chain([standby, client]).collect();
        stage.lab.set_apart(&apart);
    }
    let holder = if who == Who::Direct { "" } else { "a" };
    let mut watch = Watch::start(&stage.client, shared(), holder);
    if event == Event::Heal {
        stage.lab.partition(&[]);
        thread::sleep(PARTITION);
    }
    thread::sleep(random_below(stage.interval));
    watch.begin();
    stage.happen(event);
    let least = match event {
        Event::Heal => Duration::from_millis(1500),
        _ => Duration::from_millis(700),
    };
    let sample = watch.end(least);
    if who != Who::Keepalived && sample.blackout > Duration::from_secs(1) {
        stage.explain();
    }
    sample
}

/// Everybody who takes part.
struct Stage {
    // Programs end before the hosts that they run in.
    first: Node,
    second: Node,
    _servers: Vec<Server>,
    active: Host,
    standby: Host,
    client: Host,
    /// Where the servers are.
    back: Vec<Host>,
    lab: Lab,
    interval: Duration,
}

impl Stage {
    fn new(who: Who, interval: Duration) -> Self {
        let lab = Lab::new().expect("it was possible before");
        let host = |name, last| lab.host(name, &format!("10.77.0.{last}/24"), None);
        let (active, standby) = (host("a", 11), host("b", 12));
        let client = host("client", 20);
        let back = vec![host("servers", 30), host("more", 31)];
        let servers = match who {
            Who::Direct => back.iter().map(serve_directly).collect(),
            _ => PORTS.map(|port| serve(&back[0], port)).into(),
        };
        let interval = match who {
            Who::Pointsman | Who::Direct => POINTSMAN_INTERVAL,
            _ => interval,
        };
        let settings = |host, peer, priority| Settings {
            host,
            peer,
            priority,
            interval,
            servers: &back,
        };
        let first = settings(&active, &standby, 150);
        let first = match who {
            Who::Pointsman | Who::PointsmanKeepalived => Node::pointsman(&first),
            Who::Direct => Node::direct(&first),
            _ => Node::keepalived(&first),
        };
        wait_until("the first switch has the address", || {
            active.holds(shared().ip())
        });
        let second = settings(&standby, &active, 100);
        let second = match who {
            Who::Pointsman | Who::KeepalivedPointsman => Node::pointsman(&second),
            Who::Direct => Node::direct(&second),
            _ => Node::keepalived(&second),
        };
        Self {
            first,
            second,
            _servers: servers,
            active,
            standby,
            client,
            back,
            lab,
            interval,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Yield => self.first.give_way(),
            Event::Stop => self.first.stop(),
            Event::Kill => self.first.kill(),
            Event::KillAll => self.first.kill_all(),
            Event::Silent => self.active.silent(true),
            Event::Carrier => self.active.carrier(false),
            Event::Heal => self.lab.heal(),
            Event::BgpWithdraw | Event::BgpKill | Event::BgpSilent => {
                unreachable!("they happen to routed switches")
            }
        }
    }

    /// What the switches said.
    fn explain(&self) {
        eprintln!("a:\n{}\nb:\n{}", self.first.log(), self.second.log());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for host in [&self.active, &self.standby] {
            let _ = fs::remove_dir_all(pins(host));
        }
    }
}

fn serve(host: &Host, port: u16) -> Server {
    Server::start(host, (host.ipv4(), port).into(), &port.to_string())
}

/// The shared address is the server's as well, and it keeps still about it.
fn serve_directly(host: &Host) -> Server {
    host.sysctl("net/ipv4/conf/all/arp_ignore", "1");
    host.sysctl("net/ipv4/conf/all/arp_announce", "2");
    host.ip(&format!("addr add {SHARED}/32 dev lo"));
    Server::start(host, ([0, 0, 0, 0], 80).into(), host.name())
}

fn shared() -> std::net::SocketAddr {
    let address: Ipv4Addr = SHARED.parse().expect("it is one");
    (address, 80).into()
}
