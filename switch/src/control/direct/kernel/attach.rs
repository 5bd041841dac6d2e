//! How the programs get to an interface, and how one takes another's place there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::xdp::XdpLink;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, XdpMode};
use rustix::io::Errno;

use super::load::{self, explained};
use super::{Datapath, pins};
use crate::control::contact::host::netlink::{Host, Link};
use crate::sys::bpf;

/// Of the filter of clsact, before those that ask for no place: of the whole machine's, and so that
/// the next process finds it.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 0x504d);

/// A place that a program can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// tc by TCX, since Linux 6.6.
    Tcx,
    /// tc by a filter of the clsact queueing discipline (tc-bpf(8)): without a folder of pins, it
    /// outlives a process that is killed until the next one replaces it.
    Clsact,
    /// XDP in the interface's driver.
    Xdp,
    /// XDP after the driver: for interfaces whose driver has none, and slower than tc.
    XdpGeneric,
}

impl Hook {
    const ALL: [Self; 4] = [Self::Tcx, Self::Clsact, Self::Xdp, Self::XdpGeneric];

    /// For status and log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
        }
    }

    fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpGeneric)
    }

    fn pin(self, pins: &Path, index: u32) -> PathBuf {
        pins.join(format!("{}-{index}", self.word()))
    }
}

/// Which hooks may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// [`Hook::Xdp`] where a device has a driver for it, and tc everywhere else: interfaces of
    /// software have packets that the kernel has made already, and merged.
    #[default]
    Auto,
    /// [`Hook::Tcx`], or [`Hook::Clsact`] where the kernel does not have it.
    Tc,
    /// [`Hook::Xdp`] alone.
    Xdp,
    /// [`Hook::XdpGeneric`] alone.
    XdpGeneric,
}

impl Mode {
    /// In this order.
    fn hooks(self, is_software: bool) -> &'static [Hook] {
        match self {
            Self::Auto if !is_software => &[Hook::Xdp, Hook::Tcx, Hook::Clsact],
            Self::Auto | Self::Tc => &[Hook::Tcx, Hook::Clsact],
            Self::Xdp => &[Hook::Xdp],
            Self::XdpGeneric => &[Hook::XdpGeneric],
        }
    }
}

/// What has become of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// And its index.
    pub index: u32,
    /// Where the program stands.
    pub hook: Hook,
    /// The program of a former process stood there, and no packet has missed either.
    pub replaced: bool,
    /// Hooks that were tried before, and why they were not to be had.
    pub passed_over: Vec<String>,
}

/// A place that is taken.
#[derive(Debug)]
pub struct Held {
    index: u32,
    hook: Hook,
    /// `None`: a pin, or a filter, holds it.
    _link: Option<Owned>,
}

/// A link that ends with its descriptor.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held alone")]
enum Owned {
    Fd(FdLink),
    Clsact(SchedClassifierLink),
}

impl Held {
    /// Nothing is called for packets there any more.
    pub fn detach(self, pins: Option<&Path>) -> io::Result<()> {
        let pin = pins.map(|pins| self.hook.pin(pins, self.index));
        match (self.hook, &pin) {
            (Hook::Clsact, _) => remove_filter(self.index)?,
            // It goes with its interface, and otherwise some time after the last pin.
            (_, Some(pin)) => drop(bpf::detach_link(pin)),
            (_, None) => {}
        }
        pin.map_or(Ok(()), |pin| pins::remove(&pin))
    }
}

/// What former processes have attached.
pub fn adopt(pins: &Path) -> io::Result<Vec<Held>> {
    let mut found = Vec::new();
    for path in pins::entries(pins)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let parts = name.and_then(|name| name.rsplit_once('-'));
        let Some((word, index)) = parts else {
            continue;
        };
        let hook = Hook::ALL.into_iter().find(|hook| hook.word() == word);
        if let (Some(hook), Ok(index)) = (hook, index.parse()) {
            found.push(Held {
                index,
                hook,
                _link: None,
            });
        }
    }
    Ok(found)
}

impl Datapath {
    /// Attaches to the interface of this name, or takes the place of a former process's program
    /// there, without a packet that meets neither. A program at another hook of the interface goes
    /// afterwards, but for one of XDP, which cannot stand beside another.
    ///
    /// # Errors
    /// `NotFound`: there is no such interface. Otherwise what the kernel says about each hook that
    /// the mode allows, such as that another program of XDP is there.
    pub fn attach(&mut self, interface: &str, mode: Mode) -> io::Result<Attached> {
        let (link, is_software) = find(interface)?;
        self.attach_to(&link, mode.hooks(is_software))
    }

