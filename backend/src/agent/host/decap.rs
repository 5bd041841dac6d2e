//! The end of the tunnel from switches of other subnets: a program of the kernel at the interface
//! takes packets out of it. Pinned, it stays where it is when the agent ends, so that packets in a tunnel
//! are not lost while an agent is started anew; where that is not possible it goes with the process.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, Map, MapData};
use aya::programs::links::FdLink;
use aya::programs::tc::{self, TcAttachType};
use aya::programs::{SchedClassifier, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};

use crate::decap::OBJECT;

/// Where the programs of agents are kept.
const PINS: &str = "/sys/fs/bpf/pointsman-agent";
/// `BPF_FS_MAGIC`.
const FILE_SYSTEM: u64 = 0xcafe_4a11;
const SWITCHES: &str = "switches";
const ADDRESSES: &str = "addresses";
const LINK: &str = "link";

/// The program, at its interface.
#[derive(Debug)]
pub(super) enum Decap {
    /// It goes with this process.
    Own(Box<Ebpf>),
    /// It stays.
    Pinned(PathBuf),
}

impl Decap {
    /// At the ingress of traffic control, or before it where that does not work, for as long as this
    /// process lives.
    pub(super) fn attach(interface: &str) -> io::Result<Self> {
        let mut kernel = EbpfLoader::new()
            .load(OBJECT)
            .map_err(|error| trouble(&error))?;
        let by_tc = attach_tc(&mut kernel, interface);
        if let Err(first) = by_tc {
            attach_xdp(&mut kernel, interface).map_err(|_| first)?;
        }
        Ok(Self::Own(Box::new(kernel)))
    }

    /// Packets of these switches to these addresses are taken out; with `alone` no others any more.
    pub(super) fn set(
        &mut self,
        switches: &BTreeSet<IpAddr>,
        addresses: &[IpAddr],
        alone: bool,
    ) -> io::Result<()> {
        self.fill(SWITCHES, switches.iter().copied(), alone)?;
        self.fill(ADDRESSES, addresses.iter().copied(), alone)
    }

    fn fill(
        &mut self,
        name: &str,
        wanted: impl Iterator<Item = IpAddr>,
        alone: bool,
    ) -> io::Result<()> {
        match self {
            Self::Own(kernel) => {
                let map = kernel.map_mut(name);
                let map = map.ok_or_else(|| io::Error::other("the program has no such table"))?;
                let map = HashMap::try_from(map).map_err(|error| trouble(&error))?;
                fill(map, wanted, alone)
            }
            Self::Pinned(pins) => {
                let map = MapData::from_pin(pins.join(name)).map_err(|error| trouble(&error))?;
                let mut map = Map::from_map_data(map).map_err(|error| trouble(&error))?;
                let map = HashMap::try_from(&mut map).map_err(|error| trouble(&error))?;
                fill(map, wanted, alone)
            }
        }
    }
}

fn fill(
    mut map: HashMap<&mut MapData, [u8; 16], u8>,
    wanted: impl Iterator<Item = IpAddr>,
    alone: bool,
) -> io::Result<()> {
    let wanted: BTreeSet<[u8; 16]> = wanted.map(octets).collect();
    let there: BTreeSet<[u8; 16]> = map.keys().filter_map(Result::ok).collect();
    for key in there.difference(&wanted).filter(|_| alone) {
        map.remove(key).map_err(|error| trouble(&error))?;
    }
    for key in wanted.difference(&there) {
        map.insert(key, 1, 0).map_err(|error| trouble(&error))?;
    }
    Ok(())
}

/// The folder that an agent's program is to be kept in; `None`: there is no file system for that, or not
/// for this process. Another version of the program has another folder, and so has an interface that
/// was made anew.
pub(super) fn pins(agent: &str, interface: u32) -> Option<PathBuf> {
    let usual = Path::new(PINS);
    let is_there = usual
        .parent()
        .and_then(|place| rustix::fs::statfs(place).ok());
    is_there.filter(|found| u64::try_from(found.f_type).ok() == Some(FILE_SYSTEM))?;
    let network = fs::read_link("/proc/thread-self/ns/net").ok()?;
    let mut hasher = DefaultHasher::new();
    (network, agent, OBJECT).hash(&mut hasher);
    let pins = usual.join(format!("{:016x}-{interface}", hasher.finish()));
    fs::create_dir_all(&pins).ok()?;
    Some(pins)
}

/// Attaches the program so that it stays. Nothing happens if it is there already.
///
/// # Errors
/// `Unsupported`: this kernel (before Linux 6.6) cannot keep it. Otherwise what the kernel refuses.
pub(super) fn pin(interface: &str, pins: &Path) -> io::Result<()> {
    if pins.join(LINK).exists() {
        return Ok(());
    }
    let pinned = attach_pinned(interface, pins);
    if pinned.is_err() {
        // Tables without a program are of no use.
        let _ = unpin(pins);
    }
    pinned
}

fn attach_pinned(interface: &str, pins: &Path) -> io::Result<()> {
    fs::create_dir_all(pins)?;
    let mut loader = EbpfLoader::new();
    for name in [SWITCHES, ADDRESSES, "counters"] {
        loader.map_pin_path(name, pins.join(name));
    }
    let mut kernel = loader.load(OBJECT).map_err(|error| trouble(&error))?;
    let program = tc_program(&mut kernel)?;
    let attached = program.attach(interface, TcAttachType::Ingress);
    let id = attached.map_err(|error| trouble(&error))?;
    let attached = program.take_link(id).map_err(|error| trouble(&error))?;
    let attached = FdLink::try_from(attached).map_err(|_| {
        let text = "this kernel does not keep the tunnel's program";
        io::Error::new(io::ErrorKind::Unsupported, text)
    })?;
    let pinned = attached.pin(pins.join(LINK));
    pinned.map(drop).map_err(|error| trouble(&error))
}

/// Takes it off again.
///
/// # Errors
/// The kernel refuses.
pub(super) fn unpin(pins: &Path) -> io::Result<()> {
    // Nothing else may be removed, whatever the book says.
    if pins.parent() != Some(Path::new(PINS)) {
        return Ok(());
    }
    let unless_gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    for name in [LINK, SWITCHES, ADDRESSES, "counters"] {
        unless_gone(fs::remove_file(pins.join(name)))?;
    }
    unless_gone(fs::remove_dir(pins))?;
    // The last one of all agents; other programs keep theirs.
    let _ = fs::remove_dir(PINS);
    Ok(())
}

fn attach_tc(kernel: &mut Ebpf, interface: &str) -> io::Result<()> {
    // Where tcx is not known; with it there is nothing to add.
    let _ = tc::qdisc_add_clsact(interface);
    let program = tc_program(kernel)?;
    let attached = program.attach(interface, TcAttachType::Ingress);
    attached.map(drop).map_err(|error| trouble(&error))
}

/// In the kernel.
fn tc_program(kernel: &mut Ebpf) -> io::Result<&mut SchedClassifier> {
    let program = kernel.program_mut("pointsman_decap_tc");
    let program = program.ok_or_else(|| io::Error::other("the object has no program for tc"))?;
    let program: &mut SchedClassifier = program.try_into().map_err(|error| trouble(&error))?;
    program.load().map_err(|error| trouble(&error))?;
    Ok(program)
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
