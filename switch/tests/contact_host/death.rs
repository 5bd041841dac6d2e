use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use pointsman::control::contact::host::{
    AddressDevice, Change, Charge, Farewell, Guardian, Held, Host, LinkWatch, Scope,
};
use pointsman::sys::realtime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::common::{self, PATIENCE};
use crate::lab::{self, Lab};

/// What the children hold.
const CONTACT: [&str; 2] = ["10.77.0.10/24", "fd00:77::10/64"];
const CHILD_LINK: &str = "pm-child";
const PACKET: [u8; 8] = [0x31, 51, 0, 0, 0, 100, 0xaa, 0xbb];

fn contact() -> [IpNet; 2] {
    CONTACT.map(|net| net.parse().unwrap())
}

fn guardian() -> Guardian {
    Guardian::start_as(Path::new(env!("CARGO_BIN_EXE_pointsman"))).unwrap()
}

/// Says a word to the test that has started this process, and waits for its answer.
fn report(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "\nchild: {word}").unwrap();
    out.flush().unwrap();
    let _ = std::io::stdin().read(&mut [0; 1]);
}

/// The word of [`report`].
fn reported(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let word = lines.find_map(|line| Some(line.unwrap().strip_prefix("child: ")?.to_owned()));
    word.unwrap()
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whether a process runs; a dead one that nobody has waited for does not.
fn is_running(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn a_killed_switchs_addresses_are_gone_within_milliseconds() {
    let test = "death::a_killed_switchs_addresses_are_gone_within_milliseconds";
    if let Some(link) = lab::child_of() {
        return hold_and_charge(&link.name, link.index);
    }
    let Some(lab) = Lab::alone(test) else { return };
    let index = lab.far.link().index;
    let far = lab.far.inside(|| farewells(index));
    // Other programs on this machine may hold the kernel's lock in one series, hardly in three.
    let medians = (0..3).map(|_| {
        let mut times: Vec<Duration> = (0..7).map(|_| release(&lab, &far, test)).collect();
        times.sort();
        common::say(&format!("released after {times:?}"));
        times[3]
    });
    let limit = Duration::from_millis(5);
    assert!(medians.into_iter().any(|median| median < limit));
}

/// Kills a switch; how long its addresses stayed.
fn release(lab: &Lab, far: &[Socket; 2], test: &str) -> Duration {
    let index = lab.near.link().index;
    let addresses = || {
        let read = || Host::open().unwrap().addresses(index).unwrap();
        lab.near.inside(read)
    };
    let mut child = lab.near.child(test);
    let guardian = reported(&mut child);
    let had = addresses();
    assert!(contact().iter().all(|net| had.contains(net)), "{had:?}");
    let taken = lab.near.inside(|| time_of_release(&mut child, index));
    child.wait().unwrap();
    let has = addresses();
    assert!(contact().iter().all(|net| !has.contains(net)), "{has:?}");
    // The host's own addresses, two and the link-local one, are not touched.
    assert_eq!(has.len(), had.len() - 2);
    assert_farewell(far.each_ref());
    common::wait_until("the guardian ends", || !is_running(&guardian));
    let find = || Host::open().unwrap().link(CHILD_LINK).unwrap();
    assert_eq!(lab.near.inside(find), None);
    taken
}

/// A switch that has become active. The kernel takes its time to free the memory of one with many
/// connections.
fn hold_and_charge(interface: &str, index: u32) {
    let memory = vec![1_u8; 128 << 20];
    let mut guardian = guardian();
    let host = Host::open().unwrap();
    let link = host.create_macvlan(index, CHILD_LINK, [0, 0, 0x5e, 0, 1, 51]);
    let farewell = |source: &str, destination: &str| Farewell {
        interface: interface.to_owned(),
        index,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        port: None,
        packet: PACKET.to_vec(),
    };
    let charge = Charge {
        addresses: contact().map(|net| Held { index, net }).to_vec(),
        farewells: vec![
            farewell("10.77.0.1", "224.0.0.18"),
            farewell("fd00:77::1", "ff02::12"),
        ],
        links: vec![link.unwrap()],
    };
    assert!(guardian.charge(&charge).unwrap());
    for net in contact() {
        host.add_address(index, net, Scope::Universe).unwrap();
    }
    wait_until_it_watches(&guardian);
    report(&guardian.process().unwrap().to_string());
    drop(memory);
}

/// It has started; whoever is killed before is followed, too, but that takes longer.
fn wait_until_it_watches(guardian: &Guardian) {
    let name = format!("/proc/{}/comm", guardian.process().unwrap());
    common::wait_until("it watches", || {
        std::fs::read_to_string(&name).unwrap_or_default() == "pointsman-guard\n"
    });
    std::thread::sleep(Duration::from_millis(20));
}

/// From the kill to the word that both are gone.
fn time_of_release(child: &mut Child, wanted: u32) -> Duration {
    realtime::raise();
    let mut watch = LinkWatch::open().unwrap();
    let mut left = contact().to_vec();
    let start = Instant::now();
    child.kill().unwrap();
    while !left.is_empty() {
        assert!(start.elapsed() < PATIENCE, "{left:?} stay");
        match watch.next().unwrap() {
            Some(Change::AddressGone { index, address }) if index == wanted => {
                left.retain(|net| *net != address);
            }
            Some(_) => {}
            None => {
                let step = Timespec::try_from(Duration::from_millis(100)).unwrap();
                poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&step)).unwrap();
            }
        }
    }
    start.elapsed()
}

