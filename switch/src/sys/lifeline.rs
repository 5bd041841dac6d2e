//! A descriptor that is closed at once when the process is killed. The kernel closes a process's
//! descriptors only when it has freed its memory, which takes it about 15 ms per 100 MB; but every
//! thread with a table of descriptors of its own closes those as soon as itself has ended.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::mpsc::{self, Sender};
use std::thread::Builder;

use super::realtime;

/// That thread does nothing but wait.
const STACK: usize = 64 << 10;

/// Holds a descriptor until it is dropped or the process dies.
#[derive(Debug)]
pub struct Lifeline {
    _hold: Hold,
}

#[derive(Debug)]
#[expect(dead_code, reason = "what counts is when they are dropped")]
enum Hold {
    /// By a thread, which ends with this sender.
    Apart(Sender<()>),
    /// Like every other descriptor.
    Here(OwnedFd),
}

impl Lifeline {
    /// Holds it. Where the kernel does not let a thread have a table of its own (before 5.9, or a
    /// sandbox), it is closed with all others when the process dies.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub fn hold(descriptor: OwnedFd) -> io::Result<Self> {
        let raw = descriptor.as_raw_fd();
        let (answer, answered) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let body = move || {
            // Threads of this priority are the first ones to run when all are killed, and the last
            // one of all to end is the one that frees the memory.
            realtime::raise();
            let is_apart = keep_alone(raw);
            if answer.send(is_apart).is_ok() && is_apart {
                let _ = ended.recv();
            }
        };
        Builder::new()
            .name("lifeline".to_owned())
            .stack_size(STACK)
            .spawn(body)?;
        let hold = match answered.recv() {
            // The thread's copy is the only one from now on.
            Ok(true) => Hold::Apart(end),
            _ => Hold::Here(descriptor),
        };
        Ok(Self { _hold: hold })
    }
}

/// Gives the calling thread a table of descriptors of its own, in which this one is alone; whether
/// that could be done.
fn keep_alone(kept: RawFd) -> bool {
    let Some(kept) = libc::c_uint::try_from(kept).ok().filter(|kept| *kept > 0) else {
        return false;
    };
    // SAFETY: no memory is touched. With CLOSE_RANGE_UNSHARE the descriptors are closed in a new
    // table, which the calling thread alone has: nobody's descriptor is closed. That thread, which
    // is `Lifeline`'s own, then uses no descriptor.
    let is_apart = unsafe {
        let last = libc::c_uint::MAX;
        libc::syscall(
            libc::SYS_close_range,
            kept + 1,
            last,
            libc::CLOSE_RANGE_UNSHARE,
        ) == 0
    };
    // Standard input and output, too: whoever waits for their end would wait in vain.
    if is_apart {
        // SAFETY: as above; the table is this thread's own by now.
        unsafe { libc::syscall(libc::SYS_close_range, 0, kept - 1, 0) };
    }
    is_apart
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_held_is_open_until_it_is_let_go() {
        let (mut here, there) = UnixStream::pair().expect("a pair");
        let lifeline = Lifeline::hold(there.into()).expect("held");
        let moment = Some(Duration::from_millis(50));
        here.set_read_timeout(moment).expect("a time");
        let waiting = here.read(&mut [0]).expect_err("nothing comes");
        assert_eq!(waiting.kind(), io::ErrorKind::WouldBlock);
        drop(lifeline);
        here.set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time");
        assert_eq!(here.read(&mut [0]).expect("the end"), 0);
    }

    #[test]
    fn other_descriptors_are_neither_closed_nor_kept_open() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (_here, there) = UnixStream::pair().expect("a pair");
        let _lifeline = Lifeline::hold(there.into()).expect("held");
        TcpStream::connect(address).expect("it listens");
        drop(listener);
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
    }
}
