//! A switch, servers, their agents, and clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Everything is given that long: tests share their machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends its processes when it is dropped.
pub struct Scene {
    place: TempDir,
    processes: Vec<(String, Child)>,
    /// Name and port of every server.
    servers: Vec<(String, u16)>,
    listen: u16,
    agents: u16,
}

impl Scene {
    /// A switch with these keys in `[agents]`.
    pub fn begin(keys: &str) -> Self {
        let mut scene = Self {
            place: tempfile::tempdir().unwrap(),
            processes: vec![],
            servers: vec![],
            listen: free_port(),
            agents: free_port(),
        };
        fs::write(scene.path("secret"), "sixteen bytes or more\n").unwrap();
        scene.write_policy(keys);
        scene.start_switch();
        scene
    }

    pub fn listen(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.listen).into()
    }

    /// Other keys in `[agents]`, and a reload.
    pub fn rewrite(&self, keys: &str) {
        self.write_policy(keys);
        self.ask(&["reload", "--wait"]);
    }

    pub fn start_switch(&mut self) {
        let mut command = Command::new(program("pointsman"));
        command.arg("run").arg(self.path("p.toml"));
        self.start("switch", &mut command);
        self.wait_until("the switch answers", |scene| {
            !scene.status_json()["pid"].is_null()
        });
    }

    /// Whichever process it is by now.
    pub fn kill_switch(&mut self) {
        let pid = self.status_json()["pid"].as_i64().unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        self.wait_until("it is gone", |scene| scene.status_json()["pid"].is_null());
    }

    pub fn upgrade(&self) {
        self.ask(&["upgrade"]);
    }

    pub fn start_server(&mut self, name: &str) {
        let port = free_port();
        self.servers.push((name.to_owned(), port));
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(program("pointsman-backend"));
        command.args(["serve", "--name", name, "--listen", &listen]);
        self.start(&format!("server {name}"), &mut command);
        let address: SocketAddr = listen.parse().unwrap();
        self.wait_until("the server listens", |_| {
            TcpStream::connect(address).is_ok()
        });
    }

    pub fn start_agent(&mut self, name: &str, flags: &[&str]) {
        let server = self.servers.iter().find(|(server, _)| server == name);
        let port = server.unwrap().1.to_string();
        let switch = format!("127.0.0.1:{}", self.agents);
        let mut command = Command::new(program("pointsman-backend"));
        command.args(["agent", "--pool", "app", "--name", name, "--port", &port]);
        command.args(["--switch", &switch, "--secret-file"]);
        command.arg(self.path("secret")).args(flags);
        self.start(&format!("agent {name}"), &mut command);
    }

    pub fn kill(&mut self, name: &str) {
        let mut child = self.take(name);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks a process to end, and waits for it.
    pub fn end(&mut self, name: &str) -> ExitStatus {
        let mut child = self.take(name);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// What a process has told so far.
    pub fn said(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap()
    }

    /// Who answers four requests: names, each once.
    pub fn answers(&self) -> String {
        let mut names: Vec<String> = (0..4).filter_map(|_| get(self.listen())).collect();
        names.sort();
        names.dedup();
        names.concat()
    }

    /// Name and state of every registered server.
    pub fn agents(&self) -> Vec<(String, String)> {
        let status = self.status_json();
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let agent = |agent: &Value| (text(&agent["name"]), text(&agent["state"]));
        let mut agents: Vec<_> = agents.iter().map(agent).collect();
        agents.sort();
        agents
    }

    /// What an operator sees.
    pub fn status(&self) -> String {
        self.ask(&["status"])
    }

    pub fn metric(&self, series: &str) -> f64 {
        let socket = self.path("admin.sock");
        let mut curl = Command::new("curl");
        curl.args(["-s", "--unix-socket", &socket, "http://localhost/metrics"]);
        let text = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0.0)
    }

    #[track_caller]
    pub fn wait_for(&self, agents: &[(&str, &str)]) {
        let wanted = agents.iter();
        let wanted: Vec<_> = wanted
            .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
            .collect();
        self.wait_until(&format!("{wanted:?}"), |scene| scene.agents() == wanted);
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "in vain: {what}: {}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn write_policy(&self, keys: &str) {
        let policy = format!(
            "[admin]\nlisten = \"unix:{}\"\n[agents]\nlisten = \"127.0.0.1:{}\"\n\
             secret = \"${{file:secret}}\"\n{keys}\n[listener.web]\nbind = \"127.0.0.1:{}\"\n\
             [[route]]\npool = \"app\"\n[pool.app]\ndiscover = {{ agents = true }}\n",
            self.path("admin.sock"),
            self.agents,
            self.listen
        );
        fs::write(self.path("p.toml"), policy).unwrap();
    }

    fn ask(&self, args: &[&str]) -> String {
        let admin = format!("unix:{}", self.path("admin.sock"));
        let mut command = Command::new(program("pointsman"));
        let output = command.args(args).args(["--admin", &admin]).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        String::from_utf8(output.stdout).unwrap() + &told
    }

    /// Null while nobody answers.
    fn status_json(&self) -> Value {
        let text = self.ask(&["status", "--json"]);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn path(&self, name: &str) -> String {
        let path = self.place.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn start(&mut self, name: &str, command: &mut Command) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")))
            .unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.processes.push((name.to_owned(), child));
    }

    fn take(&mut self, name: &str) -> Child {
        let place = self.processes.iter().position(|(own, _)| own == name);
        self.processes.swap_remove(place.unwrap()).1
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // After an upgrade the switch is no child of ours.
        if let Some(pid) = self.status_json()["pid"].as_i64()
            && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        for (_, child) in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A client that sends one request after the other, each on a connection of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, u32)>,
}

impl Load {
    pub fn begin(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut sent, mut failed) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                sent += 1;
                failed += u32::from(get(address).is_none());
                std::thread::sleep(Duration::from_millis(3));
            }
            (sent, failed)
        });
        Self { stop, thread }
    }

    /// Requests that were sent, and of those the ones that failed.
    pub fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The name that the server answers with, if it does.
fn get(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ")
        .then(|| body.trim().to_owned())
}