    /// The same at this hook and no other.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_by(&mut self, interface: &str, hook: Hook) -> io::Result<Attached> {
        let (link, _) = find(interface)?;
        self.attach_to(&link, &[hook])
    }

    fn attach_to(&mut self, link: &Link, hooks: &[Hook]) -> io::Result<Attached> {
        let mut passed_over = Vec::new();
        let mut kind = io::ErrorKind::Other;
        for &hook in hooks {
            match self.take_hook(link, hook) {
                Ok(replaced) => {
                    self.leave(link.index, |other| other != hook)?;
                    return Ok(Attached {
                        interface: link.name.clone(),
                        index: link.index,
                        hook,
                        replaced,
                        passed_over,
                    });
                }
                Err(error) => {
                    kind = error.kind();
                    passed_over.push(format!("{}: {error}", hook.word()));
                }
            }
        }
        let text = format!("{}: {}", link.name, passed_over.join("; "));
        Err(io::Error::new(kind, text))
    }

    /// Takes the programs off the interface of this name. Nothing happens if there are none.
    ///
    /// # Errors
    /// `NotFound`: there is no such interface. Otherwise those of the kernel.
    pub fn detach(&mut self, interface: &str) -> io::Result<()> {
        let (link, _) = find(interface)?;
        self.detach_index(link.index)
    }

    /// The same for the interface of this index, which may be gone.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn detach_index(&mut self, index: u32) -> io::Result<()> {
        self.leave(index, |_| true)
    }

    /// Puts packets that check backends into their tunnels where they leave by these interfaces, and by no
    /// others, as long as this process is there.
    ///
    /// # Errors
    /// `Unsupported`: the kernel has no TCX (Linux 6.6). Otherwise those of the kernel.
    pub fn lead_checks(&mut self, interfaces: &BTreeSet<u32>) -> io::Result<()> {
        self.leads.retain(|index, _| interfaces.contains(index));
        for index in interfaces {
            let Some(name) = name_of(*index)? else {
                continue;
            };
            if !self.leads.contains_key(index) {
                let program = load::checks(&mut self.programs)?;
                let link = attach_tcx(program, &name, TcAttachType::Egress)?;
                self.leads.insert(*index, link);
            }
        }
        Ok(())
    }

    /// Where programs stand, those of former processes, too: index of the interface, and hook.
    pub fn attached(&self) -> Vec<(u32, Hook)> {
        let held = self.held.iter();
        held.map(|held| (held.index, held.hook)).collect()
    }

    /// Whether it was another program's before.
    fn take_hook(&mut self, link: &Link, hook: Hook) -> io::Result<bool> {
        if !hook.is_xdp() {
            return self.put(link, hook);
        }
        self.accept_mac(link.mac)?;
        let mut held = self.held.iter().filter(|held| held.index == link.index);
        match held.find(|held| held.hook.is_xdp() && held.hook != hook) {
            Some(Held { hook: before, .. }) => self.change_xdp(link, *before, hook),
            None => self.put(link, hook),
        }
    }

    /// The interface has one place for both kinds of XDP. While neither has it, tc takes packets up. If
    /// the new one cannot be had, the one before stays.
    fn change_xdp(&mut self, link: &Link, before: Hook, hook: Hook) -> io::Result<bool> {
        let mut stopgaps = [Hook::Tcx, Hook::Clsact].into_iter();
        let stopgap = stopgaps.find(|stopgap| self.put(link, *stopgap).is_ok());
        self.leave(link.index, |other| other == before)?;
        let done = self.put(link, hook);
        if done.is_err() && self.put(link, before).is_ok() {
            self.leave(link.index, |other| Some(other) == stopgap)?;
        }
        done
    }

    /// Whether it was another program's before.
    fn put(&mut self, link: &Link, hook: Hook) -> io::Result<bool> {
        let known = self
            .held
            .iter()
            .position(|held| (held.index, held.hook) == (link.index, hook));
        let pin = self.pins.as_deref().map(|pins| hook.pin(pins, link.index));
        let held = known.map(|place| self.held.swap_remove(place));
        let (replaced, owned) = match hook {
            Hook::Clsact => clsact(&mut self.programs, &link.name, pin.as_deref())?,
            _ => by_link(&mut self.programs, link, hook, pin.as_deref(), held)?,
        };
        self.held.push(Held {
            index: link.index,
            hook,
            _link: owned,
        });
        Ok(replaced)
    }

    fn leave(&mut self, index: u32, which: impl Fn(Hook) -> bool) -> io::Result<()> {
        let leaves = |held: &mut Held| held.index == index && which(held.hook);
        let left: Vec<Held> = self.held.extract_if(.., leaves).collect();
        for held in left {
            held.detach(self.pins.as_deref())?;
        }
        Ok(())
    }
}

