//! The book in `docs/`: its links lead somewhere, its policies are right, and its commands do what it
//! says when they are typed as they stand. How pages are marked for this: `marks.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;
mod command_line;
mod links;
mod marks;
mod migration;
mod outcome;
mod pages;
mod policies;
mod session;
mod typed;

use std::io::Write as _;

/// Tells what a test leaves out, past the capture of its output.
fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