/// They hear VRRP of both families on an interface.
fn farewells(index: u32) -> [Socket; 2] {
    let open = |domain| {
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let [four, six] = [Domain::IPV4, Domain::IPV6].map(open);
    let group = Ipv4Addr::new(224, 0, 0, 18);
    four.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
        .unwrap();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
    six.join_multicast_v6(&group, index).unwrap();
    [four, six]
}

fn assert_farewell([mut four, mut six]: [&Socket; 2]) {
    let mut packet = [0; 100];
    let length = four.read(&mut packet).unwrap();
    let (header, content) = packet[..length].split_at(20);
    assert_eq!((header[1], header[8], header[9]), (0xc0, 255, 112));
    assert_eq!(header[12..], [10, 77, 0, 1, 224, 0, 0, 18]);
    assert_eq!(content, PACKET);
    let length = six.read(&mut packet).unwrap();
    assert_eq!(packet[..length], PACKET);
}

#[test]
fn a_dismissed_guardian_goes_and_touches_nothing() {
    let Some(lab) = Lab::new("a_dismissed_guardian_goes_and_touches_nothing") else {
        return;
    };
    let index = lab.near.link().index;
    lab.near.inside(|| {
        let host = Host::open().unwrap();
        let mut guardian = guardian();
        let addresses = contact().map(|net| Held { index, net }).to_vec();
        let charge = Charge {
            addresses,
            ..Charge::default()
        };
        assert!(guardian.charge(&charge).unwrap());
        for net in contact() {
            host.add_address(index, net, Scope::Universe).unwrap();
        }
        let process = guardian.process().unwrap().to_string();
        guardian.dismiss();
        assert!(!Path::new(&format!("/proc/{process}")).exists());
        let has = host.addresses(index).unwrap();
        assert!(contact().iter().all(|net| has.contains(net)), "{has:?}");
    });
}

#[test]
fn the_signals_that_end_a_switch_do_not_end_its_guardian() {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(lab) = Lab::new("the_signals_that_end_a_switch_do_not_end_its_guardian") else {
        return;
    };
    let mut guardian = lab.near.inside(guardian);
    let process = guardian.process().unwrap();
    wait_until_it_watches(&guardian);
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        kill_process(pid, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(guardian.is_alive());
    let session = rustix::process::getsid(Some(pid)).unwrap();
    assert_eq!(session, pid, "it has a session of its own");
    let open = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .count();
    assert!(open <= 5, "it holds {open} descriptors");
}

#[test]
fn a_guardian_that_is_gone_is_followed_by_another_one_with_its_charge() {
    use rustix::process::{Pid, Signal, kill_process};
    let test = "death::a_guardian_that_is_gone_is_followed_by_another_one_with_its_charge";
    if let Some(link) = lab::child_of() {
        let mut guardian = guardian();
        let first = guardian.process().unwrap();
        let addresses = contact().map(|net| Held {
            index: link.index,
            net,
        });
        let charge = Charge {
            addresses: addresses.to_vec(),
            ..Charge::default()
        };
        assert!(guardian.charge(&charge).unwrap());
        let host = Host::open().unwrap();
        for net in contact() {
            host.add_address(link.index, net, Scope::Universe).unwrap();
        }
        let pid = Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        common::wait_until("another one watches", || {
            guardian.tend() && guardian.process() != Some(first)
        });
        return report("ready");
    }
    let Some(lab) = Lab::new(test) else { return };
    let index = lab.near.link().index;
    let mut child = lab.near.child(test);
    assert_eq!(reported(&mut child), "ready");
    kill(&mut child);
    let host = lab.near.inside(|| Host::open().unwrap());
    common::wait_until("the addresses are gone", || {
        let has = host.addresses(index).unwrap();
        contact().iter().all(|net| !has.contains(net))
    });
}

#[test]
fn a_device_of_the_switch_ends_with_it_however_it_ends() {
    let test = "death::a_device_of_the_switch_ends_with_it_however_it_ends";
    if lab::child_of().is_some() {
        let host = Host::open().unwrap();
        let device = AddressDevice::create(&host, "pm-test").unwrap();
        let twice = AddressDevice::create(&host, "pm-test").unwrap_err();
        assert_eq!(twice.kind(), std::io::ErrorKind::ResourceBusy);
        for ip in ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap()) {
            device.add(&host, ip).unwrap();
            let listener = TcpListener::bind((ip, 0)).unwrap();
            TcpStream::connect_timeout(&listener.local_addr().unwrap(), PATIENCE).unwrap();
        }
        device.drain();
        assert_eq!(host.addresses(device.index).unwrap().len(), 2);
        return report("ready");
    }
    if !Path::new("/dev/net/tun").exists() {
        return common::skip(test, "no /dev/net/tun");
    }
    let Some(lab) = Lab::new(test) else { return };
    let mut child = lab.near.child(test);
    assert_eq!(reported(&mut child), "ready");
    let find = || Host::open().unwrap().link("pm-test").unwrap();
    assert!(lab.near.inside(find).unwrap().running);
    kill(&mut child);
    common::wait_until("the device is gone", || lab.near.inside(find).is_none());
}

#[test]
fn a_device_that_another_process_takes_over_stays_with_its_addresses() {
    let test = "death::a_device_that_another_process_takes_over_stays_with_its_addresses";
    if lab::child_of().is_some() {
        let host = Host::open().unwrap();
        let device = AddressDevice::create(&host, "pm-test").unwrap();
        device.add(&host, "192.0.2.1".parse().unwrap()).unwrap();
        return report("ready");
    }
    if !Path::new("/dev/net/tun").exists() {
        return common::skip(test, "no /dev/net/tun");
    }
    let Some(lab) = Lab::new(test) else { return };
    let mut child = lab.near.child(test);
    assert_eq!(reported(&mut child), "ready");
    let (host, heir) = lab.near.inside(|| {
        let host = Host::open().unwrap();
        let heir = AddressDevice::take_over(&host, "pm-test").unwrap();
        (host, heir)
    });
    kill(&mut child);
    let there = host.addresses(heir.index).unwrap();
    assert_eq!(there, ["192.0.2.1/32".parse().unwrap()]);
    assert!(host.link("pm-test").unwrap().unwrap().running);
    drop(heir);
    assert_eq!(host.link("pm-test").unwrap(), None);
}
