//! Pipes for splice(2), kept per worker. A connection holds one only while bytes are in it.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Bytes that a pipe is asked to hold, and that are put into it at most: the largest that the
/// kernel grants without privileges (fs.pipe-max-size). It means 256 slots, each of which takes a
/// fragment of up to 32 KiB. Measured on 100 MiB downloads over loopback, CPU ms each: 46 with
/// 64 KiB, 32 with 256 KiB, 24 with 1 MiB.
pub const SIZE: usize = 1024 * 1024;

/// A user's pipes beyond 64 MiB (fs.pipe-user-pages-soft) are made with two slots only: a pipe
/// smaller than this is worse than a copy.
const LEAST: usize = 64 * 1024;

/// Pipes that a worker has at most; connections beyond them are copied.
pub const MOST: usize = 64;

/// Empty pipes that a worker keeps.
const KEPT: usize = 8;

thread_local! {
    static KEEP: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe and what is in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    /// Bytes in the pipe. Writer: its user.
    pub held: usize,
}

impl Pipe {
    /// An empty pipe; `None` when the worker has [`MOST`] or the system gives no more of use.
    pub fn take() -> Option<Self> {
        KEEP.with_borrow_mut(Vec::pop).or_else(Self::open)
    }

    /// Gives the pipe back. One that is not empty is closed.
    pub fn give_back(self) {
        if self.held > 0 {
            return;
        }
        KEEP.with_borrow_mut(|keep| {
            if keep.len() < KEPT {
                keep.push(self);
            }
        });
    }

    fn open() -> Option<Self> {
        if OPEN.get() >= MOST {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let grown = [SIZE, SIZE / 4]
            .iter()
            .any(|size| fcntl_setpipe_size(&write, *size).is_ok());
        if !grown && fcntl_getpipe_size(&write).ok()? < LEAST {
            return None;
        }
        OPEN.set(OPEN.get() + 1);
        Some(Self {
            read,
            write,
            held: 0,
        })
    }

    /// The end that bytes come out of.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// The end that bytes go into.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The counter may be gone already while the thread ends.
        let _ = OPEN.try_with(|open| open.set(open.get() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pipe_that_was_given_back_is_taken_again() {
        let pipe = Pipe::take().expect("a pipe");
        let open = OPEN.get();
        pipe.give_back();
        let again = Pipe::take().expect("a pipe");
        assert_eq!(OPEN.get(), open);
        drop(again);
        assert_eq!(OPEN.get(), open - 1);
    }

    #[test]
    fn a_pipe_that_holds_bytes_is_not_kept() {
        let mut pipe = Pipe::take().expect("a pipe");
        rustix::io::write(pipe.input(), b"left over").expect("room");
        pipe.held = 9;
        let open = OPEN.get();
        pipe.give_back();
        assert_eq!(OPEN.get(), open - 1);
    }

    #[test]
    fn a_worker_opens_no_more_pipes_than_its_share() {
        let held: Vec<_> = (0..MOST).map(|_| Pipe::take().expect("a pipe")).collect();
        assert!(Pipe::take().is_none());
        drop(held);
        assert!(Pipe::take().is_some());
    }
}
