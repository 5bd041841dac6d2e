//! The backend's end of a tunnel: which outer headers are taken off.

use std::net::{IpAddr, SocketAddr};

use aya::Ebpf;
use aya::maps::{HashMap, PerCpuArray};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use pointsman::control::direct::kernel::Hook;

use crate::packet::{ACK, Packet};
use crate::scene::{HOOKS, OWN, ROUTER, SERVICES, Verdict, far_address};

/// Addresses of the switch and of another host, by family.
const SWITCHES: [&str; 2] = ["10.9.0.200", "fd09::200"];
const STRANGERS: [&str; 2] = ["10.9.0.201", "fd09::201"];

/// Indices of `counters`.
const TAKEN: u32 = 0;
const BYTES: u32 = 1;
const STRANGER: u32 = 2;
const OTHER_ADDRESS: u32 = 3;
const MALFORMED: u32 = 4;
const FRAGMENTED: u32 = 5;
const FAILED: u32 = 6;

struct Decap {
    programs: Ebpf,
    hook: Hook,
}

impl Decap {
    fn load(hook: Hook) -> Self {
        let mut programs = Ebpf::load(pointsman_backend::decap::OBJECT).unwrap();
        match hook {
            Hook::Xdp => xdp(&mut programs).load().unwrap(),
            _ => tc(&mut programs).load().unwrap(),
        }
        for (map, addresses) in [("switches", SWITCHES), ("addresses", SERVICES)] {
            let map = programs.map_mut(map).unwrap();
            let mut map: HashMap<_, [u8; 16], u8> = map.try_into().unwrap();
            for address in addresses {
                map.insert(key(address.parse().unwrap()), 1, 0).unwrap();
            }
        }
        Self { programs, hook }
    }

    fn run(&mut self, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let mut frame = vec![0; bytes.len() + 64];
        let options = TestRunOptions {
            data_in: Some(bytes),
            data_out: Some(&mut frame),
            ..TestRunOptions::new()
        };
        let done = match self.hook {
            Hook::Xdp => xdp(&mut self.programs).test_run(options),
            _ => tc(&mut self.programs).test_run(options),
        };
        let done = done.unwrap();
        frame.truncate(done.data_size_out as usize);
        let verdict = match (self.hook, done.return_value.cast_signed()) {
            (Hook::Xdp, 2) | (Hook::Tcx, -1) => Verdict::Passed,
            (Hook::Xdp, 1) | (Hook::Tcx, 2) => Verdict::Dropped,
            other => panic!("{other:?} is no verdict"),
        };
        (verdict, frame)
    }

    fn counted(&self, index: u32) -> u64 {
        let map = self.programs.map("counters").unwrap();
        let map: PerCpuArray<_, u64> = map.try_into().unwrap();
        map.get(&index, 0).unwrap().iter().sum()
    }
}

fn xdp(programs: &mut Ebpf) -> &mut Xdp {
    let program = programs.program_mut("pointsman_decap_xdp").unwrap();
    program.try_into().unwrap()
}

fn tc(programs: &mut Ebpf) -> &mut SchedClassifier {
    let program = programs.program_mut("pointsman_decap_tc").unwrap();
    program.try_into().unwrap()
}

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// A client's packet to the service, as the switch has it.
fn inner(service: &str) -> Packet {
    let service = SocketAddr::new(service.parse().unwrap(), 80);
    let client = far_address(service.ip(), 77);
    Packet::tcp(SocketAddr::new(client, 4000), service, ACK).with_data(30)
}

fn tunnelled(packet: &Packet, source: &str) -> Packet {
    let source: IpAddr = source.parse().unwrap();
    let ends = (source, far_address(source, 1));
    packet.tunnelled((OWN, ROUTER), ends)
}

/// Every program, with each family of tunnel and of service.
fn everywhere(test: &str, mut check: impl FnMut(&mut Decap, &str, Packet)) {
    if !crate::applies(test) {
        return;
    }
    for hook in HOOKS {
        for source in SWITCHES {
            for service in SERVICES {
                check(&mut Decap::load(hook), source, inner(service));
            }
        }
    }
}

#[test]
fn the_outer_header_of_a_switch_is_taken_off() {
    let test = "the_outer_header_of_a_switch_is_taken_off";
    everywhere(test, |decap, source, packet| {
        let (verdict, frame) = decap.run(&tunnelled(&packet, source).bytes());
        let expected = packet.passed_on(OWN, ROUTER).bytes();
        assert_eq!((verdict, &frame), (Verdict::Passed, &expected));
        let bytes = expected.len() as u64 - 14;
        assert_eq!((decap.counted(TAKEN), decap.counted(BYTES)), (1, bytes));
    });
}

