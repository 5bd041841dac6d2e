//! What strangers, and switches that are not meant to be here, do to the contact addresses: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calm;
mod forge;
#[path = "../contact_stage/mod.rs"]
mod stage;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use pointsman::control::contact::vrrp::{Checksum, GROUP_V4};
use pointsman_deploy::lab::{Capture, Host, Switch, wait_until};
use rustix::process::Signal;

use calm::Calm;
use forge::{
    FLAGS, Forger, TCP, UDP, VRRP, advert, datagram, garbage, segment, unpacked, wrong_adverts,
};
use stage::{Policy, Stage, group, metric, peer, wait_for_role};

/// The switches, a host that none of them knows, and two peers at which no switch is. The one with the
/// lower address would open the session.
const A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 13);
const LOW: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 5);
const HIGH: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 14);

const PORT: u16 = 9112;
/// Packets of a flood.
const FLOOD: u64 = 20_000;

#[test]
fn wrong_adverts_are_dropped_and_counted() {
    let test = "wrong_adverts_are_dropped_and_counted";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let (a, b) = stage.pair(&with_absent_peers(&stage));
    let calm = Calm::begin(&stage, &a, &b);
    stage.third.enter(|| {
        let forger = Forger::new();
        for to in [A, B] {
            for (_, ttl, bytes) in wrong_adverts(LOW, to) {
                (0..20).for_each(|_| forger.send(LOW, to, VRRP, ttl, &bytes));
            }
            let right = advert(255).encode(Checksum::PseudoHeader, STRANGER.into(), to.into());
            (0..20).for_each(|_| forger.send(STRANGER, to, VRRP, 255, &right));
        }
    });
    calm.assert("wrong adverts");
    for switch in [&a, &b] {
        for reason in ["ttl", "checksum", "addresses", "length", "source"] {
            wait_for_dropped(switch, reason, 20.0);
        }
    }
    stage.third.enter(|| {
        let forger = Forger::new();
        // Whoever is heard by heartbeats is not believed what others say in its name.
        for (from, to) in [(A, B), (B, A)] {
            for priority in [0, 255] {
                let bytes = advert(priority).encode(Checksum::Plain, from.into(), to.into());
                (0..20).for_each(|_| forger.send(from, to, VRRP, 255, &bytes));
            }
        }
    });
    calm.assert("adverts in the name of the other switch");
    stage.third.enter(|| {
        let forger = Forger::new();
        for n in 0..FLOOD {
            let (from, to) = if n % 2 == 0 { (LOW, A) } else { (STRANGER, B) };
            forger.send(from, to, VRRP, 255, &garbage(n, (n % 64) as usize));
        }
    });
    calm.end("a flood of adverts");
}

#[test]
fn wrong_adverts_to_all_are_dropped_and_counted() {
    let test = "wrong_adverts_to_all_are_dropped_and_counted";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let policy = Policy {
        peers: Vec::new(),
        secret: None,
        ..stage.policy()
    };
    let (a, b) = stage.pair(&policy);
    let calm = Calm::begin(&stage, &a, &b);
    stage.third.enter(|| {
        let forger = Forger::new();
        for (_, ttl, bytes) in wrong_adverts(STRANGER, GROUP_V4) {
            (0..20).for_each(|_| forger.send(STRANGER, GROUP_V4, VRRP, ttl, &bytes));
        }
    });
    calm.assert("wrong adverts");
    for switch in [&a, &b] {
        for reason in ["ttl", "checksum", "addresses", "length"] {
            wait_for_dropped(switch, reason, 20.0);
        }
    }
    stage.third.enter(|| {
        let forger = Forger::new();
        for n in 0..FLOOD {
            forger.send(
                STRANGER,
                GROUP_V4,
                VRRP,
                255,
                &garbage(n, (n % 64) as usize),
            );
        }
    });
    calm.end("a flood of adverts");

    // That it was not for the forger's lack of skill: without a secret anybody nearby can be a member.
    let right = advert(255).encode(Checksum::Plain, STRANGER.into(), GROUP_V4.into());
    wait_until("the right advert is believed", || {
        let send = || Forger::new().send(STRANGER, GROUP_V4, VRRP, 255, &right);
        stage.third.enter(send);
        group(&a)["role"] == "standby"
    });
}