fn find(interface: &str) -> io::Result<(Link, bool)> {
    Host::open()?.link_and_kind(interface)?.ok_or_else(|| {
        let text = format!("there is no interface {interface}");
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// At a hook that has links: whether one was there, and what is to be held.
fn by_link(
    programs: &mut Ebpf,
    link: &Link,
    hook: Hook,
    pin: Option<&Path>,
    held: Option<Held>,
) -> io::Result<(bool, Option<Owned>)> {
    let old = match (pin, held) {
        (Some(pin), _) => PinnedLink::from_pin(pin).ok().map(FdLink::from),
        (
            None,
            Some(Held {
                _link: Some(Owned::Fd(old)),
                ..
            }),
        ) => Some(old),
        _ => None,
    };
    if let Some(old) = old {
        match replace(programs, hook, old) {
            Ok(new) => return Ok((true, pin.is_none().then_some(Owned::Fd(new)))),
            // Its interface is gone, and another has its index now.
            Err(_) if pin.is_some() => pins::remove(pin.unwrap_or(Path::new("")))?,
            Err(_) => {}
        }
    }
    let new = create(programs, &link.name, hook)?;
    let Some(pin) = pin else {
        return Ok((false, Some(Owned::Fd(new))));
    };
    let pinned = new.pin(pin);
    pinned.map_err(|error| explained("pin the link", &error))?;
    Ok((false, None))
}

fn replace(programs: &mut Ebpf, hook: Hook, old: FdLink) -> io::Result<FdLink> {
    let refused = |error: &ProgramError| explained("replace the program", error);
    if hook.is_xdp() {
        let program = load::xdp(programs)?;
        let old = XdpLink::try_from(old).map_err(io::Error::other)?;
        let id = program.attach_to_link(old).map_err(|e| refused(&e))?;
        let link = program.take_link(id).map_err(|e| refused(&e))?;
        return FdLink::try_from(link).map_err(io::Error::other);
    }
    let program = load::tc(programs)?;
    let old = SchedClassifierLink::try_from(old).map_err(io::Error::other)?;
    let id = program.attach_to_link(old).map_err(|e| refused(&e))?;
    let link = program.take_link(id).map_err(|e| refused(&e))?;
    FdLink::try_from(link).map_err(io::Error::other)
}

fn create(programs: &mut Ebpf, interface: &str, hook: Hook) -> io::Result<FdLink> {
    let refused = |error: &ProgramError| explained("attach the program", error);
    if hook.is_xdp() {
        let program = load::xdp(programs)?;
        let mode = match hook {
            Hook::Xdp => XdpMode::Driver,
            _ => XdpMode::Skb,
        };
        let id = program.attach(interface, mode).map_err(|e| refused(&e))?;
        let link = program.take_link(id).map_err(|e| refused(&e))?;
        return FdLink::try_from(link).map_err(|_| no_links());
    }
    // Before the relay of contact addresses, which would take flows of services for unknown ones.
    attach_tcx(load::tc(programs)?, interface, TcAttachType::Ingress)
}

/// Before all other programs there.
fn attach_tcx(
    program: &mut SchedClassifier,
    interface: &str,
    at: TcAttachType,
) -> io::Result<FdLink> {
    let refused = |error: &ProgramError| explained("attach the program", error);
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let attached = program.attach_with_options(interface, at, options);
    let id = attached.map_err(|error| match &error {
        ProgramError::SyscallError(cause) if has_no_tcx(&cause.io_error) => {
            io::Error::new(io::ErrorKind::Unsupported, "this kernel has no TCX")
        }
        _ => refused(&error),
    })?;
    let link = program.take_link(id).map_err(|e| refused(&e))?;
    FdLink::try_from(link).map_err(|_| no_links())
}

/// A kernel before 6.6 does not know the type of the link.
fn has_no_tcx(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

fn no_links() -> io::Error {
    let text = "this kernel has no links of XDP, which are needed since Linux 5.9";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// At clsact a filter takes the place of one with the same number. A pin of the program tells the
/// next process that there is one.
fn clsact(
    programs: &mut Ebpf,
    interface: &str,
    pin: Option<&Path>,
) -> io::Result<(bool, Option<Owned>)> {
    let refused = |error: &ProgramError| explained("attach the program", error);
    match tc::qdisc_add_clsact(interface) {
        Err(TcError::NetlinkError(error))
            if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
        result => result.map_err(|error| explained("add clsact for a program", &error))?,
    }
    let program = load::tc(programs)?;
    let ingress = TcAttachType::Ingress;
    let old = SchedClassifierLink::attached(interface, ingress, PRIORITY, HANDLE, None)?;
    let (id, replaced) = match program.attach_to_link(old) {
        Ok(id) => (id, true),
        Err(_) => {
            let options = TcAttachOptions::Netlink(NlOptions {
                priority: PRIORITY,
                handle: HANDLE,
                classid: None,
            });
            let attached = program.attach_with_options(interface, ingress, options);
            (attached.map_err(|e| refused(&e))?, false)
        }
    };
    let link = program.take_link(id).map_err(|e| refused(&e))?;
    let Some(pin) = pin else {
        return Ok((replaced, Some(Owned::Clsact(link))));
    };
    // The filter stays when this process ends.
    std::mem::forget(link);
    pins::remove(pin)?;
    program
        .pin(pin)
        .map_err(|error| explained("pin the program", &error))?;
    Ok((replaced, None))
}

/// `None`: there is no such interface any more.
fn name_of(index: u32) -> io::Result<Option<String>> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    Ok(rustix::net::netdevice::index_to_name(&socket, index).ok())
}

fn remove_filter(index: u32) -> io::Result<()> {
    let Some(name) = name_of(index)? else {
        return Ok(());
    };
    match tc::qdisc_detach_program(&name, TcAttachType::Ingress, load::TC) {
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| explained("take off the program", &error)),
    }
}
