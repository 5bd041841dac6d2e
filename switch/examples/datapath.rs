//! What a packet costs in the programs of direct return: nanoseconds by BPF_PROG_TEST_RUN, without
//! any interface.
//!
//! ```text
//! cargo run --profile fast -p pointsman --example datapath
//! ```
//!
//! The kernel runs a program on one packet again and again. Each run takes a hop off it, so that a
//! reading is of 200 runs; told are the quickest of all readings and the median. All runs are of the
//! same flow: caches are warm, as for a busy client.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use pointsman::control::direct::kernel::{
    Backend, Capacity, Datapath, Hook, Hop, Key, Member, Protocol, State,
};

/// Runs of one reading; a packet has 255 hops at most. For XDP, the kernel takes some ten milliseconds to
/// prepare each reading.
const RUNS: u32 = 200;
const READINGS: usize = 100;

/// A packet leaves as one that comes: for the same address, so that the next run takes it again.
const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 2];

const SYN: u8 = 2;
const ACK: u8 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let head = ["program", "packet", "table", "quickest", "median"];
    writeln!(out, "{}", row(head.map(str::to_owned)))?;
    for hook in [Hook::Xdp, Hook::Tcx] {
        for service in ["192.0.2.10:80", "[2001:db8::10]:80"] {
            measure(&mut out, hook, service.parse()?)?;
        }
    }
    Ok(())
}

fn measure(out: &mut impl io::Write, hook: Hook, service: SocketAddr) -> io::Result<()> {
    let family = if service.is_ipv4() { "IPv4" } else { "IPv6" };
    for (table, connections) in [("none", 0), ("full size", 262_144)] {
        let mut datapath = open(service, connections)?;
        for (what, flags) in [("SYN", SYN), ("ACK", ACK)] {
            let frame = segment(service, flags);
            let (quickest, median) = readings(&mut datapath, hook, &frame)?;
            let packet = format!("{family} {what}");
            let cells = [
                hook.word().to_owned(),
                packet,
                table.to_owned(),
                quickest,
                median,
            ];
            writeln!(out, "{}", row(cells))?;
        }
    }
    Ok(())
}

fn row([program, packet, table, quickest, median]: [String; 5]) -> String {
    format!("{program:<8} {packet:<9} {table:<10} {quickest:>9} {median:>8}")
}

fn open(service: SocketAddr, connections: u32) -> io::Result<Datapath> {
    let capacity = Capacity {
        connections,
        ..Capacity::default()
    };
    let mut datapath = Datapath::open(None, capacity)?;
    datapath.accept_mac(OWN)?;
    let key = Key {
        address: service.ip(),
        port: service.port(),
        protocol: Protocol::Tcp,
    };
    let mut members = Vec::new();
    for id in 1..=20 {
        let hop = Hop::Neighbour {
            interface: 1,
            source_mac: SENDER,
            mac: OWN,
        };
        let backend = Backend {
            address: service.ip(),
            hop,
            state: State::Active,
            identity: u64::from(id),
        };
        datapath.set_backend(id, &backend)?;
        members.push(Member {
            id,
            name: format!("10.0.0.{id}"),
            weight: 1,
        });
    }
    datapath.set_service(key, &members)?;
    Ok(datapath)
}

fn readings(datapath: &mut Datapath, hook: Hook, frame: &[u8]) -> io::Result<(String, String)> {
    let mut times = Vec::with_capacity(READINGS);
    // The kernel believes that frames of tc are for the loopback interface.
    let mut frame = frame.to_vec();
    if matches!(hook, Hook::Tcx | Hook::Clsact) {
        frame[..6].fill(0);
    }
    let before = sent(datapath)?;
    for _ in 0..READINGS {
        times.push(datapath.run(hook, &frame, None, RUNS)?.duration);
    }
    let sent = sent(datapath)? - before;
    if sent != READINGS as u64 * u64::from(RUNS) {
        return Err(io::Error::other(format!(
            "only {sent} packets were passed on"
        )));
    }
    times.sort_unstable();
    let text = |time: Option<&Duration>| {
        time.map_or_else(String::new, |time| format!("{} ns", time.as_nanos()))
    };
    Ok((text(times.first()), text(times.get(READINGS / 2))))
}

fn sent(datapath: &Datapath) -> io::Result<u64> {
    let services = datapath.counters()?.services;
    Ok(services.iter().map(|(_, service)| service.packets).sum())
}

/// Of TCP, from a client to the service, with 255 hops before it.
fn segment(service: SocketAddr, flags: u8) -> Vec<u8> {
    let mut frame = [OWN, SENDER].concat();
    match service {
        SocketAddr::V4(service) => {
            frame.extend([
                8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 255, 6, 0, 0, 198, 51, 100, 7,
            ]);
            frame.extend(service.ip().octets());
        }
        SocketAddr::V6(service) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 255]);
            frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            frame.extend(service.ip().octets());
        }
    }
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(service.port().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    frame
}
