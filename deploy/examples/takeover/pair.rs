//! Two switches on one network that share an address.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use pointsman_deploy::lab::{Host, Lab, Server, wait_until};

use crate::args::{Event, Who};
use crate::node::{Node, PORTS, SHARED, Settings};
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
            third,
            ..
        } = &stage;
        stage.lab.set_apart(&[standby, client, third]);
    }
    let mut watch = Watch::start(&stage.client, shared(), "a");
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
    third: Host,
    lab: Lab,
    interval: Duration,
}

impl Stage {
    fn new(who: Who, interval: Duration) -> Self {
        let lab = Lab::new().expect("it was possible before");
        let host = |name, last| lab.host(name, &format!("10.77.0.{last}/24"), None);
        let (active, standby) = (host("a", 11), host("b", 12));
        let (client, third) = (host("client", 20), host("servers", 30));
        let servers = PORTS.map(|port| {
            let listen = (third.ipv4(), port).into();
            Server::start(&third, listen, &port.to_string())
        });
        let interval = match who {
            Who::Pointsman => POINTSMAN_INTERVAL,
            _ => interval,
        };
        let settings = |host, peer, priority| Settings {
            host,
            peer,
            priority,
            interval,
            servers: &third,
        };
        let first = settings(&active, &standby, 150);
        let first = match who {
            Who::Pointsman | Who::PointsmanKeepalived => Node::pointsman(&first),
            _ => Node::keepalived(&first),
        };
        wait_until("the first switch has the address", || {
            active.holds(shared().ip())
        });
        let second = settings(&standby, &active, 100);
        let second = match who {
            Who::Pointsman | Who::KeepalivedPointsman => Node::pointsman(&second),
            _ => Node::keepalived(&second),
        };
        Self {
            first,
            second,
            _servers: servers.into(),
            active,
            standby,
            client,
            third,
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

fn shared() -> std::net::SocketAddr {
    let address: Ipv4Addr = SHARED.parse().expect("it is one");
    (address, 80).into()
}
