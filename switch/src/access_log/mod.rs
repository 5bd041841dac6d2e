//! The access log: one JSON object per request and line, with the fields that the policy chose.
//!
//! A worker formats lines into its own buffer and hands whole buffers to one writer thread. A
//! target that takes no more (a full disk, a pipe that nobody reads) never holds a worker up:
//! lines are dropped then, and counted.

mod json;
mod line;
mod target;
mod time;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use pointsman_config::policy::{self, LogField};

pub use line::Entry;

use target::Target;
use time::Clock;

/// Bytes that a worker gathers before it hands them over.
const BUFFER: usize = 64 * 1024;

/// Buffers that may wait for the target; 4 MiB at most.
const WAITING: usize = 64;

/// An open access log. Dropped, it ends once the writers of all workers are gone, too.
#[derive(Debug)]
pub struct AccessLog {
    fields: Arc<[LogField]>,
    channel: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    target: Arc<Target>,
    /// Never holds anything: it breaks off when the writer thread ends.
    ended: Receiver<()>,
}

impl AccessLog {
    /// Opens the target and starts its writer thread.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub fn open(settings: &policy::AccessLog) -> io::Result<AccessLog> {
        let target = Arc::new(Target::open(&settings.target)?);
        let dropped = Arc::<AtomicU64>::default();
        let (channel, buffers) = mpsc::sync_channel(WAITING);
        let (alive, ended) = mpsc::sync_channel(0);
        let (thread_target, thread_dropped) = (target.clone(), dropped.clone());
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                target::write_all(&thread_target, &buffers, &thread_dropped);
                drop(alive);
            })?;
        Ok(AccessLog {
            fields: settings.fields.as_slice().into(),
            channel,
            dropped,
            target,
            ended,
        })
    }

    /// A writer for one worker.
    pub fn writer(&self) -> LogWriter {
        LogWriter {
            fields: self.fields.clone(),
            channel: self.channel.clone(),
            dropped: self.dropped.clone(),
            state: RefCell::default(),
        }
    }

    /// Opens the file again under its name, after somebody has moved it away (SIGHUP). Nothing
    /// is lost: lines go to the old file until the new one is open.
    ///
    /// # Errors
    /// When the file cannot be opened; the old one stays in use then.
    pub fn reopen(&self) -> io::Result<()> {
        self.target.reopen()?;
        // An empty buffer wakes the thread, so that it closes the old file now. A full channel
        // means that it is awake.
        let _ = self.channel.try_send(Vec::new());
        Ok(())
    }

    /// Counts the lines that were dropped.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }

    /// Waits until all lines are written, for `patience` at most; the workers' writers must be
    /// gone. Says whether they were written.
    pub fn close(self, patience: Duration) -> bool {
        let AccessLog { channel, ended, .. } = self;
        drop(channel);
        matches!(
            ended.recv_timeout(patience),
            Err(RecvTimeoutError::Disconnected)
        )
    }
}

/// One worker's end of the access log. Dropped, it hands over what it holds.
#[derive(Debug)]
pub struct LogWriter {
    fields: Arc<[LogField]>,
    channel: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    clock: Clock,
}

impl LogWriter {
    /// Adds a line. It never waits and does not allocate but for a new buffer.
    pub fn line(&self, entry: &Entry<'_>) {
        let mut state = self.state.borrow_mut();
        let State { buffer, clock } = &mut *state;
        entry.write(&self.fields, clock, buffer);
        if buffer.len() >= BUFFER {
            self.hand_over(buffer);
        }
    }

    /// Hands over what was gathered. To be called about every 100 ms, so that no line waits for
    /// those after it.
    pub fn flush(&self) {
        let buffer = &mut self.state.borrow_mut().buffer;
        if !buffer.is_empty() {
            self.hand_over(buffer);
        }
    }

    fn hand_over(&self, buffer: &mut Vec<u8>) {
        let full = std::mem::take(buffer);
        if let Err(mpsc::TrySendError::Full(lost) | mpsc::TrySendError::Disconnected(lost)) =
            self.channel.try_send(full)
        {
            self.dropped
                .fetch_add(target::lines(&lost), Ordering::Relaxed);
            *buffer = lost;
            buffer.clear();
        } else {
            // A line may go beyond the mark; room for it saves growing the buffer by copying.
            buffer.reserve(BUFFER + BUFFER / 8);
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}
