//! Programs that run to their end, and waiting.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::skip::find;

/// Everything is given that long: tests share their machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until it holds.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `ip` with these words; what it printed.
#[track_caller]
pub(super) fn ip(words: &str) -> String {
    run(Command::new(installed("ip")).args(words.split_whitespace()))
}

/// Runs a program; its standard output.
#[track_caller]
pub(super) fn run(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|why| panic!("{command:?}: {why}"))
}

/// Runs a program: its standard output, or what it complained of.
pub(super) fn attempt(command: &mut Command) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().map_err(|why| why.to_string())?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(format!("{status}: {}", String::from_utf8_lossy(&stderr))),
    }
}

/// The path of a program, or its bare name where it is not found.
pub(super) fn installed(program: &str) -> std::path::PathBuf {
    find(program).unwrap_or_else(|| program.into())
}
