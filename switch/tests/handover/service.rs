//! A switch that outlives its processes. This program is their reaper, as a service manager would
//! be, so that no process id is taken anew before its end has been seen.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, waitpid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, ask_unix, pointsman, wait_until};

/// A switch and the processes that have run it, the present one last.
pub struct Service {
    pub folder: TempDir,
    notify: Option<PathBuf>,
    pids: Vec<Pid>,
    log: Arc<Mutex<String>>,
    /// What is passed to every start, as a service manager would.
    socket: Option<TcpListener>,
    /// How long the service manager's watchdog waits.
    watchdog: Option<Duration>,
}

impl Service {
    /// Starts with this policy, to which an admin socket is added.
    pub fn start(policy: &str) -> Self {
        Self::start_with(policy, None)
    }

    /// The same with a socket that the service manager keeps open.
    pub fn start_with(policy: &str, socket: Option<TcpListener>) -> Self {
        let mut service = Self::new(policy, socket);
        service.start_anew();
        service
    }

    /// The same, with what the processes tell their service manager (sd_notify(3)).
    pub fn start_told(policy: &str) -> (Self, UnixDatagram) {
        Self::start_watched(policy, None)
    }

    /// The same with a watchdog that waits for so long.
    pub fn start_watched(policy: &str, watchdog: Option<Duration>) -> (Self, UnixDatagram) {
        let mut service = Self::new(policy, None);
        service.watchdog = watchdog;
        let path = service.folder.path().join("notify.sock");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time");
        service.notify = Some(path);
        service.start_anew();
        (service, manager)
    }

    fn new(policy: &str, socket: Option<TcpListener>) -> Self {
        set_child_subreaper(Some(getpid())).expect("a reaper");
        let folder = tempfile::tempdir().expect("a folder");
        let service = Self {
            folder,
            notify: None,
            pids: Vec::new(),
            log: Arc::default(),
            socket,
            watchdog: None,
        };
        service.rewrite(policy);
        service
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("p.toml")
    }

    pub fn admin_word(&self) -> String {
        format!("unix:{}", self.folder.path().join("admin.sock").display())
    }

    pub fn rewrite(&self, policy: &str) {
        let text = format!("[admin]\nlisten = \"{}\"\n{policy}", self.admin_word());
        std::fs::write(self.file(), text).expect("written");
    }

    /// Starts a process, and waits until it is ready.
    #[expect(
        clippy::zombie_processes,
        reason = "whoever asks for its end waits for its id"
    )]
    pub fn start_anew(&mut self) {
        let file = self.file();
        let args = ["run", file.to_str().expect("UTF-8")];
        let mut command = match (&self.socket, self.watchdog) {
            (Some(socket), _) => activated(socket, &args),
            (None, Some(limit)) => watched(limit, &args),
            (None, None) => pointsman(&args),
        };
        match &self.notify {
            Some(path) => command.env("NOTIFY_SOCKET", path),
            None => command.env_remove("NOTIFY_SOCKET"),
        };
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let log = child.stderr.take().expect("it is piped");
        let kept = self.log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                println!("{line}");
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        self.pids.push(Pid::from_child(&child));
        self.wait_until_ready();
    }

    /// What the processes have logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn wait_until_ready(&self) {
        wait_until("the switch is ready", || {
            self.admin("GET", "/ready").0 == 200
        });
    }

    /// Asks the admin interface: status 0 when it does not answer.
    pub fn admin(&self, method: &str, path: &str) -> (u16, String) {
        ask_unix(&self.folder.path().join("admin.sock"), method, path)
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.admin("GET", "/status").1).expect("the status is JSON")
    }

    pub fn address(&self, listener: &str) -> std::net::SocketAddr {
        crate::support::address_in(&self.status(), listener)
    }

    /// The process that answers now.
    pub fn pid(&self) -> Pid {
        *self.pids.last().expect("one was started")
    }

    /// All processes so far.
    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }

    /// `pointsman upgrade`, which must go well.
    #[track_caller]
    pub fn upgrade(&mut self) {
        let output = self.try_upgrade(&[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        // For a moment both processes hold the admin socket, and the old one may take a last request.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let pid = loop {
            let pid = self.status()["pid"].as_i64().expect("a number");
            let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
            if !self.pids.contains(&pid) {
                break pid;
            }
            assert!(std::time::Instant::now() < until, "a new process answers");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        self.pids.push(pid);
    }

    pub fn try_upgrade(&self, args: &[&str]) -> Output {
        let admin = self.admin_word();
        let mut all = vec!["upgrade", "--admin", &admin];
        all.extend(args);
        pointsman(&all).output().expect("it starts")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it lives");
    }

    /// Waits for the end of one of the processes; gives back its exit code.
    #[track_caller]
    pub fn wait_for_end(&mut self, pid: Pid) -> Option<i32> {
        let mut code = None;
        wait_until("the process ends", || match ended(pid) {
            Some(status) => {
                code = status.exit_status();
                true
            }
            None => false,
        });
        self.pids.retain(|known| *known != pid);
        code
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill_process(*pid, Signal::KILL);
            let _ = waitpid(Some(*pid), WaitOptions::empty());
        }
    }
}

fn ended(pid: Pid) -> Option<WaitStatus> {
    let found = waitpid(Some(pid), WaitOptions::NOHANG).expect("it is ours");
    found.map(|(_, status)| status)
}

/// The program with what sd_watchdog_enabled(3) reads: WATCHDOG_PID is its own id.
fn watched(limit: Duration, args: &[&str]) -> Command {
    let program = pointsman(args);
    let become_it = "WATCHDOG_PID=$$; export WATCHDOG_PID; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", become_it])
        .arg(program.get_program())
        .args(program.get_args())
        .env("WATCHDOG_USEC", limit.as_micros().to_string())
        .env("NO_COLOR", "1")
        .env_remove("POINTSMAN_LOG");
    command
}

/// The program with descriptor 3 as sd_listen_fds(3) has it: LISTEN_PID must be its own id, so it
/// is a shell that becomes it.
fn activated(socket: &TcpListener, args: &[&str]) -> Command {
    let program = pointsman(args);
    let become_it = "exec 3<&0 </dev/null; LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", become_it])
        .arg(program.get_program())
        .args(program.get_args())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "web")
        .env("NO_COLOR", "1")
        .env_remove("POINTSMAN_LOG")
        .stdin(Stdio::from(OwnedFd::from(
            socket.try_clone().expect("a descriptor"),
        )));
    command
}
