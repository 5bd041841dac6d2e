//! The network lab itself: hosts reach each other, cables are cut and mended, and the programs
//! that we are measured against do what they do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use pointsman_deploy::lab::{
    Bird, Capture, Config, Host, INTERFACE, KeepAlive, Keepalived, Lab, Outcome, Prober, Record,
    Server, State, Switch, wait_until,
};

/// The shared address.
const SHARED: &str = "10.77.0.100";

#[test]
fn hosts_reach_each_other_by_both_versions_of_ip() {
    let Some(lab) = lab("hosts_reach_each_other_by_both_versions_of_ip", &[]) else {
        return;
    };
    let a = lab.host("a", "10.77.0.11/24", Some("fd77::11/64"));
    let client = lab.host("client", "10.77.0.20/24", Some("fd77::20/64"));
    let _web = Server::start(&a, "[::]:80".parse().unwrap(), "one");
    for target in ["10.77.0.11:80", "[fd77::11]:80"] {
        assert_eq!(names(&probe(&client, target.parse().unwrap())), ["one"]);
    }
    assert!(a.addresses().contains(&"fd77::11".parse().unwrap()));
    assert!(a.holds("10.77.0.11".parse().unwrap()));
    assert_ne!(a.mac(), client.mac());
}

#[test]
fn what_runs_in_a_host_is_in_its_namespace() {
    let Some(lab) = lab("what_runs_in_a_host_is_in_its_namespace", &[]) else {
        return;
    };
    let a = lab.host("a", "10.77.0.11/24", None);
    let printed = a.run("ip", &["-br", "addr"]);
    assert!(printed.contains("10.77.0.11/24"), "{printed}");
    let bound = a.enter(|| std::net::UdpSocket::bind("10.77.0.11:7").is_ok());
    assert!(bound, "its address is there to be bound");
    assert!(std::net::UdpSocket::bind("10.77.0.11:7").is_err());
}

