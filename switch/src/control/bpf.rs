//! What programs of the kernel need, and how their failures are told.

use std::error::Error;
use std::io;

use rustix::thread::CapabilitySet;

/// A capability that BPF may need, with the one that comprises it.
#[derive(Debug, Clone, Copy)]
pub struct Capability {
    name: &'static str,
    any_of: CapabilitySet,
}

/// To load programs and maps.
pub const BPF: Capability = Capability {
    name: "CAP_BPF",
    any_of: CapabilitySet::BPF.union(CapabilitySet::SYS_ADMIN),
};
/// To attach programs to interfaces.
pub const NET_ADMIN: Capability = Capability {
    name: "CAP_NET_ADMIN",
    any_of: CapabilitySet::NET_ADMIN,
};
/// To reckon with pointers into packets.
pub const PERFMON: Capability = Capability {
    name: "CAP_PERFMON",
    any_of: CapabilitySet::PERFMON.union(CapabilitySet::SYS_ADMIN),
};

/// Whether this process may do what needs these capabilities.
///
/// # Errors
/// `PermissionDenied`, with those that are missing for this purpose, and how to grant them.
pub fn demand(purpose: &str, needed: &[Capability]) -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    match lack(purpose, needed, sets.effective) {
        Some(text) => Err(io::Error::new(io::ErrorKind::PermissionDenied, text)),
        None => Ok(()),
    }
}

/// What a process with these capabilities needs besides.
fn lack(purpose: &str, needed: &[Capability], effective: CapabilitySet) -> Option<String> {
    let lacks = |one: &&Capability| !effective.intersects(one.any_of);
    let missing: Vec<&str> = needed.iter().filter(lacks).map(|one| one.name).collect();
    if missing.is_empty() {
        return None;
    }
    let (names, list) = (missing.join(" and "), missing.join(" "));
    let word = if missing.len() == 1 {
        "capability"
    } else {
        "capabilities"
    };
    Some(format!(
        "{purpose} needs the {word} {names}: AmbientCapabilities={list} in the systemd unit, or run \
         as root"
    ))
}

/// The whole chain of causes: the outer ones of aya tell nothing by themselves. Keeps the kind.
pub fn explained(what: &str, error: &(dyn Error + 'static)) -> io::Error {
    let (mut text, mut kind) = (format!("cannot {what}: {error}"), io::ErrorKind::Other);
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            kind = error.kind();
        }
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    if kind == io::ErrorKind::PermissionDenied {
        text += " (the capabilities CAP_BPF and CAP_NET_ADMIN must be those of the host, not of a \
                 user namespace; a security module may forbid BPF, too)";
    }
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use aya::programs::ProgramError;
    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn a_process_is_told_which_capabilities_it_lacks() {
        let lack = |effective| lack("to relay", &[BPF, NET_ADMIN], effective);
        let text = lack(CapabilitySet::empty()).expect("it lacks some");
        assert!(
            text.starts_with("to relay needs the capabilities CAP_BPF and CAP_NET_ADMIN:"),
            "{text}"
        );
        let text = lack(CapabilitySet::BPF).expect("it lacks one");
        assert!(!text.contains("CAP_BPF"), "{text}");
        assert!(
            text.contains("AmbientCapabilities=CAP_NET_ADMIN in"),
            "{text}"
        );
        assert_eq!(lack(CapabilitySet::BPF | CapabilitySet::NET_ADMIN), None);
        assert_eq!(
            lack(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN),
            None
        );
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = ProgramError::SyscallError(SyscallError {
            call: "bpf_mprog_attach",
            io_error: io::ErrorKind::NotFound.into(),
        });
        let error = explained("attach to eth0", &error);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "cannot attach to eth0: `bpf_mprog_attach` failed: entity not found"
        );
    }
}
