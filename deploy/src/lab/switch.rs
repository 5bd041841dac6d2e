//! Pointsman in a host.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::run::{PATIENCE, wait_until};
use super::{Daemon, Host, program};

/// A running switch. It and its guardian are killed when this is dropped.
#[derive(Debug)]
pub struct Switch {
    daemon: Daemon,
    folder: TempDir,
}

impl Switch {
    /// Starts with this policy, to which an admin socket is added, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it ends before it is ready, with its log.
    pub fn start(host: &Host, policy: &str) -> Self {
        Self::start_by(host, &[], policy)
    }

    /// The same by another program that makes itself a switch, such as `setpriv` with its arguments.
    ///
    /// # Panics
    ///
    /// As [`Switch::start`].
    pub fn start_by(host: &Host, by: &[&str], policy: &str) -> Self {
        let mut switch = Self::begin(host, by, policy);
        wait_until("the switch is ready", || {
            let ended = switch.daemon.has_ended();
            assert!(ended.is_none(), "the switch has ended: {}", switch.log());
            switch.admin("GET", "/ready").0 == 200
        });
        switch
    }

    /// Starts one as [`Switch::start_by`] that does not come up: its exit code, and all that it said.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn refuse(host: &Host, by: &[&str], policy: &str) -> (i32, String) {
        let mut switch = Self::begin(host, by, policy);
        let mut ended = None;
        wait_until("the switch ends", || {
            ended = switch.daemon.has_ended();
            ended.is_some()
        });
        (ended.unwrap_or_default(), switch.log())
    }

    fn begin(host: &Host, by: &[&str], policy: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = program("pointsman");
        let own = file.to_str().expect("a path in UTF-8");
        let words: Vec<&str> = by.iter().copied().chain([own, "run"]).collect();
        let mut command = host.command(words[0]);
        command
            .args(&words[1..])
            .arg(folder.path().join("p.toml"))
            .env("NO_COLOR", "1")
            .env_remove("POINTSMAN_LOG");
        write_policy(folder.path(), policy);
        let daemon = Daemon::start(&format!("pointsman of {}", host.name()), &mut command);
        Self { daemon, folder }
    }

    /// The policy's file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("p.toml")
    }

    /// The admin socket, as commands want it: `unix:` and its path.
    pub fn admin_address(&self) -> String {
        format!("unix:{}", socket(self.folder.path()).display())
    }

    /// Writes another policy over the one that is there.
    pub fn rewrite(&self, policy: &str) {
        write_policy(self.folder.path(), policy);
    }

    /// Asks the admin interface: status 0 when it does not answer.
    pub fn admin(&self, method: &str, path: &str) -> (u16, String) {
        ask(&socket(self.folder.path()), method, path).unwrap_or_default()
    }

    /// Runs `pointsman WORDS --admin unix:..`, such as `contact yield`; what it printed.
    ///
    /// # Panics
    ///
    /// When the command fails, with what it said.
    #[track_caller]
    pub fn tell(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new(program("pointsman"));
        command.args(words).arg("--admin").arg(self.admin_address());
        super::run::run(&mut command)
    }

    /// What it tells of itself.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[track_caller]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.admin("GET", "/status").1).expect("the status is JSON")
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.daemon.pid()
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Its exit code when it has ended: -1 for a signal's.
    pub fn has_ended(&mut self) -> Option<i32> {
        self.daemon.has_ended()
    }

    /// Asks it to end, and waits for that.
    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it alone (SIGKILL): its guardian lives on.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Kills its guardian and then it, as the death of the machine does.
    pub fn kill_all(&mut self) {
        self.daemon.kill_all();
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

fn write_policy(folder: &Path, policy: &str) {
    let text = format!(
        "[admin]\nlisten = \"unix:{}\"\n{policy}",
        socket(folder).display()
    );
    fs::write(folder.join("p.toml"), text).expect("it is our folder");
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("admin.sock")
}

fn ask(socket: &Path, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}