#[test]
fn nothing_is_left_of_a_lab_that_panicked() {
    let Some(lab) = lab("nothing_is_left_of_a_lab_that_panicked", &[]) else {
        return;
    };
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let a = lab.host("a", "10.77.0.11/24", None);
        send.send(a.netns_path()).unwrap();
        let _web = Server::start(&a, "0.0.0.0:80".parse().unwrap(), "one");
        panic!("this panic is meant to be");
    });
    assert!(panicked.join().is_err());
    assert!(!receive.recv().unwrap().exists());
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next() {
    let name = "what_a_killed_process_left_is_removed_by_the_next";
    let Some(_first) = lab(name, &[]) else {
        return;
    };
    let ip = |words: &[&str]| {
        let words = ["netns"].iter().chain(words);
        let output = std::process::Command::new("ip").args(words).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // No process has a number as large as that.
    let left = "pml4194305-0-a";
    ip(&["add", left]);
    let _second = lab(name, &[]).unwrap();
    assert!(!ip(&["list"]).contains(left));
}

#[test]
fn a_silent_cut_stops_everything_but_the_carrier_and_can_be_mended() {
    let name = "a_silent_cut_stops_everything_but_the_carrier_and_can_be_mended";
    let Some(lab) = lab(name, &[]) else { return };
    let a = lab.host("a", "10.77.0.11/24", None);
    let client = lab.host("client", "10.77.0.20/24", None);
    let _web = Server::start(&a, "0.0.0.0:80".parse().unwrap(), "one");
    let target = "10.77.0.11:80".parse().unwrap();

    let prober = Prober::start(&client, target);
    let kept = KeepAlive::start(&client, target, 2, Duration::from_millis(10));
    wait_until("the first answers", || kept.kept().requests > 5);
    a.silent(true);
    assert!(a.ip(&format!("link show {INTERFACE}")).contains("LOWER_UP"));
    std::thread::sleep(Duration::from_millis(300));
    a.silent(false);
    wait_until("answers come again", || answers(&prober.record()));
    let record = prober.stop();
    let blackout = record.blackout();
    assert!(blackout >= Duration::from_millis(290), "{blackout:?}");
    assert!(record.failed() >= 100, "{}", record.failed());
    let last = record.attempts.iter().rfind(|one| !one.is_ok()).unwrap();
    assert_eq!(last.outcome, Outcome::Timeout);
    assert_eq!(kept.stop().broken, 0, "TCP sends again what was lost");

    a.carrier(false);
    assert!(
        a.ip(&format!("link show {INTERFACE}"))
            .contains("NO-CARRIER")
    );
    a.carrier(true);
    wait_until("the carrier is there", || connects(&client, target));
}

#[test]
fn a_partition_parts_two_sets_of_hosts() {
    let Some(lab) = lab("a_partition_parts_two_sets_of_hosts", &[]) else {
        return;
    };
    let hosts = [("a", 11), ("b", 12), ("near", 21), ("far", 22)]
        .map(|(name, last)| lab.host(name, &format!("10.77.0.{last}/24"), None));
    let [a, b, near, far] = &hosts;
    let _webs = [a, b].map(|host| Server::start(host, "0.0.0.0:80".parse().unwrap(), host.name()));
    let reaches = |from: &Host, to: &Host| connects(from, (to.ipv4(), 80).into());

    lab.partition(&[b, far]);
    assert!(reaches(near, a) && reaches(far, b));
    assert!(!reaches(near, b) && !reaches(far, a));
    lab.heal();
    // What was looked for in vain is looked for again after a second.
    wait_until("all reach all", || reaches(near, b) && reaches(far, a));
}

#[test]
fn a_switch_in_a_host_serves_the_others_and_is_asked_from_outside() {
    let name = "a_switch_in_a_host_serves_the_others_and_is_asked_from_outside";
    let Some(lab) = lab(name, &[]) else { return };
    let front = lab.host("front", "10.77.0.11/24", None);
    let back = lab.host("back", "10.77.0.30/24", None);
    let client = lab.host("client", "10.77.0.20/24", None);
    let _web = Server::start(&back, "0.0.0.0:3001".parse().unwrap(), "one");
    let mut switch = Switch::start(
        &front,
        "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"app\"\n\
         response_headers = { set = { x-switch = \"front\" } }\n\
         [pool.app]\nbackends = [\"10.77.0.30:3001\"]\n",
    );
    let target = "10.77.0.11:80".parse().unwrap();
    assert_eq!(names(&probe(&client, target)), ["front"]);
    assert_eq!(switch.status()["listeners"][0]["name"], "web");

    let kept = KeepAlive::start(&client, target, 2, Duration::from_millis(10));
    wait_until("the first answers", || kept.kept().requests > 5);
    switch.kill();
    wait_until("both connections are broken", || kept.kept().broken == 2);
    assert_eq!(switch.has_ended(), Some(-1));
    assert_eq!(kept.stop().reconnections, 0);
}

#[test]
fn keepalived_elects_by_priority_and_fails_over() {
    let name = "keepalived_elects_by_priority_and_fails_over";
    let Some(lab) = lab(name, &["keepalived", "tcpdump"]) else {
        return;
    };
    let a = lab.host("a", "10.77.0.11/24", None);
    let b = lab.host("b", "10.77.0.12/24", None);
    let client = lab.host("client", "10.77.0.20/24", None);
    let _webs =
        [&a, &b].map(|host| Server::start(host, "0.0.0.0:80".parse().unwrap(), host.name()));
    let mut first = Keepalived::start(&a, &pair(150, &b));
    let second = Keepalived::start(&b, &pair(100, &a));
    let shared: IpAddr = SHARED.parse().unwrap();
    wait_until("a is elected", || a.holds(shared));
    wait_until("and says so", || first.state() == State::Master);
    wait_until("b stands by", || second.state() == State::Backup);

    let capture = Capture::start(&client, "arp");
    let prober = Prober::start(&client, (shared, 80).into());
    wait_until("a answers", || answers(&prober.record()));
    first.stop();
    wait_until("b is elected", || b.holds(shared));
    assert!(!a.holds(shared));
    wait_until("b answers", || prober.record().answered_by().len() == 2);
    assert_eq!(second.state(), State::Master, "{}", second.log());
    let record = prober.stop();
    assert_eq!(names(&record), ["a", "b"]);
    assert!(record.blackout() < Duration::from_secs(2));

    let frames = capture.stop();
    let told = |frame: &Vec<u8>| {
        let shared = frame[28..32] == [10, 77, 0, 100];
        shared && frame[..6] == [0xff; 6] && frame[6..12] == b.mac()
    };
    assert!(frames.iter().any(told), "b tells that the address is there");
}

#[test]
fn keepalived_fails_over_for_ipv6_by_multicast() {
    fails_over_for_ipv6("keepalived_fails_over_for_ipv6_by_multicast", false);
}

#[test]
fn keepalived_fails_over_with_a_virtual_hardware_address() {
    fails_over_for_ipv6(
        "keepalived_fails_over_with_a_virtual_hardware_address",
        true,
    );
}

fn fails_over_for_ipv6(name: &str, virtual_mac: bool) {
    let Some(lab) = lab(name, &["keepalived"]) else {
        return;
    };
    let host = |name, last: u8| {
        let ipv6 = format!("fd77::{last}/64");
        lab.host(name, &format!("10.77.0.{last}/24"), Some(&ipv6))
    };
    let (a, b, client) = (host("a", 11), host("b", 12), host("client", 20));
    let _webs = [&a, &b].map(|host| Server::start(host, "[::]:80".parse().unwrap(), host.name()));
    let config = |priority| Config {
        priority,
        virtual_mac,
        addresses: vec!["fe80::100/64".to_owned(), "fd77::100/64".to_owned()],
        ..Config::default()
    };
    let shared: IpAddr = "fd77::100".parse().unwrap();
    let mut first = Keepalived::start(&a, &config(150));
    wait_until("a is elected", || a.holds(shared));
    let _second = Keepalived::start(&b, &config(100));
    let prober = Prober::start(&client, (shared, 80).into());
    wait_until("a answers", || answers(&prober.record()));
    first.kill();
    wait_until("b is elected", || b.holds(shared));
    assert!(a.holds(shared), "nobody was left to remove it");
    wait_until("b answers", || prober.record().answered_by().len() == 2);
    assert_eq!(prober.stop().answered_by()[1].1, "b");
}

#[test]
fn a_killed_keepalived_leaves_its_address_and_tells_nobody() {
    let name = "a_killed_keepalived_leaves_its_address_and_tells_nobody";
    let Some(lab) = lab(name, &["keepalived", "tcpdump"]) else {
        return;
    };
    let a = lab.host("a", "10.77.0.11/24", None);
    let b = lab.host("b", "10.77.0.12/24", None);
    let mut first = Keepalived::start(&a, &pair(150, &b));
    let shared = SHARED.parse().unwrap();
    wait_until("a is elected", || a.holds(shared));
    let capture = Capture::start(&b, "proto 112");
    std::thread::sleep(Duration::from_millis(300));
    first.kill();
    assert!(a.holds(shared));
    let frames = capture.stop();
    assert!(frames.len() >= 2, "{}", frames.len());
    // Ethernet, IP, and then the priority is the third byte of the advert.
    assert!(frames.iter().all(|frame| frame[14 + 20 + 2] == 150));
}

#[test]
fn a_route_that_bird_withdraws_goes_from_the_router() {
    let name = "a_route_that_bird_withdraws_goes_from_the_router";
    let Some(lab) = lab(name, &["bird", "birdc"]) else {
        return;
    };
    let a = lab.host("a", "10.77.0.11/24", None);
    let router = lab.host("router", "10.77.0.1/24", None);
    let number = |host: &Host| 65000 + u32::from(host.ipv4().octets()[3]);
    let speaker = |id: &Host, peer: &Host, more: &str| {
        format!(
            "log stderr all;\nrouter id {};\nprotocol device {{ scan time 1; }}\n{more}\n\
             protocol bgp peer {{ local as {}; neighbor {} as {}; connect delay time 1;\n\
             ipv4 {{ import all; export all; }}; }}\n",
            id.ipv4(),
            number(id),
            peer.ipv4(),
            number(peer)
        )
    };
    let vip = "protocol static vip { ipv4; route 10.99.0.1/32 via \"lo\"; }";
    let fib = "protocol kernel { ipv4 { export all; }; }";
    let bird = Bird::start(&a, &speaker(&a, &router, vip));
    let mut other = Bird::start(&router, &speaker(&router, &a, fib));
    let routed = || router.ip("route show 10.99.0.1").contains("10.77.0.11");
    wait_until("the router knows the way", routed);
    assert!(bird.birdc(&["disable", "vip"]).contains("disabled"));
    wait_until("the route is withdrawn", || !routed());
    assert!(bird.birdc(&["enable", "vip"]).contains("enabled"));
    wait_until("the route is there again", routed);
    other.stop();
}

/// An empty network; none where a program or a right is missing, which is told.
fn lab(test: &str, programs: &[&str]) -> Option<Lab> {
    Lab::with(programs).map_err(|why| why.tell(test)).ok()
}

/// One of two routers that share the address; adverts go to the other one alone.
fn pair(priority: u8, peer: &Host) -> Config {
    Config {
        priority,
        addresses: vec![format!("{SHARED}/24")],
        peers: vec![peer.ipv4().into()],
        ..Config::default()
    }
}

/// Some attempts; a busy machine may be too late for some of them.
fn probe(client: &Host, target: SocketAddr) -> Record {
    let prober = Prober::start(client, target);
    wait_until("a hundred answers", || {
        let record = prober.record();
        record.attempts.len() - record.failed() >= 100
    });
    prober.stop()
}

/// Who answered, each time that it was another one.
fn names(record: &Record) -> Vec<String> {
    record.answered_by().into_iter().map(|one| one.1).collect()
}

/// Whether the last attempt succeeded.
fn answers(record: &Record) -> bool {
    record.attempts.last().is_some_and(|one| one.is_ok())
}

fn connects(from: &Host, to: SocketAddr) -> bool {
    let limit = Duration::from_millis(300);
    from.enter(|| TcpStream::connect_timeout(&to, limit).is_ok())
}
