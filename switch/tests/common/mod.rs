//! A running switch, servers behind it, and a client in front.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pointsman_backend::server::{Control, Options, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Everything is given that long: tests share their machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The program.
pub fn pointsman(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command
        .args(args)
        .env("NO_COLOR", "1")
        .env_remove("POINTSMAN_LOG");
    command
}

/// Runs the program to its end: exit code, standard output, standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    taken_apart(pointsman(args).output().expect("the program starts"))
}

fn taken_apart(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Waits until it holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An address on which nobody listens now.
pub fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// A running switch. It is killed when this is dropped.
pub struct Switch {
    pub folder: TempDir,
    child: Child,
}

impl Switch {
    /// Starts with this policy, to which an admin socket is added, and waits until it is ready.
    pub fn start(policy: &str) -> Self {
        Self::start_with(policy, &[])
    }

    pub fn start_with(policy: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("p.toml"), full(&folder, policy)).expect("written");
        let file = folder.path().join("p.toml");
        let mut command = pointsman(&["run", file.to_str().expect("a path in UTF-8")]);
        let child = command
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut switch = Self { folder, child };
        switch.pass_on_log();
        wait_until("the switch is ready", || {
            switch.admin("GET", "/ready").0 == 200
        });
        switch
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("p.toml")
    }

    /// Writes another policy over the one that is there.
    pub fn rewrite(&self, policy: &str) {
        std::fs::write(self.file(), full(&self.folder, policy)).expect("written");
    }

    /// The admin interface, for the command line.
    pub fn admin_word(&self) -> String {
        format!("unix:{}", self.folder.path().join("admin.sock").display())
    }

    /// Reloads and gives back the exit code.
    #[track_caller]
    pub fn reload(&self) -> i32 {
        run(&["reload", "--wait", "--admin", &self.admin_word()]).0
    }

    /// Asks the admin interface: status 0 when it does not answer.
    pub fn admin(&self, method: &str, path: &str) -> (u16, String) {
        ask_unix(&self.folder.path().join("admin.sock"), method, path)
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.admin("GET", "/status").1).expect("the status is JSON")
    }

    /// The value of a metric; 0 while it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let metrics = self.admin("GET", "/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0.0)
    }

    /// Where a listener listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        address_in(&self.status(), listener)
    }

    /// Of every backend of the first pool.
    pub fn states(&self) -> Vec<String> {
        let status = self.status();
        let backends = status["pools"][0]["backends"]
            .as_array()
            .expect("a list")
            .clone();
        let state = |one: &Value| one["state"].as_str().expect("a word").to_owned();
        backends.iter().map(state).collect()
    }

    #[track_caller]
    pub fn wait_for_states(&self, states: &[&str]) {
        wait_until(&format!("{states:?}"), || self.states() == states);
    }

    /// One request on a connection of its own: status 0 when no answer comes.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address("web"), path)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it lives");
    }

    pub fn has_ended(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .expect("it is ours")
            .map(|status| status.code().unwrap_or(-1))
    }

    #[track_caller]
    pub fn wait_for_end(&mut self) -> i32 {
        wait_until("the switch ends", || self.has_ended().is_some());
        self.has_ended().expect("it has ended")
    }

    /// The log goes to the test's output, and its pipe is never full.
    #[expect(clippy::print_stdout, reason = "the test's output is where it belongs")]
    fn pass_on_log(&mut self) {
        let log = self.child.stderr.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                println!("{line}");
            }
        });
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn full(folder: &TempDir, policy: &str) -> String {
    let socket = folder.path().join("admin.sock");
    format!("[admin]\nlisten = \"unix:{}\"\n{policy}", socket.display())
}

/// One listener `web` on a free port, one pool of these backends.
pub fn policy(backends: &[SocketAddr], pool: &str) -> String {
    let list: Vec<String> = backends.iter().map(|addr| format!("\"{addr}\"")).collect();
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"app\"\n\
         [pool.app]\nbackends = [{}]\n{pool}\n",
        list.join(", ")
    )
}

/// Quick checks of `/healthz`.
pub const CHECKED: &str = "health = { path = \"/healthz\", interval = \"250ms\", timeout = \"200ms\", fall = 2, rise = 1 }";

/// One request on a connection of its own: status 0 when no answer comes.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE) else {
        return (0, String::new());
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    ask(stream, "GET", path).unwrap_or((0, String::new()))
}

fn ask(mut stream: impl Read + Write, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}

/// Asks on a Unix socket: status 0 when no answer comes.
pub fn ask_unix(socket: &Path, method: &str, path: &str) -> (u16, String) {
    match UnixStream::connect(socket) {
        Ok(stream) => ask(stream, method, path).unwrap_or((0, String::new())),
        Err(_) => (0, String::new()),
    }
}

/// Where a listener listens, in a status.
pub fn address_in(status: &Value, listener: &str) -> SocketAddr {
    let listeners = status["listeners"].as_array().expect("a list");
    let found = listeners
        .iter()
        .find(|one| one["name"] == listener)
        .expect("it is there");
    found["addresses"][0]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an address")
}

/// A connection that is kept open.
pub struct Kept(BufReader<TcpStream>);

impl Kept {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        Self(BufReader::new(stream))
    }

    /// The body; it must have a Content-Length.
    pub fn get(&mut self, path: &str) -> std::io::Result<String> {
        // In one piece: the second of two waits for an acknowledgement, which may take 40 ms.
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(String::from_utf8(body).expect("UTF-8"))
    }
}

/// A server behind the switch, in a thread of its own.
pub struct Backend {
    pub address: SocketAddr,
    pub control: Control,
}

impl Backend {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, ([127, 0, 0, 1], 0).into())
    }

    pub fn start_at(name: &str, listen: SocketAddr) -> Self {
        Self::start_with(Options {
            listen,
            name: Some(name.to_owned()),
            ..Options::default()
        })
    }

    pub fn start_with(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let server = runtime.block_on(Server::bind(options)).expect("it listens");
        let (address, control) = (server.local_addr(), server.control());
        std::thread::spawn(move || runtime.block_on(server.run(std::future::pending())));
        Self { address, control }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.control.kill();
    }
}

/// A request that changes something.
pub fn post(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).expect("it listens");
    ask(stream, "POST", path).unwrap_or((0, String::new()))
}

/// Tells that a test does not apply here, past the capture of a test's output.
pub fn skip(test: &str, reason: &str) {
    say(&format!("skipped: {test}: {reason}"));
}

/// Tells something past the capture of a test's output.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
