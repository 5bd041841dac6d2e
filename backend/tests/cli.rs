//! The program as users start it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_bad_flag_is_told_in_one_message_with_exit_code_2() {
    for (flags, message) in [
        (&["--listen", "nowhere"][..], "`nowhere` is not an address"),
        (
            &["--listen", "127.0.0.1:0", "--delay", "200"],
            "the duration `200` has no unit",
        ),
        (
            &["--listen", "127.0.0.1:0", "--errors", "5"],
            "`5` is not a share",
        ),
        (
            &["--listen", "127.0.0.1:0", "--size", "64KB"],
            "`KB` is not a unit of size",
        ),
        (
            &["--listen", "127.0.0.1:0", "--size", "2000MiB"],
            "1 GiB at most",
        ),
        (
            &["--listen", "127.0.0.1:0", "--name", ""],
            "the name must be printable",
        ),
        (&[], "--listen <ADDR>"),
    ] {
        let (code, told) = run(flags);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(message), "{told}");
        assert_eq!(told.matches("error:").count(), 1, "{told}");
    }
}

#[test]
fn an_address_in_use_is_told_with_exit_code_5() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, told) = run(&["--listen", &addr]);
    assert_eq!(code, Some(5), "{told}");
    assert!(
        told.contains(&format!("cannot serve at {addr}: Address already in use")),
        "{told}"
    );
}

#[test]
fn a_signal_ends_it_after_the_requests_in_flight() {
    for signal in ["TERM", "INT"] {
        let mut server = Program::start(&["--name", "one", "--delay", "300ms"]);
        let mut client = server.ask();
        std::thread::sleep(Duration::from_millis(100));
        server.signal(signal);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("one\n"), "{signal}: {answer}");
        assert_eq!(server.0.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn every_answer_reports_the_load_unless_it_is_told_not_to() {
    for (flags, reports) in [(&[][..], true), (&["--report-load=false"], false)] {
        let server = Program::start(flags);
        let mut answer = String::new();
        server.ask().read_to_string(&mut answer).unwrap();
        let reported = answer.contains("endpoint-load-metrics: TEXT cpu_utilization=");
        assert_eq!(reported, reports, "{answer}");
    }
}

#[test]
fn a_server_with_a_disk_tells_whether_it_had_to_read() {
    let server = Program::start(&["--cache", "1", "--miss", "1ms"]);
    for expected in ["x-cache: miss", "x-cache: hit"] {
        let mut answer = String::new();
        server.ask().read_to_string(&mut answer).unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Program::start(&["--delay", "30s"]);
    let _client = server.ask();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman-backend"));
    command.arg("serve").args(flags).stdin(Stdio::null());
    command
}

fn run(flags: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(flags).output().unwrap();
    assert!(stdout.is_empty());
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A running program and its address.
struct Program(Child, String);

impl Program {
    fn start(flags: &[&str]) -> Self {
        let flags = [&["--listen", "127.0.0.1:0"], flags].concat();
        let mut child = command(&flags).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let (_, addr) = line
            .trim_end()
            .rsplit_once(" listens at ")
            .expect("the address");
        Self(child, addr.to_owned())
    }

    fn ask(&self) -> TcpStream {
        let mut client = TcpStream::connect(&self.1).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        client
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where the test passed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
