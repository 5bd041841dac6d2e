//! The part of direct return that lives in the kernel: what passes packets of services on to backends
//! (`switch/bpf/direct.bpf.c`), and what it looks up meanwhile.
//!
//! A [`Datapath`] loads programs and maps, attaches, writes and reads. With a folder to pin them in,
//! they outlive the process: packets go on, and the next process adopts what is there.

mod attach;
mod counters;
mod flows;
pub mod layout;
mod load;
mod pins;
pub mod ring;
mod rings;
mod service;
mod types;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{TestRun as _, TestRunOptions};

use self::attach::Held;
pub use self::attach::{Attached, Hook, Mode};
pub use self::counters::{BackendCounters, Counters, ServiceCounters};
pub use self::flows::Flow;
use self::layout::{Service, StateWord, encode_backend};
use self::load::Maps;
pub use self::pins::{clear, lack_of_place};
use self::rings::Rings;
pub use self::types::{Backend, Capacity, Found, Hop, Key, Member, Protocol, Ran, State};

/// The programs and maps of one host (more exactly: of one network namespace).
pub struct Datapath {
    programs: Ebpf,
    maps: Maps,
    capacity: Capacity,
    pins: Option<PathBuf>,
    adopted: bool,
    services: BTreeMap<Key, Service>,
    rings: Rings,
    held: Vec<Held>,
    /// Where checks are put into tunnels, by the interfaces' numbers.
    leads: BTreeMap<u32, FdLink>,
}

impl Datapath {
    /// Loads the programs, and takes over the maps that a former process has pinned in this folder
    /// if they are of the same layout and capacity. If they are not, new ones take their place there;
    /// the old ones serve the old program until [`attach`](Self::attach) replaces it.
    ///
    /// Without a folder everything goes with this process, however it ends (but see
    /// [`Hook::Clsact`]).
    ///
    /// # Errors
    /// `PermissionDenied` tells which capabilities are missing. Otherwise the folder cannot be on a
    /// BPF file system, or the kernel (Linux 5.11 and later) refuses programs or maps.
    pub fn open(pins: Option<&Path>, capacity: Capacity) -> io::Result<Self> {
        let (programs, maps, adopted) = load::load(pins, capacity)?;
        let services = maps.read_services()?;
        let rings = Rings::read(&maps, capacity.rings, services.values())?;
        let held = match pins {
            Some(pins) => attach::adopt(pins)?,
            None => Vec::new(),
        };
        Ok(Self {
            programs,
            maps,
            capacity,
            pins: pins.map(Path::to_owned),
            adopted,
            services,
            rings,
            held,
            leads: BTreeMap::new(),
        })
    }