#[test]
fn floods_at_the_port_of_the_sessions_hold_nothing_up() {
    let test = "floods_at_the_port_of_the_sessions_hold_nothing_up";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let (a, b) = stage.pair(&with_absent_peers(&stage));
    let calm = Calm::begin(&stage, &a, &b);
    stage.third.enter(|| {
        let forger = Forger::new();
        for n in 0..FLOOD {
            let bytes = datagram(PORT, PORT, &garbage(n, (n % 200) as usize));
            // From a stranger, from a peer that has no session, and in the name of the other switch.
            let (from, to) = [
                (STRANGER, A),
                (STRANGER, B),
                (LOW, A),
                (HIGH, B),
                (B, A),
                (A, B),
            ][(n % 6) as usize];
            forger.send(from, to, UDP, 64, &bytes);
        }
    });
    calm.assert("a flood of datagrams");
    for switch in [&a, &b] {
        for reason in ["stranger", "malformed"] {
            wait_for_dropped(switch, reason, 1.0);
        }
    }
    stage.third.enter(|| {
        for n in 0..FLOOD {
            let from = if n % 10 == 0 { LOW } else { STRANGER };
            let to = if n % 2 == 0 { A } else { B };
            hang_up(connect(from, to), n);
        }
    });
    calm.assert("a flood of connections");
    for switch in [&a, &b] {
        wait_for_dropped(switch, "unauthentic", 1.0);
    }
    slow_handshakes(&stage.third);
    calm.end("handshakes that never end");
}

