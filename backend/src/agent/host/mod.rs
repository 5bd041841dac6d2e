//! What direct return needs of a server's host: the contact address on the loopback interface, a host
//! that keeps still about it, perhaps the end of a tunnel and paths of MPTCP. [`book`] remembers what
//! was changed, so that all of it can be taken back; [`guard`] watches that it stays so.

mod book;
mod capabilities;
mod change;
mod decap;
mod drain;
mod guard;
mod kernel;
mod mptcp;
mod network;
mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use self::book::{Book, Holder};
use self::capabilities::Capability;
use self::change::Change;
use self::decap::Decap;
use self::guard::{Arp, Seen};
use self::kernel::Kernel;
use self::network::Network;
use crate::netlink::Socket;
use crate::protocol::message::Accepted;

/// How often is looked without a sign that something has changed: settings give none.
const LOOK: Duration = Duration::from_secs(2);
/// What switches have sent before they heard the farewell, and handshakes that had begun by then.
const LINGER: Duration = Duration::from_secs(2);
/// From one count of connections to the next.
const COUNT: Duration = Duration::from_millis(200);

/// What a tunnel takes; the first one is for all else.
const TUNNEL: [Capability; 3] = [Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];

/// What direct return is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// Addresses that are wanted whatever switches say.
    pub addresses: Vec<IpAddr>,
    /// The interface that clients are reached by; `None`: the one that has the server's address.
    pub interface: Option<String>,
    /// Whether packets come from another subnet, in a tunnel, whatever switches say.
    pub tunnel: bool,
    /// Whether clients of MPTCP are told the server's own address, whatever switches say.
    pub mptcp: bool,
    /// How long connections may go on after the farewell.
    pub drain: Duration,
    /// Where is kept what was changed.
    pub state: PathBuf,
}

/// The host of a server.
#[derive(Debug)]
pub(super) struct Host {
    direct: Direct,
    agent: String,
    network: Network,
    book: Book,
    holder: Holder,
    watch: AsyncFd<Socket>,
    decap: Option<Decap>,
    wanted: Wanted,
    /// What switches have said last, also those that are away, and where they are.
    known: BTreeMap<String, (IpAddr, Accepted)>,
    /// The addresses that the server is registered by.
    own: BTreeSet<IpAddr>,
    /// What the agent had before it was killed. It stays until switches have told what they want:
    /// connections go on there.
    former: BTreeSet<IpAddr>,
    /// They have, or do not answer.
    tidy: bool,
}

/// What is to be on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    addresses: BTreeSet<IpAddr>,
    mptcp: bool,
    tunnel: bool,
}

/// How the host stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fitness {
    /// Contact addresses that it has and does not answer for.
    pub(super) holds: Vec<IpAddr>,
    /// Why it is not fit to serve; empty: it is.
    pub(super) why: String,
}

