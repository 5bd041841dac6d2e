//! The end of the tunnel from switches of other subnets: a program of the kernel at the interface
//! takes packets out of it. It goes with the process that has attached it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use aya::maps::{HashMap, MapData};
use aya::programs::tc::{self, TcAttachType};
use aya::programs::{SchedClassifier, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};

use crate::decap::OBJECT;

/// The program, at its interface.
#[derive(Debug)]
pub(super) struct Decap {
    kernel: Ebpf,
}

impl Decap {
    /// At the ingress of traffic control, or before it where that does not work.
    pub(super) fn attach(interface: &str) -> io::Result<Self> {
        let mut kernel = EbpfLoader::new()
            .load(OBJECT)
            .map_err(|error| trouble(&error))?;
        let by_tc = attach_tc(&mut kernel, interface);
        if let Err(first) = by_tc {
            attach_xdp(&mut kernel, interface).map_err(|_| first)?;
        }
        Ok(Self { kernel })
    }

    /// Packets of these switches to these addresses are taken out, and no others.
    pub(super) fn set(
        &mut self,
        switches: &BTreeSet<IpAddr>,
        addresses: &[IpAddr],
    ) -> io::Result<()> {
        self.fill("switches", switches.iter().copied())?;
        self.fill("addresses", addresses.iter().copied())
    }

    fn fill(&mut self, map: &str, wanted: impl Iterator<Item = IpAddr>) -> io::Result<()> {
        let map = self.kernel.map_mut(map);
        let map = map.ok_or_else(|| io::Error::other("the program has no such table"))?;
        let mut map: HashMap<&mut MapData, [u8; 16], u8> =
            HashMap::try_from(map).map_err(|error| trouble(&error))?;
        let wanted: BTreeSet<[u8; 16]> = wanted.map(octets).collect();
        let there: Vec<[u8; 16]> = map.keys().filter_map(Result::ok).collect();
        for key in there.iter().filter(|key| !wanted.contains(*key)) {
            map.remove(key).map_err(|error| trouble(&error))?;
        }
        for key in &wanted {
            map.insert(key, 1, 0).map_err(|error| trouble(&error))?;
        }
        Ok(())
    }
}

fn attach_tc(kernel: &mut Ebpf, interface: &str) -> io::Result<()> {
    // Where tcx is not known; with it there is nothing to add.
    let _ = tc::qdisc_add_clsact(interface);
    let program = kernel.program_mut("pointsman_decap_tc");
    let program = program.ok_or_else(|| io::Error::other("the object has no program for tc"))?;
    let program: &mut SchedClassifier = program.try_into().map_err(|error| trouble(&error))?;
    program.load().map_err(|error| trouble(&error))?;
    let attached = program.attach(interface, TcAttachType::Ingress);
    attached.map(drop).map_err(|error| trouble(&error))
}

fn attach_xdp(kernel: &mut Ebpf, interface: &str) -> io::Result<()> {
    let program = kernel.program_mut("pointsman_decap_xdp");
    let program = program.ok_or_else(|| io::Error::other("the object has no program for XDP"))?;
    let program: &mut Xdp = program.try_into().map_err(|error| trouble(&error))?;
    program.load().map_err(|error| trouble(&error))?;
    let attached = program.attach(interface, XdpMode::Skb);
    attached.map(drop).map_err(|error| trouble(&error))
}

/// IPv4 as in `::ffff:192.0.2.1`.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// With its causes.
fn trouble(error: &dyn std::error::Error) -> io::Error {
    let mut text = format!("the tunnel's program: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    io::Error::other(text)
}
