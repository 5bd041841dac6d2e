//! The switch's side: starts the guardian, charges it, and starts another one if it is gone.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Charge, Order};
use crate::sys::lifeline::Lifeline;

/// This process's program, even where another file has taken its place.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The hidden subcommand.
const SUBCOMMAND: &str = "guard";
/// Between two starts.
const PAUSE: Duration = Duration::from_secs(1);
/// For a dismissed guardian to go.
const PARTING: Duration = Duration::from_millis(500);

/// The guardian of this switch. When this is dropped it is dismissed; in a panic it is not, and
/// does what it is charged with.
#[derive(Debug)]
pub struct Guardian {
    program: PathBuf,
    running: Option<Running>,
    started: Instant,
    /// The last charge, for one that comes after this one.
    charge: Option<Vec<u8>>,
}

/// A started process.
#[derive(Debug)]
struct Running {
    child: Child,
    channel: UnixStream,
    /// Cut when this process dies.
    _lifeline: Lifeline,
    /// What is not written yet: the rest of an order that was begun, and the newest one.
    begun: Vec<u8>,
    next: Vec<u8>,
}

impl Guardian {
    /// Starts it, in the network namespace that the calling thread is in. It has no charge yet, and
    /// needs some milliseconds to begin its watch: to be started long before it may be needed.
    ///
    /// # Errors
    /// This program cannot be started once more.
    pub fn start() -> io::Result<Self> {
        Self::start_as(Path::new(OWN_PROGRAM))
    }

    /// Starts it from another file than this process's own: for tests, whose program is another
    /// one.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_as(program: &Path) -> io::Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            running: Some(Running::start(program)?),
            started: Instant::now(),
            charge: None,
        })
    }

    /// Charges it, in place of everything before; to be called before the addresses are added.
    /// Never waits. Gives back whether it has the charge now: one that was written counts, even if
    /// this process dies before it is read. `false`: [`Guardian::tend`] will see to it.
    ///
    /// # Errors
    /// The charge is too long (4 MiB): the one before stays.
    pub fn charge(&mut self, charge: &Charge) -> io::Result<bool> {
        let order = Order::Charge(charge.clone()).encode()?;
        if let Some(running) = &mut self.running {
            running.next.clone_from(&order);
        }
        self.charge = Some(order);
        Ok(self.tend())
    }

    /// Starts another guardian if this one is gone, once a second at most, and writes what is not
    /// written yet. Never waits, but for the start. To be called a few times a second. Gives back
    /// whether the guardian has its charge.
    pub fn tend(&mut self) -> bool {
        if !self.is_alive() {
            self.running = None;
            if self.started.elapsed() < PAUSE {
                return false;
            }
            self.start_anew();
        }
        let running = self.running.as_mut();
        running.is_some_and(|running| matches!(running.flush(), Ok(true)))
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        let running = self.running.as_mut();
        running.is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// Its process, for status and tests.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Readable when the guardian has gone; another one after it has another descriptor.
    pub fn channel(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.channel.as_fd())
    }

    /// Sends it away: it touches nothing. Waits half a second at most.
    pub fn dismiss(self) {
        drop(self);
    }

    fn start_anew(&mut self) {
        self.started = Instant::now();
        match Running::start(&self.program) {
            Ok(mut running) => {
                tracing::warn!(
                    "the guardian of the contact addresses was gone: another one watches"
                );
                running.next = self.charge.clone().unwrap_or_default();
                self.running = Some(running);
            }
            Err(error) => tracing::error!(
                "the guardian of the contact addresses is gone and cannot be started anew: if \
                 this process is killed the addresses stay on this host: {error}"
            ),
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Some(running) = self.running.take().filter(|_| !std::thread::panicking()) {
            running.dismiss();
        }
    }
}

impl Running {
    fn start(program: &Path) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (held, lifeline) = UnixStream::pair()?;
        let held = Lifeline::hold(held.into())?;
        let child = Command::new(program)
            .arg0("pointsman")
            .arg(SUBCOMMAND)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(lifeline)))
            .spawn()?;
        Ok(Self {
            child,
            channel: ours,
            _lifeline: held,
            begun: Vec::new(),
            next: Vec::new(),
        })
    }

    /// Whether all is written. An order that was begun is written to its end before the next.
    fn flush(&mut self) -> io::Result<bool> {
        loop {
            if self.begun.is_empty() {
                std::mem::swap(&mut self.begun, &mut self.next);
            }
            if self.begun.is_empty() {
                return Ok(true);
            }
            match self.channel.write(&self.begun) {
                Ok(written) => drop(self.begun.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn dismiss(mut self) {
        let until = Instant::now() + PARTING;
        let is_told = matches!(self.tell_to_go(until), Ok(true));
        if !is_told {
            // It would take the end of the channel for this process's death.
            let _ = self.child.kill();
        }
        // It says nothing: the first that can be read is its end.
        if !is_told || self.wait(PollFlags::IN, until) {
            let _ = self.child.wait();
        }
    }

    fn tell_to_go(&mut self, until: Instant) -> io::Result<bool> {
        self.next = Order::Dismiss.encode()?;
        while !self.flush()? {
            if !self.wait(PollFlags::OUT, until) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wait(&self, event: PollFlags, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut [PollFd::new(&self.channel, event)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                found => return matches!(found, Ok(1..)),
            }
        }
    }
}
