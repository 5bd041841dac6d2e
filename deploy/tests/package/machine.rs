//! A clean Debian that has booted.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::made::{needs, run};

/// To boot, and for everything that is waited for in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// It goes when this is dropped, with all that it runs.
pub struct Machine {
    unshare: Child,
    init: u32,
    name: String,
    _folder: TempDir,
}

impl Machine {
    /// One that has booted.
    ///
    /// # Errors
    /// Why there can be none here.
    pub fn boot() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can boot a system in namespaces".to_owned());
        }
        needs(&["unshare", "nsenter", "mount", "awk"])?;
        if !Command::new("unshare")
            .args(["--cgroup", "--pid", "--mount", "--net", "--fork", "true"])
            .status()
            .is_ok_and(|status| status.success())
        {
            return Err("namespaces cannot be made here".to_owned());
        }
        if !fs::read_to_string("/proc/mounts")
            .unwrap_or_default()
            .contains(" cgroup2 rw")
        {
            return Err("no cgroup2 file system is mounted".to_owned());
        }
        let root = root()?;
        let folder = tempfile::tempdir().unwrap();
        let name = format!(
            "pointsman-test-{}-{}",
            std::process::id(),
            folder
                .path()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .trim_start_matches('.')
        );
        let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/boot");
        let unshare = Command::new(boot)
            .args([&root, folder.path()])
            .arg(&name)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut machine = Self {
            unshare,
            init: 0,
            name,
            _folder: folder,
        };
        machine.wait_for_init();
        Ok(machine)
    }

    /// What a script of bash prints, which must end well.
    #[track_caller]
    pub fn bash(&self, script: &str) -> String {
        let output = self.try_bash(script);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{script}: {:?} {:?}\n{told}{said}\n{}",
            output.status.code(),
            output.status.signal(),
            self.journal()
        );
        told
    }

    pub fn try_bash(&self, script: &str) -> Output {
        let init = self.init.to_string();
        Command::new("nsenter")
            .args([
                "-t", &init, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "env", "-i",
            ])
            .args([
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
                "TERM=dumb",
            ])
            .args(["DEBIAN_FRONTEND=noninteractive", "bash", "-c", script])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Installs a package, which it may have already.
    #[track_caller]
    pub fn install(&self, package: &Path) -> String {
        let inside = format!("/proc/{}/root/root/it.deb", self.init);
        fs::copy(package, inside).unwrap();
        self.bash("dpkg -i /root/it.deb 2>&1")
    }

    /// Waits until a script ends well.
    #[track_caller]
    pub fn wait_until(&self, script: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.try_bash(script).status.success() {
            assert!(
                Instant::now() < until,
                "in vain: {script}\n{}",
                self.journal()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A property of the service, as `systemctl show` tells it.
    pub fn show(&self, property: &str) -> String {
        let told = self.bash(&format!("systemctl show pointsman --value -p {property}"));
        told.trim_end().to_owned()
    }

    fn journal(&self) -> String {
        let told = self
            .try_bash("journalctl --no-pager -n 40; systemctl status pointsman")
            .stdout;
        String::from_utf8_lossy(&told).into_owned()
    }

    fn wait_for_init(&mut self) {
        // Degraded: something else that is installed there does not run, and is no matter of ours.
        let booted = "[ -S /run/systemd/private ] && \
                      systemctl is-system-running | grep -E '^(running|degraded)$'";
        let until = Instant::now() + PATIENCE;
        while !self.has_become_systemd() || !self.try_bash(booted).status.success() {
            if Instant::now() > until {
                let state = self.try_bash("systemctl is-system-running; systemctl list-jobs");
                panic!("systemd has not booted: {state:?}\n{}", self.journal());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Before, the child is one of the script's.
    fn has_become_systemd(&mut self) -> bool {
        let unshare = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"));
        self.init = children.unwrap_or_default().trim().parse().unwrap_or(0);
        let name = fs::read_to_string(format!("/proc/{}/comm", self.init));
        name.is_ok_and(|name| name.trim() == "systemd")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With it go its first process (--kill-child) and all that this one has begun.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mut lines = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let Some(groups) = lines.find(|line| line.get(2) == Some(&"cgroup2")) else {
            return;
        };
        let group = Path::new(groups[1]).join(&self.name);
        let until = Instant::now() + PATIENCE;
        while remove(&group).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes control groups, the innermost first.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.path().is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// A clean Debian, which nobody changes.
fn root() -> Result<PathBuf, String> {
    static MADE: Mutex<()> = Mutex::new(());
    static WHY_NOT: OnceLock<String> = OnceLock::new();
    if let Some(root) = std::env::var_os("POINTSMAN_TEST_ROOT") {
        return Ok(root.into());
    }
    let _one_at_a_time = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = WHY_NOT.get() {
        return Err(why.clone());
    }
    let suite = std::env::var("POINTSMAN_TEST_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{suite}"));
    if !root.exists() {
        debootstrap(&suite, &root).map_err(|why| WHY_NOT.get_or_init(|| why).clone())?;
    }
    Ok(root)
}

fn debootstrap(suite: &str, root: &Path) -> Result<(), String> {
    needs(&["debootstrap"])?;
    let beside = root.with_extension("new");
    let _ = fs::remove_dir_all(&beside);
    let made = Command::new("debootstrap")
        .args([
            "--variant=minbase",
            "--include=systemd,systemd-sysv,dbus,curl",
            suite,
        ])
        .arg(&beside)
        .output()
        .map_err(|why| format!("debootstrap: {why}"))?;
    if !made.status.success() {
        return Err("debootstrap reaches no mirror of Debian".to_owned());
    }
    run(Command::new("mv").args([&beside, root]));
    Ok(())
}
