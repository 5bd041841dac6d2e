//! How the relay's program gets into the kernel and to an interface.

use std::error::Error;
use std::io;

use aya::programs::tc::{self, NlOptions, SchedClassifier, TcAttachOptions, TcError, TcHandle};
use aya::programs::{LinkOrder, ProgramError, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use rustix::io::Errno;

use crate::control::bpf;

/// As in `relay.bpf.c`.
const PROGRAM: &str = "pointsman_relay";

/// A place at an interface's ingress that a program can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// TCX, since Linux 6.6: a link that the kernel removes together with the process.
    Tcx,
    /// A filter of the clsact queueing discipline (tc-bpf(8)): it outlives a process that is
    /// killed, until the next one removes it.
    Clsact,
}

impl Hook {
    /// Attaches behind the programs that are there.
    ///
    /// # Errors
    /// `Unsupported`: the kernel does not have this hook.
    pub(super) fn attach(self, program: &mut Ebpf, interface: &str) -> io::Result<()> {
        let missing = || io::Error::other(format!("the BPF object has no program {PROGRAM:?}"));
        let program = program.program_mut(PROGRAM).ok_or_else(missing)?;
        let program: &mut SchedClassifier = program.try_into().map_err(|e| failed(&e))?;
        program.load().map_err(|e| failed(&e))?;
        let options = match self {
            Self::Tcx => TcAttachOptions::TcxOrder(LinkOrder::default()),
            Self::Clsact => {
                prepare_clsact(interface)?;
                let handle = TcHandle::from(std::process::id());
                TcAttachOptions::Netlink(NlOptions {
                    handle,
                    ..NlOptions::default()
                })
            }
        };
        match program.attach_with_options(interface, TcAttachType::Ingress, options) {
            Ok(_) => Ok(()),
            Err(ProgramError::SyscallError(error)) if has_no_tcx(&error.io_error) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(bpf::explained(&format!("attach to {interface}"), &error)),
        }
    }

    /// For status and log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// Has the queueing discipline there, and no program that a killed process has left behind: it would
/// go on relaying. A living process of before an upgrade loses its own, too, but its end does not
/// take ours along: filters carry the number of their process.
fn prepare_clsact(interface: &str) -> io::Result<()> {
    let context = || format!("attach to {interface}");
    match tc::qdisc_add_clsact(interface) {
        Err(TcError::NetlinkError(error))
            if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {}
        Err(error) => return Err(bpf::explained(&context(), &error)),
        Ok(()) => {}
    }
    match tc::qdisc_detach_program(interface, TcAttachType::Ingress, PROGRAM) {
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| bpf::explained(&context(), &error)),
    }
}

/// A kernel before 6.6 does not know the type of the link.
fn has_no_tcx(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

/// Loads the maps of the object; the program follows when it is attached.
pub(super) fn load(object: &[u8]) -> io::Result<Ebpf> {
    let purpose = "to pass connections on to their old switch";
    bpf::demand(purpose, &[bpf::BPF, bpf::NET_ADMIN])?;
    // The object has no fields to relocate by the kernel's types, which take long to read.
    let loaded = EbpfLoader::new().btf(None).load(object);
    loaded.map_err(|error| failed(&error))
}

fn failed(error: &(dyn Error + 'static)) -> io::Error {
    bpf::explained("load the relay's BPF program", error)
}
