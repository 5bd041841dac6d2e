//! Data on standard output, messages on standard error; colour only on a terminal and without
//! `NO_COLOR` (<https://no-color.org>).

use std::io::{self, IsTerminal as _, Write as _};

use super::Exit;

/// Writes data. A reader that went away is no failure.
pub fn print(text: &str) -> Exit {
    match try_print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Ok,
    }
}

/// Writes data.
///
/// # Errors
/// It could not be written, or the reader went away.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Writes a message.
pub fn message(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
}

/// Writes a message about what went wrong.
pub fn error(text: &str) {
    let word = if color(&io::stderr()) {
        "\x1b[1;31merror\x1b[0m"
    } else {
        "error"
    };
    message(&format!("{word}: {text}"));
}

/// Whether colour is welcome there.
pub fn color(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether colour is welcome on standard output.
pub fn color_out() -> bool {
    io::stdout().is_terminal() && color(&io::stdout())
}

/// Whether colour is welcome on standard error.
pub fn color_err() -> bool {
    color(&io::stderr())
}
