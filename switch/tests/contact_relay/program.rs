//! The program by itself: what it decides about packets made by hand, beside real sockets.

use std::io::Read as _;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Array, HashMap, PerCpuArray};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};

use crate::lab::{Host, Lab, uninterrupted};
use crate::packet::{Packet, Quote, checksum};
use crate::support::say;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/relay.bpf.o");

/// `TC_ACT_UNSPEC` and `TC_ACT_REDIRECT`.
const PASS: i32 = -1;
const PASSED_ON: i32 = 7;

const OLD: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The kernel runs the program as if the packets came from the loopback interface: this is whom
/// they are for.
const OWN: [u8; 6] = [0; 6];

#[test]
fn segments_of_unknown_connections_alone_are_passed_on() {
    if !crate::applies("segments_of_unknown_connections_alone_are_passed_on") {
        return;
    }
    Lab::bare().within(Host::New, || {
        for local in ["127.0.0.9", "::1"] {
            decides(&Scene::set(local.parse().unwrap()));
        }
    });
}

#[test]
fn a_connection_that_was_closed_a_moment_ago_is_known() {
    if !crate::applies("a_connection_that_was_closed_a_moment_ago_is_known") {
        return;
    }
    Lab::bare().within(Host::New, || {
        for local in ["127.0.0.9", "::1"] {
            let mut scene = Scene::set(local.parse().unwrap());
            let late = scene.known();
            // Who closes first waits (RFC 9293, 3.6.1): the server.
            scene.server.shutdown(Shutdown::Both).unwrap();
            assert_eq!(uninterrupted(|| scene.client.read(&mut [0])).unwrap(), 0);
            scene.client.shutdown(Shutdown::Both).unwrap();
            assert_eq!(scene.program.run(&late.bytes()).0, PASS);
        }
    });
}

#[test]
fn a_packet_that_is_passed_on_has_other_ends_and_one_hop_less() {
    if !crate::applies("a_packet_that_is_passed_on_has_other_ends_and_one_hop_less") {
        return;
    }
    Lab::bare().within(Host::New, || {
        for local in ["127.0.0.9", "::1"] {
            let scene = Scene::set(local.parse().unwrap());
            let packet = scene.stranger();
            let (verdict, out) = scene.program.run(&packet.bytes());
            assert_eq!(verdict, PASSED_ON);
            let mut expected = packet;
            (expected.to, expected.from) = (OLD, OWN);
            expected.hops -= 1;
            assert_eq!(out, expected.bytes());
            if expected.local.is_ipv4() {
                assert_eq!(checksum(&out[14..34]), 0);
            }
            assert_eq!(scene.program.relayed(), 1);
        }
    });
}

#[test]
fn a_packet_that_passes_costs_nanoseconds() {
    if !crate::applies("a_packet_that_passes_costs_nanoseconds") {
        return;
    }
    Lab::bare().within(Host::New, || {
        let scene = Scene::set("127.0.0.9".parse().unwrap());
        let known = scene.known().bytes();
        let other = scene.known().but(|p| p.local = elsewhere(p));
        let cost = |packet: &[u8]| scene.program.cost(packet);
        let (own, other) = (cost(&known), cost(&other.bytes()));
        scene.program.clear(scene.client.peer_addr().unwrap().ip());
        let nothing_set = cost(&known);
        say(&format!(
            "the program alone: with nothing set {nothing_set:?}, to another address {other:?}, \
             of a known connection {own:?}"
        ));
        assert!(nothing_set < Duration::from_micros(1) && own < Duration::from_micros(5));
    });
}