    /// Whether the maps were there: their services, backends and flows are those of a former process.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Puts a backend under this number, or changes it. Packets of its flows go the new way at once.
    ///
    /// # Errors
    /// `InvalidInput`: the number is 0 or not below [`Capacity::backends`], or source and address of
    /// a tunnel are not of one family. Otherwise those of the kernel.
    pub fn set_backend(&mut self, id: u16, backend: &Backend) -> io::Result<()> {
        self.check_id(id)?;
        if let Hop::Tunnel { source, .. } = backend.hop
            && source.is_ipv4() != backend.address.is_ipv4()
        {
            let text = format!("{source} and {} are not of one family", backend.address);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut word = self.maps.state(id)?;
        let bytes = encode_backend(backend);
        let current = self.maps.backend(id, word.copy)?;
        if word.state.is_none() {
            self.maps.reset_backend_counters(id)?;
        }
        if current != bytes || word.state.is_none() {
            word.copy ^= 1;
            self.maps.set_backend(id, word.copy, &bytes)?;
        }
        word.state = Some(backend.state);
        self.maps.set_state(id, word)
    }

    /// Changes the state of a backend alone, at once: a slot whose backend cannot take a packet is
    /// passed over, so that the rings may follow later.
    ///
    /// # Errors
    /// `NotFound`: there is no such backend. Otherwise as of [`set_backend`](Self::set_backend).
    pub fn set_state(&mut self, id: u16, state: State) -> io::Result<()> {
        self.check_id(id)?;
        let word = self.maps.state(id)?;
        if word.state.is_none() {
            let text = format!("there is no backend of the number {id}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let state = Some(state);
        self.maps.set_state(id, StateWord { state, ..word })
    }

    /// Removes a backend: no packet goes there any more. Nothing happens if it is not there.
    ///
    /// # Errors
    /// As of [`set_backend`](Self::set_backend).
    pub fn remove_backend(&mut self, id: u16) -> io::Result<()> {
        self.check_id(id)?;
        let word = self.maps.state(id)?;
        self.maps.set_state(
            id,
            StateWord {
                state: None,
                ..word
            },
        )
    }

    /// All backends, of a former process, too.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn backends(&self) -> io::Result<Vec<(u16, Backend)>> {
        let mut found = Vec::new();
        for id in self.ids() {
            let word = self.maps.state(id)?;
            if let Some(state) = word.state {
                let bytes = self.maps.backend(id, word.copy)?;
                found.push((id, layout::decode_backend(&bytes, state)));
            }
        }
        Ok(found)
    }

    /// Which backend gets a flow of this client, and why; `None` if there is no such service or
    /// nobody can take it. If the table does not know the flow, it is a new one's backend.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn lookup(&self, key: Key, client: SocketAddr) -> io::Result<Option<(u16, Found)>> {
        let Some(service) = self.services.get(&key) else {
            return Ok(None);
        };
        let known = self.maps.flow(client, service.tag)?;
        if let Some(entry) = known {
            let state = self.maps.state(entry.backend)?.state;
            if matches!(state, Some(State::Active | State::Draining)) {
                return Ok(Some((entry.backend, Found::Table)));
            }
        }
        let ring = self.maps.ring(service.ring)?;
        for id in ring.backends(ring::slot(client, key)) {
            if self.maps.state(id)?.state == Some(State::Active) {
                return Ok(Some((id, Found::Ring)));
            }
        }
        Ok(None)
    }

    /// Runs a program on a frame without any interface, as often as `repeat` says, for tests and
    /// measurements (BPF_PROG_TEST_RUN). The programs believe that it comes from the loopback
    /// interface. `context` is a `struct __sk_buff` for the programs of [`Hook::Tcx`] and
    /// [`Hook::Clsact`].
    ///
    /// # Errors
    /// Those of the kernel, which takes no frame without a header.
    pub fn run(
        &mut self,
        hook: Hook,
        frame: &[u8],
        context: Option<&[u8]>,
        repeat: u32,
    ) -> io::Result<Ran> {
        let mut changed = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut changed),
            ctx_in: context,
            repeat,
            ..TestRunOptions::new()
        };
        let done = match hook {
            Hook::Tcx | Hook::Clsact => load::tc(&mut self.programs)?.test_run(options),
            Hook::Xdp | Hook::XdpGeneric => load::xdp(&mut self.programs)?.test_run(options),
        };
        let done = done.map_err(|error| load::explained("run a program", &error))?;
        changed.truncate(done.data_size_out as usize);
        Ok(Ran {
            verdict: done.return_value.cast_signed(),
            frame: changed,
            duration: done.duration,
        })
    }

    /// Takes frames for this link-layer address, too: of XDP, those of an interface are known when it
    /// is attached, and tc knows them by itself.
    ///
    /// # Errors
    /// `InvalidInput`: there are eight already. Otherwise those of the kernel.
    pub fn accept_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        let mut settings = self.maps.settings()?;
        if settings.own.contains(&mac) {
            return Ok(());
        }
        let Some(free) = settings.own.iter_mut().find(|own| **own == [0; 6]) else {
            let text = format!(
                "{} link-layer addresses are served at most, those of interfaces with xdp and of \
                 groups with virtual_mac together",
                layout::OWN_MACS
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        *free = mac;
        self.maps.set_settings(&settings)
    }

    fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        1..u16::try_from(self.capacity.backends).unwrap_or(u16::MAX)
    }

    fn check_id(&self, id: u16) -> io::Result<()> {
        if id > 0 && u32::from(id) < self.capacity.backends {
            return Ok(());
        }
        let last = self.capacity.backends.saturating_sub(1);
        let text = format!("numbers of backends go from 1 to {last}, and {id} is none");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

impl std::fmt::Debug for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapath")
            .field("pins", &self.pins)
            .field("adopted", &self.adopted)
            .field("services", &self.services)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
