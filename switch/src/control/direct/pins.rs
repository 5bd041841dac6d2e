//! Whose the folder of pins is. Processes that share it by an upgrade hold a common lock (flock(2)) on
//! it; whoever would clear it, or begins without a predecessor, must be alone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{accept, detours, kernel};
use crate::control::contact::host::Host;

/// Held for as long as the folder is used.
#[derive(Debug)]
pub(super) struct Hold(#[expect(dead_code, reason = "closing it ends the lock")] File);

impl Hold {
    /// Takes the folder; `None`: another process uses it. With `succeeds` that is the predecessor.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn take(pins: &Path, succeeds: bool) -> io::Result<Option<Self>> {
        let folder = File::open(pins)?;
        if !succeeds && !lock(&folder, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(None);
        }
        Ok(lock(&folder, FlockOperation::NonBlockingLockShared)?.then_some(Self(folder)))
    }
}

/// Notes that what is there belongs to the network that this process is in, by an empty folder.
///
/// # Errors
/// It cannot be made.
pub(super) fn mark(pins: &Path) -> io::Result<()> {
    make_folder(&mark_of(pins)?)
}

/// Makes a folder that may be there.
///
/// # Errors
/// It cannot be made.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Removes what processes of this network have left there, if no process uses it. Whether nothing of
/// theirs is left.
///
/// # Errors
/// The kernel refuses.
pub(super) fn sweep_own(pins: &Path) -> io::Result<bool> {
    match mark_of(pins)?.exists() {
        true => sweep_here(pins),
        false => Ok(true),
    }
}

/// Whether processes of another network have left something there, and none of this one.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn is_elsewhere(pins: &Path) -> io::Result<bool> {
    let own = mark_of(pins)?.exists();
    Ok(!own && !marks(pins)?.is_empty())
}

/// Removes what processes have left there, and their rules in this network, if no process uses it.
/// Whether nothing is left.
///
/// # Errors
/// The kernel refuses.
pub(super) fn sweep_here(pins: &Path) -> io::Result<bool> {
    let swept = sweep(pins)?;
    if swept {
        detours::sweep(&Host::open()?)?;
    }
    Ok(swept)
}

/// Such as `/sys/fs/bpf/pointsman/net-4026531840`.
fn mark_of(pins: &Path) -> io::Result<PathBuf> {
    Ok(pins.join(format!("net-{}", network()?)))
}

/// The number of the network that this process is in.
///
/// # Errors
/// It cannot be read.
pub(super) fn network() -> io::Result<String> {
    let network = std::fs::read_link("/proc/thread-self/ns/net")?;
    let network = network.to_string_lossy();
    Ok(network.chars().filter(char::is_ascii_digit).collect())
}

/// Whatever network they speak of.
fn marks(pins: &Path) -> io::Result<Vec<PathBuf>> {
    let mut marks = Vec::new();
    for entry in std::fs::read_dir(pins)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            marks.push(entry.path());
        }
    }
    Ok(marks)
}

/// Removes what processes have left there, if no process uses it. Whether nothing is left.
///
/// # Errors
/// The kernel refuses.
pub(super) fn sweep(pins: &Path) -> io::Result<bool> {
    let folder = match File::open(pins) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !lock(&folder, FlockOperation::NonBlockingLockExclusive)? {
        return Ok(false);
    }
    accept::put_back(pins, &Host::open()?, |_| false)?;
    for mark in marks(pins)? {
        std::fs::remove_dir(mark)?;
    }
    kernel::clear(pins)?;
    Ok(true)
}

fn lock(folder: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(folder, how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
