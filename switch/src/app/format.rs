//! `pointsman fmt`

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use pointsman_config::format::{FormatError, format};
use similar::TextDiff;

use super::{Exit, NO_FILE, output, policy_file};
use crate::args::Fmt;

/// Bytes of a text at most: more than a policy may have.
const MAX_TEXT: u64 = 8 << 20;

pub(super) fn run(args: &Fmt) -> Exit {
    let files = match args.files.is_empty() {
        false => args.files.clone(),
        true => match policy_file(None) {
            Some(file) => vec![file],
            None => {
                output::error(NO_FILE);
                return Exit::Usage;
            }
        },
    };
    let mut worst = Exit::Ok;
    for file in &files {
        let exit = match file.as_path() == Path::new("-") {
            true => standard(args),
            false => one(file, args),
        };
        if exit as u8 > worst as u8 {
            worst = exit;
        }
    }
    worst
}

/// From standard input to standard output.
fn standard(args: &Fmt) -> Exit {
    let mut text = String::new();
    if let Err(error) = io::stdin().take(MAX_TEXT).read_to_string(&mut text) {
        output::error(&format!("standard input: {error}"));
        return Exit::Failed;
    }
    match laid_out(&text, Path::new("<stdin>")) {
        Err(exit) => exit,
        Ok(new) if args.check || args.diff => compare(&text, &new, Path::new("<stdin>"), args),
        Ok(new) if new.is_empty() => Exit::Ok,
        Ok(new) => output::print(&new),
    }
}

fn one(file: &Path, args: &Fmt) -> Exit {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            output::error(&format!("{}: {error}", file.display()));
            return Exit::Failed;
        }
    };
    let new = match laid_out(&text, file) {
        Ok(new) => new,
        Err(exit) => return exit,
    };
    if args.check || args.diff {
        return compare(&text, &new, file, args);
    }
    if new == text {
        return Exit::Ok;
    }
    match replace(file, &new) {
        Ok(()) => {
            output::message(&format!("{}: laid out", file.display()));
            Exit::Ok
        }
        Err(error) => {
            output::error(&format!("{}: {error}", file.display()));
            Exit::Failed
        }
    }
}

fn laid_out(text: &str, name: &Path) -> Result<String, Exit> {
    format(text, name).map_err(|error| match error {
        FormatError::Syntax(report) => {
            output::message(&report.render_text(output::color_err()));
            Exit::Invalid
        }
        FormatError::Unfaithful => {
            output::error(&format!(
                "{}: left as it is, since the result would mean something else; this is a mistake \
                 of pointsman, please report it",
                name.display()
            ));
            Exit::Failed
        }
    })
}

/// Exit code 1 when they differ.
fn compare(text: &str, new: &str, name: &Path, args: &Fmt) -> Exit {
    if text == new {
        return Exit::Ok;
    }
    if args.diff {
        let (old, other) = (
            name.display().to_string(),
            format!("{} (laid out)", name.display()),
        );
        let diff = TextDiff::from_lines(text, new);
        output::print(&diff.unified_diff().header(&old, &other).to_string());
    } else {
        output::message(&format!("{}: not laid out", name.display()));
    }
    Exit::Invalid
}

/// Puts a new file in the place of the old one, with its permissions, or leaves it as it is.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let file = file.canonicalize()?;
    let beside = beside(&file)?;
    let written = write_new(&beside, text, &file).and_then(|()| fs::rename(&beside, &file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn beside(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.new", std::process::id()));
    Ok(file.with_file_name(hidden))
}

fn write_new(path: &Path, text: &str, like: &Path) -> io::Result<()> {
    let mut new = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    new.set_permissions(fs::metadata(like)?.permissions())?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}
