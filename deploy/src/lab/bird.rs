//! BIRD in a host.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::run::wait_until;
use super::{Daemon, Host};

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    daemon: Daemon,
    folder: TempDir,
}

impl Bird {
    /// Starts it with this configuration, and waits until it takes commands.
    pub fn start(host: &Host, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bird.conf");
        fs::write(&file, config).expect("it is our folder");
        let mut command = host.command("bird");
        command.arg("-f").arg("-c").arg(file);
        command.arg("-s").arg(folder.path().join("s"));
        command.arg("-P").arg(folder.path().join("p"));
        let daemon = Daemon::start(&format!("bird of {}", host.name()), &mut command);
        let mut bird = Self { daemon, folder };
        wait_until("bird takes commands", || {
            let ended = bird.daemon.has_ended();
            assert!(ended.is_none(), "bird has ended: {}", bird.log());
            bird.birdc(&["show", "status"]).contains("up and running")
        });
        bird
    }

    /// Has it run before everything of the default class: its packets of BFD must not wait for the
    /// programs of other tests.
    pub fn raise(&self) {
        let pid = self.daemon.pid().as_raw_nonzero().to_string();
        let mut command = std::process::Command::new(super::run::installed("chrt"));
        // Without the right, or the program, it goes on as it is.
        let _ = super::run::attempt(command.args(["--all-tasks", "--fifo", "--pid", "1", &pid]));
    }

    /// A command by its control socket, such as `disable lab`; what it answered.
    pub fn birdc(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new(super::run::installed("birdc"));
        command.arg("-s").arg(self.control()).args(words);
        super::run::attempt(&mut command).unwrap_or_default()
    }

    /// The control socket.
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.daemon.kill_all();
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}
