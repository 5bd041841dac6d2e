//! Two hosts in network namespaces, joined by a cable.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pointsman::control::contact::host::{Host, Link};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common;

/// The hosts; they are gone when this is dropped.
pub struct Lab {
    /// The one that the switch is on: 10.77.0.1/24 and fd00:77::1/64.
    pub near: Namespace,
    /// A neighbour: 10.77.0.2/24 and fd00:77::2/64.
    pub far: Namespace,
    _turn: Turn,
}

/// Namespaces of one machine share a lock of the kernel: a test that takes times runs alone.
enum Turn {
    Beside {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

static TURNS: RwLock<()> = RwLock::new(());

impl Lab {
    /// `None` where namespaces cannot be made, which is told.
    pub fn new(test: &str) -> Option<Self> {
        let guard = TURNS.read().unwrap_or_else(PoisonError::into_inner);
        Self::made(test, Turn::Beside { _guard: guard })
    }

    /// While no other test has one.
    pub fn alone(test: &str) -> Option<Self> {
        let guard = TURNS.write().unwrap_or_else(PoisonError::into_inner);
        Self::made(test, Turn::Alone { _guard: guard })
    }

    fn made(test: &str, turn: Turn) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            common::skip(test, "network namespaces are for root");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let near = Namespace::new(
            &format!("pmh-{id}-{count}-n"),
            &format!("near{count}"),
            test,
        )?;
        let far = Namespace::new(&format!("pmh-{id}-{count}-f"), &format!("far{count}"), test)?;
        ip(&format!(
            "-n {} link add {} type veth peer name {} netns {}",
            near.name, near.interface, far.interface, far.name
        ));
        for (end, number) in [(&near, 1), (&far, 2)] {
            end.ip(&format!(
                "addr add 10.77.0.{number}/24 dev {}",
                end.interface
            ));
            end.ip(&format!(
                "addr add fd00:77::{number}/64 dev {} nodad",
                end.interface
            ));
            end.ip("link set lo up");
            end.ip(&format!("link set {} up", end.interface));
        }
        Some(Self {
            near,
            far,
            _turn: turn,
        })
    }
}

/// A host.
pub struct Namespace {
    pub name: String,
    /// Its end of the cable.
    pub interface: String,
}

impl Namespace {
    fn new(name: &str, interface: &str, test: &str) -> Option<Self> {
        let made = Command::new("ip").args(["netns", "add", name]).output();
        match made {
            Ok(output) if output.status.success() => Some(Self {
                name: name.to_owned(),
                interface: interface.to_owned(),
            }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                common::skip(test, &format!("no network namespace: {}", why.trim()));
                None
            }
            Err(error) => {
                common::skip(test, &format!("no program `ip`: {error}"));
                None
            }
        }
    }

    /// What `ip` prints on this host.
    #[track_caller]
    pub fn ip(&self, args: &str) -> String {
        ip(&format!("-n {} {args}", self.name))
    }

    /// Does it on this host.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                enter(&self.name);
                what()
            });
            there.join().unwrap()
        })
    }

    /// Its end of the cable.
    pub fn link(&self) -> Link {
        let find = || Host::open().unwrap().link(&self.interface).unwrap();
        self.inside(find).unwrap()
    }

    /// Runs one test of this very program in a process of its own, which is told of this host.
    pub fn child(&self, test: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]);
        command.env(CHILD, format!("{} {}", self.name, self.interface));
        command.stdout(Stdio::piped()).stdin(Stdio::piped());
        command.spawn().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

const CHILD: &str = "POINTSMAN_TEST_HOST";

/// In a process of [`Namespace::child`]: this thread is on that host from now on; its end of the
/// cable.
pub fn child_of() -> Option<Link> {
    let told = std::env::var(CHILD).ok()?;
    let (namespace, interface) = told.split_once(' ').unwrap();
    enter(namespace);
    Host::open().unwrap().link(interface).unwrap()
}

fn enter(namespace: &str) {
    let file = File::open(format!("/var/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

#[track_caller]
fn ip(args: &str) -> String {
    let output = Command::new("ip").args(args.split(' ')).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {why}");
    String::from_utf8(output.stdout).unwrap()
}
