//! Sockets that the service manager has opened for this process (sd_listen_fds(3)).
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The first one; the others follow.
const FIRST: RawFd = 3;
/// More than any unit has: a number beyond it is no count of sockets.
const MOST: RawFd = 4096;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The descriptors that `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` tell of, with their names,
/// closed on exec from now on. None where the variables are meant for another process, and none the
/// second time. To be called before anything else opens descriptors.
pub fn take() -> Vec<(OwnedFd, String)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let is_ours = variable("LISTEN_PID").parse() == Ok(std::process::id());
    if !is_ours || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let count = variable("LISTEN_FDS").parse::<RawFd>().unwrap_or(0);
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let descriptors = FIRST..FIRST + count.clamp(0, MOST);
    descriptors
        .map(|raw| (raw, names.next().unwrap_or_default().to_owned()))
        .filter_map(|(raw, name)| Some((own(raw)?, name)))
        .collect()
}

/// `None` where there is no such descriptor.
fn own(raw: RawFd) -> Option<OwnedFd> {
    // SAFETY: the borrow ends with this function, and nobody else in this process knows of the
    // descriptor: a wrong number is answered by EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let flags = fcntl_getfd(borrowed).ok()?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open, as was just seen. LISTEN_PID names this process, so that whoever started
    // it handed the descriptor over to it, and `TAKEN` lets nobody own it twice.
    Some(unsafe { OwnedFd::from_raw_fd(raw) })
}
