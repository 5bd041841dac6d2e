//! Where lines go, and the thread that writes them there.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pointsman_config::policy::LogTarget;

/// The open target.
#[derive(Debug)]
pub(super) struct Target {
    /// Standard output has none.
    path: Option<PathBuf>,
    /// Opened and not yet taken up by the writer thread.
    opened: Mutex<Option<File>>,
}

impl Target {
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        let (path, file) = match target {
            // Another descriptor of it: no lock that others could hold, no second buffer.
            LogTarget::Stdout => (None, io::stdout().as_fd().try_clone_to_owned()?.into()),
            LogTarget::File(path) => (Some(path.clone()), append_to(path)?),
        };
        Ok(Self {
            path,
            opened: Mutex::new(Some(file)),
        })
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            let file = append_to(path)?;
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
        Ok(())
    }

    fn take_opened(&self) -> Option<File> {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    // Addresses and paths of clients are nobody else's business.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

/// Writes buffers until every sender is gone.
pub(super) fn write_all(target: &Target, buffers: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    let Some(file) = target.take_opened() else {
        return;
    };
    let mut out = Output {
        file,
        torn: false,
        failing: false,
    };
    for buffer in buffers {
        if let Some(file) = target.take_opened() {
            out = Output {
                file,
                torn: false,
                failing: out.failing,
            };
        }
        out.put(&buffer, dropped);
    }
}

/// Lines in a buffer.
pub(super) fn lines(buffer: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', buffer).count() as u64
}

#[derive(Debug)]
struct Output<W> {
    file: W,
    /// The last thing written is the beginning of a line.
    torn: bool,
    /// The last write failed; said once.
    failing: bool,
}

impl<W: Write> Output<W> {
    /// Writes whole lines; what cannot be written is dropped and counted.
    fn put(&mut self, buffer: &[u8], dropped: &AtomicU64) {
        if buffer.is_empty() {
            return;
        }
        let done = if self.torn {
            self.write(b"\n").1
        } else {
            Ok(())
        };
        let (written, done) = done.map_or_else(|error| (0, Err(error)), |()| self.write(buffer));
        if written > 0 {
            self.torn = buffer[written - 1] != b'\n';
        }
        match done {
            Ok(()) => self.failing = false,
            Err(error) => {
                dropped.fetch_add(lines(&buffer[written..]), Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the access log cannot be written; lines are lost");
                }
            }
        }
    }

    /// How many bytes were written, and why no more.
    fn write(&mut self, buffer: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < buffer.len() {
            match self.file.write(&buffer[written..]) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Standard output may be shared with somebody who made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then fails until it is given more room.
    #[derive(Debug)]
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.content.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_torn_by_a_full_disk_does_not_spoil_the_next_one() {
        let dropped = AtomicU64::new(0);
        let file = Disk {
            room: 8,
            content: Vec::new(),
        };
        let mut out = Output {
            file,
            torn: false,
            failing: false,
        };
        out.put(b"first\nsecond\nthird\n", &dropped);
        out.put(b"fourth\n", &dropped);
        assert_eq!(
            dropped.load(Ordering::Relaxed),
            3,
            "second (torn), third and fourth"
        );
        out.file.room = 100;
        out.put(b"fifth\n", &dropped);
        out.put(b"sixth\n", &dropped);
        assert_eq!(out.file.content, b"first\nse\nfifth\nsixth\n");
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }
}