impl Host {
    /// Looks what is there. Nothing changes yet.
    ///
    /// # Errors
    /// A capability lacks, or the state cannot be kept: with the remedy.
    pub(super) fn open(direct: &Direct, agent: &str) -> io::Result<Self> {
        if let Some(lacks) = lacks(direct) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, lacks));
        }
        let (book, holder) = (Book::open(&direct.state)?, Holder::own(agent)?);
        let former = book.of(&holder)?.into_iter();
        Ok(Self {
            network: Network::open()?,
            former: former.filter_map(|change| change.address()).collect(),
            book,
            holder,
            watch: watched(Network::watch()?)?,
            decap: None,
            wanted: Wanted::default(),
            known: BTreeMap::new(),
            own: BTreeSet::new(),
            tidy: false,
            agent: agent.to_owned(),
            direct: direct.clone(),
        })
    }

    /// A switch tells what holds; `own` is the server's address as it is registered there.
    pub(super) fn learn(&mut self, switch: &str, at: IpAddr, own: IpAddr, accepted: &Accepted) {
        let known = (at.to_canonical(), accepted.clone());
        self.known.insert(switch.to_owned(), known);
        self.own.insert(own.to_canonical());
    }

    /// Makes the host as it is to be, and says how it stands.
    pub(super) fn apply(&mut self) -> Fitness {
        let wanted = self.wanted_now();
        let mut troubles = vec![];
        let addresses: Vec<IpAddr> = wanted.addresses.iter().copied().collect();
        self.wanted = wanted;
        // What could not be made anew is not to be taken for unwanted.
        let made = self.make(&addresses).and_then(|()| self.let_go());
        troubles.extend(made.err().map(|error| error.to_string()));
        let seen = match self.seen() {
            Ok(seen) => seen,
            Err(error) => {
                troubles.push(error.to_string());
                Seen::default()
            }
        };
        troubles.extend(seen.troubles(&addresses));
        let fits = |ip: &&IpAddr| seen.holds(**ip) && seen.elsewhere(**ip).is_none();
        Fitness {
            holds: addresses.iter().filter(fits).copied().collect(),
            why: troubles.join("; "),
        }
    }

    /// What dead agents have left may be taken back: who is to be asked what is wanted has answered,
    /// or does not answer.
    pub(super) fn tidy_up(&mut self) {
        self.tidy = true;
        self.former.clear();
    }

    /// Waits until something may have changed.
    pub(super) async fn changed(&self) {
        let told = async {
            if let Ok(mut ready) = self.watch.readable().await {
                let mut buffer = Socket::buffer();
                // Which change it is matters less than that nothing is missed.
                while self.watch.get_ref().receive(&mut buffer).is_ok() {}
                ready.clear_ready();
            }
        };
        let _ = tokio::time::timeout(LOOK, told).await;
    }

    /// Whether it is known what the host is to have.
    pub(super) fn knows(&self) -> bool {
        self.tidy || !self.wanted.addresses.is_empty()
    }

    /// Waits until no connection to the contact addresses is left, or the time is up.
    pub(super) async fn drained(&self) {
        let addresses = &self.wanted.addresses;
        let drained = async {
            tokio::time::sleep(LINGER).await;
            while drain::connections(addresses) > 0 {
                tokio::time::sleep(COUNT).await;
            }
        };
        let _ = tokio::time::timeout(self.direct.drain, drained).await;
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// What could not be.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.decap = None;
        let mut kernel = Kernel::new(&self.network);
        self.book
            .release(&self.holder, Instant::now(), |_| false, &mut kernel)
    }

    fn wanted_now(&self) -> Wanted {
        let known = || self.known.values().map(|(_, accepted)| accepted);
        let services = known().flat_map(|known| &known.services);
        let told = services.map(|service| service.address.to_canonical());
        let own = self.direct.addresses.iter().chain(&self.former);
        let addresses = told.chain(own.copied());
        Wanted {
            addresses: addresses.collect(),
            mptcp: self.direct.mptcp || known().any(|known| known.mptcp),
            tunnel: self.direct.tunnel || known().any(|known| known.tunnel.is_some()),
        }
    }

    /// First the host keeps still, then it has the addresses.
    fn make(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        let seen = self.seen()?;
        if addresses.iter().any(IpAddr::is_ipv4) {
            self.keep_still(seen.all)?;
        }
        for ip in addresses.iter().filter(|ip| seen.elsewhere(**ip).is_none()) {
            self.claim(Change::Address { ip: *ip }, seen.holds(*ip))?;
        }
        if self.wanted.tunnel && !addresses.is_empty() {
            self.end_tunnels(&seen, addresses)?;
        }
        if self.wanted.mptcp && !addresses.is_empty() {
            self.tell_of_paths(addresses)?;
        }
        Ok(())
    }

    fn keep_still(&self, all: Arp) -> io::Result<()> {
        let still = Arp::STILL;
        let settings = [
            (
                "arp_ignore",
                all.ignore,
                matches!(all.ignore, 1 | 2 | 8),
                still.ignore,
            ),
            (
                "arp_announce",
                all.announce,
                all.announce >= 2,
                still.announce,
            ),
        ];
        for (name, before, is_right, value) in settings {
            let change = Change::Setting {
                name: format!("net/ipv4/conf/all/{name}"),
                before: before.to_string(),
                value: value.to_string(),
            };
            self.claim(change, is_right)?;
        }
        Ok(())
    }

    fn end_tunnels(&mut self, seen: &Seen, addresses: &[IpAddr]) -> io::Result<()> {
        if let Some(lacks) = capabilities::lack(&TUNNEL) {
            let text = format!("packets come in a tunnel, and {lacks}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        self.attach(seen)?;
        let known = self.known.values();
        let switches = known.flat_map(|(at, known)| [Some(*at), known.tunnel]);
        let switches = switches.flatten().map(|ip| ip.to_canonical()).collect();
        if let Some(decap) = &mut self.decap {
            // A predecessor's switches stay until they have answered, or do not.
            decap.set(&switches, addresses, self.tidy)?;
        }
        for (change, is_default) in kernel::shorter_segments(&self.network)? {
            // One of many others that cannot be changed is no reason to serve nobody.
            match self.claim(change, false) {
                Err(error) if is_default => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The tunnel's program, so that it stays where that is possible.
    fn attach(&mut self, seen: &Seen) -> io::Result<()> {
        let (index, interface) = self.interface(seen)?;
        if matches!(self.decap, Some(Decap::Own(_))) {
            return Ok(());
        }
        let Some(pins) = decap::pins(&self.agent, index) else {
            self.decap = Some(Decap::attach(&interface)?);
            return Ok(());
        };
        let change = Change::Tunnel {
            interface: interface.clone(),
            pins: pins.clone(),
        };
        match self.claim(change, false) {
            Ok(()) => self.decap = Some(Decap::Pinned(pins)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.decap = Some(Decap::attach(&interface)?);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn tell_of_paths(&self, addresses: &[IpAddr]) -> io::Result<()> {
        for (change, is_there) in kernel::paths(&self.own, addresses)? {
            self.claim(change, is_there)?;
        }
        Ok(())
    }

    /// Makes a change, unless somebody else has made it already.
    fn claim(&self, change: Change, is_there: bool) -> io::Result<()> {
        let known = self.book.changes()?;
        if is_there && !known.iter().any(|known| known.is_of(&change)) {
            return Ok(());
        }
        let mut kernel = Kernel::new(&self.network);
        self.book.claim(change, &self.holder, &mut kernel)
    }

    /// Takes back what is not wanted any more.
    fn let_go(&self) -> io::Result<()> {
        if !self.tidy {
            return Ok(());
        }
        let wanted = &self.wanted;
        let serves = !wanted.addresses.is_empty();
        let keep = |change: &Change| match change {
            Change::Address { ip } => wanted.addresses.contains(ip),
            Change::Setting { name, .. } if name.contains("/conf/") => {
                wanted.addresses.iter().any(IpAddr::is_ipv4)
            }
            Change::Endpoint { ip, signal, .. } => {
                let ours = match signal {
                    true => self.own.contains(ip),
                    false => wanted.addresses.contains(ip),
                };
                wanted.mptcp && serves && ours
            }
            Change::Setting { .. } | Change::Limits { .. } => wanted.mptcp && serves,
            Change::Tunnel { pins, .. } => {
                let own = matches!(&self.decap, Some(Decap::Pinned(own)) if own == pins);
                wanted.tunnel && serves && own
            }
            Change::Mss { .. } => wanted.tunnel && serves,
        };
        let mut kernel = Kernel::new(&self.network);
        self.book
            .release(&self.holder, Instant::now(), keep, &mut kernel)
    }

    fn seen(&self) -> io::Result<Seen> {
        let links = self.network.links()?.into_iter();
        let links = links.map(|(index, name)| {
            let own = arp(&name);
            (index, name, own)
        });
        Ok(Seen {
            links: links.collect(),
            addresses: self.network.addresses()?,
            all: arp("all"),
        })
    }

    /// Its index and name.
    fn interface(&self, seen: &Seen) -> io::Result<(u32, String)> {
        let named = |(index, name, _): &(u32, String, Arp)| (*index, name.clone());
        if let Some(interface) = &self.direct.interface {
            let link = seen.links.iter().find(|(_, name, _)| name == interface);
            return link
                .map(named)
                .ok_or_else(|| io::Error::other(format!("there is no interface {interface}")));
        }
        let mut addresses = seen.addresses.iter();
        let of = |index: u32| seen.links.iter().find(|(own, ..)| *own == index);
        let found =
            addresses.find(|(index, ip)| *index != network::LOOPBACK && self.own.contains(ip));
        let link = found.and_then(|(index, _)| of(*index));
        link.map(named).ok_or_else(|| {
            io::Error::other("no interface has the server's address: name it with --interface")
        })
    }
}

/// Takes back what agents that have died have left; what that was.
///
/// # Errors
/// What could not be.
pub fn take_back(state: &Path) -> io::Result<Vec<String>> {
    let network = Network::open()?;
    let gone = Book::open(state)?.clear(&mut Kernel::new(&network))?;
    Ok(gone
        .iter()
        .map(|change| format!("taken back: {change}"))
        .collect())
}

/// What of direct return this process may not do, with the remedy.
fn lacks(direct: &Direct) -> Option<String> {
    capabilities::lack(match direct.tunnel {
        true => &TUNNEL,
        false => &TUNNEL[..1],
    })
}

/// What would be done, and what stands in the way, without doing anything.
pub(super) fn foresee(direct: &Direct) -> (Vec<String>, Vec<String>) {
    let (mut does, mut lacking) = (vec![], vec![]);
    lacking.extend(lacks(direct));
    let network = match Network::open() {
        Ok(network) => network,
        Err(error) => return (does, vec![error.to_string()]),
    };
    let held = network.addresses().unwrap_or_default();
    for ip in &direct.addresses {
        let elsewhere = held
            .iter()
            .any(|(index, own)| *index != network::LOOPBACK && own == ip);
        match (held.contains(&(network::LOOPBACK, *ip)), elsewhere) {
            (_, true) => lacking.push(format!("{ip} stands on another interface than lo")),
            (true, _) => does.push(format!("leave {ip} on lo, where it is already")),
            _ => does.push(Change::Address { ip: *ip }.to_string()),
        }
    }
    if direct.addresses.is_empty() {
        does.push("put the addresses on lo that the switches name".to_owned());
    }
    let all = arp("all");
    for (name, before, value) in [
        ("arp_ignore", all.ignore, Arp::STILL.ignore),
        ("arp_announce", all.announce, Arp::STILL.announce),
    ] {
        let change = Change::Setting {
            name: format!("net/ipv4/conf/all/{name}"),
            before: before.to_string(),
            value: value.to_string(),
        };
        if before < value {
            does.push(change.to_string());
        }
    }
    if direct.tunnel {
        does.push("take packets of the switches out of their tunnel".to_owned());
        let changes = kernel::shorter_segments(&network).unwrap_or_default();
        does.extend(changes.iter().map(|(change, _)| change.to_string()));
    }
    if direct.mptcp
        && let Err(error) = kernel::paths(&BTreeSet::new(), &[])
    {
        lacking.push(error.to_string());
    }
    if let Some(name) = &direct.interface {
        let links = network.links().unwrap_or_default();
        if !links.iter().any(|(_, link)| link == name) {
            lacking.push(format!("there is no interface {name}"));
        }
    }
    (does, lacking)
}

#[expect(
    deprecated,
    reason = "what takes its place is unsafe; a socket keeps its descriptor for as long as it lives"
)]
fn watched(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::new(socket)
}

fn arp(link: &str) -> Arp {
    // One with a slash in its name is written with a point there; there is none that we know of.
    let number = |name: &str| {
        let value = setting::read(&format!("net/ipv4/conf/{link}/{name}")).ok()?;
        value.parse().ok()
    };
    Arp {
        ignore: number("arp_ignore").unwrap_or_default(),
        announce: number("arp_announce").unwrap_or_default(),
    }
}
