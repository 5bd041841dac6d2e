//! One network namespace.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::run::{attempt, installed};

/// What the names of all our namespaces begin with; the number of their process follows.
pub(super) const PREFIX: &str = "pml";
/// Where `ip` keeps the names.
const NAMES: &str = "/run/netns";

/// A network namespace with a name. It goes when this is dropped, and with it whatever runs in it.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; the error is what `ip` said.
    pub(super) fn new(name: String) -> Result<Self, String> {
        attempt(Command::new(installed("ip")).args(["netns", "add", &name]))?;
        Ok(Self { name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }

    /// A program inside. `ip netns exec` would mount another /sys over it, without bpffs.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(installed("nsenter"));
        let mut net = std::ffi::OsString::from("--net=");
        net.push(self.path());
        command.arg(net).arg("--").arg(program.as_ref());
        command
    }

    /// Runs this in a thread inside, and waits for it.
    ///
    /// `/proc/sys/net` is that of the namespace there, `/proc/net` that of the process.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        let inside = move || {
            move_into(&path);
            work()
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Starts a thread inside.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let path = self.path();
        thread::spawn(move || {
            move_into(&path);
            work()
        })
    }

    /// Sets a parameter of the kernel, such as `net/ipv4/ip_forward`.
    pub(super) fn sysctl(&self, key: &str, value: &str) {
        let file = Path::new("/proc/sys").join(key);
        self.enter(|| fs::write(&file, value))
            .unwrap_or_else(|why| panic!("cannot set {key} to {value}: {why}"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes what processes left that were killed before they could.
pub(super) fn remove_leftovers() {
    let Ok(names) = fs::read_dir(NAMES) else {
        return;
    };
    let names = names.flatten().map(|entry| entry.file_name());
    for name in names.filter_map(|name| name.into_string().ok()) {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&name);
        }
    }
}

fn remove(name: &str) {
    let ip = |action: &str| attempt(Command::new(installed("ip")).args(["netns", action, name]));
    let inside = ip("pids").unwrap_or_default();
    for pid in inside.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        if let Some(pid) = Pid::from_raw(pid)
            && pid.as_raw_nonzero().get().unsigned_abs() != process::id()
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = ip("delete");
}

/// Moves this thread.
fn move_into(path: &Path) {
    let moved = File::open(path).and_then(|file| {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).map_err(Into::into)
    });
    moved.unwrap_or_else(|why| panic!("cannot enter {}: {why}", path.display()));
}
