//! A shell on a host of the lab, at which a page's commands are typed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use pointsman_deploy::lab::{Host, program};
use tempfile::TempDir;

use crate::marks::Marks;
use crate::outcome;
use crate::pages::{Block, root};

/// Pages wait for health checks and scrapes, and tests share their machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the shell says behind a command's output, with its exit code.
const DONE: &str = "--- done:";

/// The home of a page's reader, with as much of a clone of the repository as pages speak of.
pub fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let clone = home.path().join("pointsman");
    fs::create_dir(&clone).unwrap();
    symlink(root().join("deploy"), clone.join("deploy")).unwrap();
    home
}

/// A command of a page, and what the page says that it prints.
struct Typed {
    command: String,
    told: Vec<String>,
}

pub struct Session {
    shell: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Session {
    /// A shell that finds the programs of this build.
    pub fn begin(host: &Host, home: &TempDir) -> Self {
        let programs = program("pointsman");
        program("pointsman-backend");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}:/usr/sbin", programs.parent().unwrap().display());
        let mut shell = host
            .command("bash")
            .arg("--norc")
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("PATH", path)
            // A switch whose policy names no admin interface may find the usual place taken.
            .env("XDG_RUNTIME_DIR", home.path())
            .env("NO_COLOR", "1")
            .env_remove("POINTSMAN_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        input.write_all(b"exec 2>&1\n").unwrap();
        let printed = BufReader::new(shell.stdout.take().unwrap());
        let (sender, output) = channel();
        thread::spawn(move || {
            let lines = printed.split(b'\n').map_while(Result::ok);
            for line in lines.map(|line| String::from_utf8_lossy(&line).into_owned()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            shell,
            input,
            output,
        }
    }

    /// Does what a reader does with a block: writes the file, or types the commands. The error says
    /// what was otherwise than the page tells.
    pub fn follow(&mut self, block: &Block) -> Result<(), String> {
        if let Some(name) = &block.marks.file {
            let (_, printed) = self.type_in("pwd")?;
            let here = printed.iter().rfind(|line| line.starts_with('/'));
            let place = Path::new(here.ok_or("there is no folder")?).join(name);
            return fs::write(place, &block.text).map_err(|why| why.to_string());
        }
        let typed = commands(&block.text);
        let last = typed.len() - 1;
        for (at, typed) in typed.iter().enumerate() {
            let marks = Marks {
                exit: if at == last { block.marks.exit } else { 0 },
                ..block.marks.clone()
            };
            self.is_as_told(typed, &marks)?;
        }
        Ok(())
    }

    fn is_as_told(&mut self, typed: &Typed, marks: &Marks) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let (exit, mut printed) = self.type_in(&typed.command)?;
            let background = typed.command.ends_with('&');
            if background {
                self.wait_for(&typed.told, &mut printed, until);
            }
            let told = match background {
                true => outcome::has_told(&typed.told, &printed),
                false => outcome::is_as_told(&typed.told, &printed),
            };
            if told && exit == marks.exit {
                return Ok(());
            }
            if !marks.eventually || Instant::now() > until {
                return Err(format!(
                    "$ {}\nends with {exit} and prints\n{}\nrather than\n{}",
                    typed.command,
                    printed.join("\n"),
                    typed.told.join("\n")
                ));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Types a command that has to succeed, whatever it prints.
    #[track_caller]
    pub fn ok(&mut self, command: &str) {
        let (exit, printed) = self.type_in(command).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(exit, 0, "$ {command}\n{}", printed.join("\n"));
    }

    /// Types a command; its exit code, and what was printed meanwhile.
    pub fn type_in(&mut self, command: &str) -> Result<(i32, Vec<String>), String> {
        let asked = format!("{{ {command}\n}} </dev/null\ncode=$?; echo; echo \"{DONE} $code\"\n");
        let written = self.input.write_all(asked.as_bytes());
        written.map_err(|why| format!("$ {command}: {why}"))?;
        let mut printed = Vec::new();
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.output.recv_timeout(left);
            let line = line.map_err(|_| format!("$ {command}\ndoes not end: {printed:#?}"))?;
            // A program in the background may not have ended its line.
            let Some((before, code)) = line.split_once(DONE) else {
                printed.push(line);
                continue;
            };
            printed.push(before.to_owned());
            return Ok((code.trim().parse().unwrap_or(-1), printed));
        }
    }

    /// Waits for what a program in the background is told to say.
    fn wait_for(&self, told: &[String], printed: &mut Vec<String>, until: Instant) {
        while !outcome::has_told(told, printed) {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(line) => printed.push(line),
                Err(_) => return,
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// The commands of a block: lines behind `$ `, with those that go on with them.
fn commands(text: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    for line in text.lines() {
        let goes_on = all.last_mut().filter(|last| {
            last.told.is_empty() && last.command.ends_with('\\') && !line.starts_with("$ ")
        });
        if let Some(command) = line.strip_prefix("$ ") {
            all.push(Typed {
                command: command.to_owned(),
                told: Vec::new(),
            });
        } else if let Some(last) = goes_on {
            last.command += &format!("\n{line}");
        } else if let Some(last) = all.last_mut() {
            last.told.push(line.to_owned());
        }
    }
    assert!(!all.is_empty(), "no command begins with `$ `:\n{text}");
    all
}

#[test]
fn commands_are_told_from_what_they_print() {
    let typed = commands("$ one \\\n    two\n$ three\nfour\n  five\n$ six &\n");
    let all: Vec<_> = typed.iter().map(|one| one.command.as_str()).collect();
    assert_eq!(all, ["one \\\n    two", "three", "six &"]);
    assert_eq!(typed[1].told, ["four", "  five"]);
}