/// A connection and a listener that this host knows, at a relayed address.
struct Scene {
    program: Program,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Scene {
    fn set(local: IpAddr) -> Self {
        let listener = TcpListener::bind((local, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let program = Program::load();
        program.set(local);
        Self {
            program,
            listener,
            client,
            server,
        }
    }

    /// A segment of the connection, to the server.
    fn known(&self) -> Packet {
        Packet::acknowledge(self.client.local_addr().unwrap(), self.listens_at())
    }

    /// A segment to the same port of a connection that is not there.
    fn stranger(&self) -> Packet {
        let mut client = self.client.local_addr().unwrap();
        client.set_port(client.port() ^ 1);
        Packet::acknowledge(client, self.listens_at())
    }

    fn listens_at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// What becomes of which packet.
fn decides(scene: &Scene) {
    for (what, verdict, packet) in segments(scene).into_iter().chain(errors(scene)) {
        let decided = scene.program.run(&packet.bytes()).0;
        assert_eq!(decided, verdict, "{what}: {packet:?}");
    }
    let whole = scene.stranger().bytes();
    // The kernel makes no such packet of less than its headers of Ethernet and IP.
    let least = whole.len() - 20;
    for length in least..whole.len() - 1 {
        let decided = scene.program.run(&whole[..length]).0;
        assert_eq!(decided, PASS, "cut off after {length}");
    }
}

fn segments(scene: &Scene) -> Vec<(&'static str, i32, Packet)> {
    let (known, stranger) = (scene.known(), scene.stranger());
    let to_nobody = stranger.but(|p| p.local_port = 1);
    let mut cases = vec![
        ("of an unknown connection", PASSED_ON, stranger.clone()),
        ("of a known connection", PASS, known.clone()),
        ("where nobody listens", PASSED_ON, to_nobody.clone()),
        ("a reset", PASSED_ON, stranger.but(|p| p.flags = 0x04)),
        ("an answer", PASSED_ON, stranger.but(|p| p.flags = 0x12)),
        ("a request", PASS, stranger.but(|p| p.flags = 0x02)),
        ("ECN", PASS, to_nobody.but(|p| p.flags = 0xc2)),
        ("elsewhere", PASS, stranger.but(|p| p.local = elsewhere(p))),
        ("to another", PASS, stranger.but(|p| p.to = [2; 6])),
        ("to all", PASS, stranger.but(|p| p.to = [0xff; 6])),
        ("by the old one", PASS, stranger.but(|p| p.from = OLD)),
        ("at its last hop", PASS, stranger.but(|p| p.hops = 1)),
        ("UDP", PASS, stranger.but(|p| p.protocol = 17)),
        ("of a VLAN", PASS, stranger.but(|p| p.vlan = true)),
    ];
    if known.local.is_ipv6() {
        cases.push(("extended", PASS, stranger.but(|p| p.protocol = 0)));
        return cases;
    }
    cases.extend([
        ("cut short", PASS, stranger.but(|p| p.fragment = 100)),
        ("begun", PASSED_ON, stranger.but(|p| p.fragment = 0x2000)),
        ("options", PASSED_ON, stranger.but(|p| p.options = 8)),
        ("known, options", PASS, known.but(|p| p.options = 40)),
    ]);
    cases
}

fn errors(scene: &Scene) -> Vec<(&'static str, i32, Packet)> {
    let (known, stranger) = (scene.known(), scene.stranger());
    let (too_big, time_exceeded, echo) = match known.local {
        IpAddr::V4(_) => (3, 11, 8),
        IpAddr::V6(_) => (2, 3, 128),
    };
    let about = |quoted: &Packet, kind, change: fn(&mut Quote, IpAddr)| {
        let mut quote = quoted.quote();
        quote.kind = kind;
        change(&mut quote, elsewhere(quoted));
        stranger.clone().with_quote(quote)
    };
    let as_it_is = |_: &mut Quote, _| {};
    vec![
        ("big", PASSED_ON, about(&stranger, too_big, as_it_is)),
        ("late", PASSED_ON, about(&stranger, time_exceeded, as_it_is)),
        ("about known", PASS, about(&known, too_big, as_it_is)),
        ("an echo", PASS, about(&stranger, echo, as_it_is)),
        (
            "about elsewhere",
            PASS,
            about(&stranger, too_big, |quote, other| quote.source = other),
        ),
        (
            "about UDP",
            PASS,
            about(&stranger, too_big, |quote, _| quote.protocol = 17),
        ),
    ]
}

/// An address that is not relayed.
fn elsewhere(packet: &Packet) -> IpAddr {
    match packet.local {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 8]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 2]),
    }
}

/// The program, loaded as the switch does.
struct Program(std::cell::RefCell<Ebpf>);

impl Program {
    fn load() -> Self {
        let mut object = Ebpf::load(OBJECT).unwrap();
        program(&mut object).load().unwrap();
        Self(object.into())
    }

    fn set(&self, address: IpAddr) {
        let mut object = self.0.borrow_mut();
        let mut relays: HashMap<_, [u8; 16], [u8; 16]> =
            HashMap::try_from(object.map_mut("relays").unwrap()).unwrap();
        let value: Vec<u8> = [&OLD[..], &OWN[..], &1_u32.to_ne_bytes()].concat();
        let value: [u8; 16] = value.try_into().unwrap();
        relays.insert(key(address), value, 0).unwrap();
        self.tell(&mut object, 1);
    }

    fn clear(&self, address: IpAddr) {
        let mut object = self.0.borrow_mut();
        let mut relays: HashMap<_, [u8; 16], [u8; 16]> =
            HashMap::try_from(object.map_mut("relays").unwrap()).unwrap();
        relays.remove(&key(address)).unwrap();
        self.tell(&mut object, 0);
    }

    fn tell(&self, object: &mut Ebpf, count: u32) {
        let mut map: Array<_, u32> = Array::try_from(object.map_mut("count").unwrap()).unwrap();
        map.set(0, count, 0).unwrap();
    }

    fn relayed(&self) -> u64 {
        let object = self.0.borrow();
        let map: PerCpuArray<_, u64> =
            PerCpuArray::try_from(object.map("relayed").unwrap()).unwrap();
        map.get(&0, 0).unwrap().iter().sum()
    }

    /// The verdict, and the packet as it is then.
    fn run(&self, packet: &[u8]) -> (i32, Vec<u8>) {
        let mut out = vec![0; packet.len()];
        let result = program(&mut self.0.borrow_mut()).test_run(TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        });
        (result.unwrap().return_value.cast_signed(), out)
    }

    /// The time of one run, on average.
    fn cost(&self, packet: &[u8]) -> Duration {
        let result = program(&mut self.0.borrow_mut()).test_run(TestRunOptions {
            data_in: Some(packet),
            repeat: 1_000_000,
            ..TestRunOptions::default()
        });
        result.unwrap().duration
    }
}

fn program(object: &mut Ebpf) -> &mut SchedClassifier {
    let program = object.program_mut("pointsman_relay").unwrap();
    program.try_into().unwrap()
}

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