/// Peers that say a byte now and then, or nothing at all, for longer than a handshake may take.
fn slow_handshakes(host: &Host) {
    host.enter(|| {
        let silent = TcpListener::bind(SocketAddrV4::new(HIGH, PORT)).unwrap();
        silent.set_nonblocking(true).unwrap();
        let mut accepted = Vec::new();
        let mut slow: Vec<TcpStream> = (0..8).filter_map(|_| connect(LOW, A)).collect();
        let (until, mut ended) = (Instant::now() + Duration::from_secs(5), 0);
        while Instant::now() < until {
            accepted.extend(silent.accept());
            slow.retain_mut(|stream| stream.write_all(&[1]).is_ok());
            ended = ended.max(8 - slow.len());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(ended, 8, "none is listened to for ever");
        assert!(!accepted.is_empty(), "the switches ask who is there");
    });
}

#[test]
fn nobody_else_can_end_a_session_or_speak_in_it() {
    let test = "nobody_else_can_end_a_session_or_speak_in_it";
    let Some(stage) = Stage::new(test, &["tcpdump"], 1) else {
        return;
    };
    let (a, b) = stage.pair(&stage.policy());
    let calm = Calm::begin(&stage, &a, &b);
    let beats = Capture::start(&stage.a, &format!("udp port {PORT}"));
    let session = Capture::start(&stage.a, &format!("tcp port {PORT}"));
    std::thread::sleep(Duration::from_millis(1500));
    let (beats, session) = (beats.stop(), session.stop());
    let beats: Vec<_> = beats.iter().filter_map(|frame| unpacked(frame)).collect();
    assert!(beats.len() > 20, "{}", beats.len());
    stage.third.enter(|| {
        let forger = Forger::new();
        for (from, to, payload) in beats.iter().cycle().take(2000) {
            let bytes = datagram(from.port(), to.port(), payload);
            forger.send(*from.ip(), *to.ip(), UDP, 64, &bytes);
        }
    });
    calm.assert("heartbeats that were sent again");
    for switch in [&a, &b] {
        wait_for_dropped(switch, "replayed", 100.0);
    }

    let (from, to, _) = session.iter().find_map(|frame| unpacked(frame)).unwrap();
    stage.third.enter(|| {
        let forger = Forger::new();
        for n in 0..4000 {
            let numbers = garbage(n, 8);
            let number = |at: usize| u32::from_be_bytes(numbers[at..at + 4].try_into().unwrap());
            for (from, to) in [(from, to), (to, from)] {
                for flags in FLAGS {
                    let bytes = segment(from, to, flags, number(0), number(4));
                    forger.send(*from.ip(), *to.ip(), TCP, 64, &bytes);
                }
            }
        }
    });
    calm.end("forged ends of the session");
}

#[test]
fn a_switch_that_does_not_belong_moves_no_address() {
    let test = "a_switch_that_does_not_belong_moves_no_address";
    let Some(stage) = Stage::new(test, &[], 1) else {
        return;
    };
    let policy = Policy {
        peers: vec![A, B, STRANGER],
        ..stage.policy()
    };
    let (a, b) = stage.pair(&policy);
    let calm = Calm::begin(&stage, &a, &b);

    let other_secret = Policy {
        secret: Some("another secret of the lab 0123456789".to_owned()),
        ..policy.clone()
    };
    let mut third = Switch::start(&stage.third, &other_secret.text(50));
    let is_third = |one: &serde_json::Value| one["address"] == STRANGER.to_string();
    wait_until("both say what is wrong", || {
        let refused = |switch| {
            let found = peer(switch, is_third);
            found.is_some_and(|one| one["state"] == "refused")
        };
        refused(&a) && refused(&b)
    });
    wait_for_role(&third, "standby");
    calm.assert("a switch with another secret");
    third.stop();

    let other_group = Policy {
        group: 52,
        address: "10.77.0.101/24".to_owned(),
        ..policy.clone()
    };
    let mut third = Switch::start(&stage.third, &other_group.text(250));
    wait_for_role(&third, "active");
    wait_until("it is in touch", || {
        let found = peer(&a, |one| is_third(one) && one["state"] == "up");
        found.is_some_and(|one| one["policy"] == "differs")
    });
    calm.assert("a switch of another group");
    third.stop();

    let other_address = Policy {
        address: "10.77.0.102/24".to_owned(),
        ..policy
    };
    let mut third = Switch::start(&stage.third, &other_address.text(250));
    wait_for_role(&third, "active");
    wait_until("it is in touch", || {
        peer(&a, |one| is_third(one) && one["state"] == "up").is_some()
    });
    std::thread::sleep(Duration::from_secs(1));
    calm.assert("a switch with another address in the same group");
    wait_for_dropped(&a, "addresses", 1.0);
    third.signal(Signal::KILL);
    third.kill();
    calm.end("its death");
}

/// The two switches are not all that there is, it says.
fn with_absent_peers(stage: &Stage) -> Policy {
    Policy {
        peers: vec![A, B, LOW, HIGH],
        ..stage.policy()
    }
}

/// Waits until a switch tells that it did not believe so many things for this reason.
#[track_caller]
fn wait_for_dropped(switch: &Switch, reason: &str, least: f64) {
    let label = format!("reason=\"{reason}\"");
    wait_until(&format!("{least} were dropped for {reason}"), || {
        metric(switch, "pointsman_contact_dropped_total", &label) >= least
    });
}

/// From one of the host's own addresses.
fn connect(from: Ipv4Addr, to: Ipv4Addr) -> Option<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    bind(&socket, &SocketAddrV4::new(from, 0)).ok()?;
    connect(&socket, &SocketAddrV4::new(to, PORT)).ok()?;
    Some(socket.into())
}

/// Says something without a meaning, and goes.
fn hang_up(stream: Option<TcpStream>, seed: u64) {
    let Some(mut stream) = stream else { return };
    let _ = stream.write_all(&garbage(seed, 120));
    // Whoever has input that it did not read resets: so no port stays occupied.
    let linger = Some(Duration::ZERO);
    let _ = rustix::net::sockopt::set_socket_linger(&stream, linger);
}
