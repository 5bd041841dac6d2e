//! A program that goes on, and what it says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::run::wait_until;

/// A running program. It and its children are killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: Log,
}

/// What it said, and when.
type Log = Arc<Mutex<Vec<(Instant, String)>>>;

impl Daemon {
    /// Starts it; `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{name} does not start: {why}: {command:?}"));
        let log = Log::default();
        if let Some(output) = child.stdout.take() {
            collect(output, Arc::clone(&log));
        }
        if let Some(output) = child.stderr.take() {
            collect(output, Arc::clone(&log));
        }
        let name = name.to_owned();
        Self { name, child, log }
    }

    /// All that it has said until now.
    pub fn log(&self) -> String {
        let lines: Vec<String> = self.lines().into_iter().map(|(_, line)| line).collect();
        lines.join("\n")
    }

    /// Each line that it has said until now, and when that was.
    pub fn lines(&self) -> Vec<(Instant, String)> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until it says this.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not say it within [`super::PATIENCE`].
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) {
        let what = format!("{} says \"{text}\"", self.name);
        wait_until(&what, || {
            let ended = self.has_ended();
            let log = self.log();
            let said = log.contains(text);
            assert!(said || ended.is_none(), "{} has ended: {log}", self.name);
            said
        });
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its exit code when it has ended: -1 for a signal's.
    pub fn has_ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("it is our child");
        status.map(|status| status.code().unwrap_or(-1))
    }

    /// Sends a signal to it alone; one that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid(), signal);
    }

    /// Asks it to end (SIGTERM), and waits for that.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let what = format!("{} ends", self.name);
        wait_until(&what, || self.has_ended().is_some());
    }

    /// Kills it alone (SIGKILL): its children live on.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it and all that it started, as the death of a machine does.
    ///
    /// The children go first: they would notice the death of their parent, and clean up.
    pub fn kill_all(&mut self) {
        if self.has_ended().is_none() {
            for child in descendants(self.pid()).into_iter().rev() {
                let _ = kill_process(child, Signal::KILL);
            }
        }
        self.kill();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Reads to the end, so that the pipe is never full.
fn collect(output: impl Read + Send + 'static, log: Log) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((Instant::now(), line));
        }
    });
}

/// The children of a process and theirs, parents first.
pub(super) fn descendants(parent: Pid) -> Vec<Pid> {
    let mut found = children(parent);
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// The children that any thread of a process started.
fn children(parent: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}