#[test]
fn what_is_not_for_it_passes_as_it_is() {
    everywhere(
        "what_is_not_for_it_passes_as_it_is",
        |decap, source, packet| {
            let family = usize::from(source.contains(':'));
            let elsewhere = packet.but(|packet| packet.ip.destination = packet.ip.source);
            let tunnel = tunnelled(&packet, source);
            let cases = [
                (STRANGER, tunnelled(&packet, STRANGERS[family])),
                (OTHER_ADDRESS, tunnelled(&elsewhere, source)),
                (7, packet.clone()),
                (7, tunnel.but(|outer| outer.ip.protocol = 47)),
                (7, tunnel.but(|outer| outer.ethertype = 0x0806)),
            ];
            for (index, case) in cases {
                let before = decap.counted(index);
                let bytes = case.bytes();
                assert_eq!(decap.run(&bytes), (Verdict::Passed, bytes), "{case:?}");
                let counted = decap.counted(index) - before;
                assert_eq!(counted, u64::from(index < 7), "{case:?}");
            }
            assert_eq!(decap.counted(TAKEN), 0);
        },
    );
}

#[test]
fn what_contradicts_itself_is_dropped() {
    everywhere(
        "what_contradicts_itself_is_dropped",
        |decap, source, packet| {
            let is_ipv4 = packet.ethertype == 0x0800;
            let longer = if is_ipv4 { 71 } else { 51 };
            let inner = |change: fn(&mut Packet)| tunnelled(&packet.but(change), source);
            let long = packet.but(|packet| packet.ip.length = Some(longer));
            let mut cases = vec![
                (MALFORMED, inner(|packet| packet.ip.version = 9)),
                (MALFORMED, tunnelled(&long, source)),
                (
                    MALFORMED,
                    tunnelled(&packet, source).but(|outer| outer.ip.length = Some(1000)),
                ),
            ];
            if !source.contains(':') {
                let fragment = |outer: &mut Packet| outer.ip.fragment = 0x2000;
                cases.push((FRAGMENTED, tunnelled(&packet, source).but(fragment)));
            }
            if is_ipv4 {
                cases.push((MALFORMED, inner(|packet| packet.ip.header_length = Some(4))));
            }
            for (index, case) in cases {
                let before = decap.counted(index);
                assert_eq!(decap.run(&case.bytes()).0, Verdict::Dropped, "{case:?}");
                assert_eq!(decap.counted(index), before + 1, "{case:?}");
            }
        },
    );
}

#[test]
fn a_mark_of_congestion_goes_on_to_the_inner_header() {
    let test = "a_mark_of_congestion_goes_on_to_the_inner_header";
    everywhere(test, |decap, source, packet| {
        for (inner, outer, taken) in [
            (0xb8, 0xb8, Some(0xb8)),
            (0xba, 0xba, Some(0xba)),
            (0xba, 0xbb, Some(0xbb)),
            (0xb9, 0xbb, Some(0xbb)),
            (0xbb, 0xbb, Some(0xbb)),
            (0xb8, 0xbb, None),
        ] {
            let packet = packet.but(|packet| packet.ip.class = inner);
            let tunnel = tunnelled(&packet, source).but(|packet| packet.ip.class = outer);
            let (verdict, frame) = decap.run(&tunnel.bytes());
            let Some(class) = taken else {
                assert_eq!(verdict, Verdict::Dropped);
                assert_eq!(decap.counted(FAILED), 1);
                continue;
            };
            let expected = packet.but(|packet| packet.ip.class = class);
            assert_eq!(
                frame,
                expected.passed_on(OWN, ROUTER).bytes(),
                "{inner:x} {outer:x}"
            );
        }
    });
}

#[test]
fn a_tunnel_s_frame_cut_off_anywhere_is_not_taken() {
    let test = "a_tunnel_s_frame_cut_off_anywhere_is_not_taken";
    everywhere(test, |decap, source, packet| {
        let bytes = tunnelled(&packet, source).bytes();
        let least = 14 + if source.contains(':') { 40 } else { 20 };
        for length in least..bytes.len() {
            decap.run(&bytes[..length]);
            assert_eq!(decap.counted(TAKEN), 0, "after {length}");
        }
    });
}
