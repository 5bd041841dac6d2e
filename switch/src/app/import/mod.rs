//! `pointsman import`: a policy from the configuration of nginx, HAProxy or Caddy, as far as it goes.
//!
//! One file per dialect reads what is written there into a [`draft::Draft`]; one builder makes a policy of
//! it that passes its check. What could not be carried over stands in it as a comment with file and line.

mod caddy;
mod draft;
mod files;
mod haproxy;
mod nginx;
mod repair;
#[cfg(test)]
mod tests;
mod tree;
mod word;
mod write;

use std::path::Path;

use pointsman_config::policy::Policy;
use pointsman_config::report::Report;

use self::files::Files;
use super::{Exit, output};
use crate::args::{Dialect, Import};

pub(super) fn run(args: &Import) -> Exit {
    let made = Files::open(&args.file).map(|files| convert(args.dialect, files));
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            output::error(&format!("{}: {error}", args.file.display()));
            return Exit::Failed;
        }
    };
    let printed = output::print(&made.text);
    match made.refused {
        None => {
            let count = made.notes;
            if count > 0 {
                let things = if count == 1 { "thing is" } else { "things are" };
                output::message(&format!(
                    "{count} {things} not carried over as it was: see the comments"
                ));
            }
            printed
        }
        Some(report) => {
            output::message(&report.render_text(output::color_err()));
            output::error("what could be made of it does not pass its check yet");
            Exit::Invalid
        }
    }
}

/// What came of a foreign file.
struct Made {
    text: String,
    /// How many things stand there as comments alone.
    notes: usize,
    /// Why the text does not pass its check.
    refused: Option<Report>,
}

fn convert(dialect: Dialect, mut files: Files) -> Made {
    let mut draft = match dialect {
        Dialect::Nginx => nginx::read(&mut files),
        Dialect::Haproxy => haproxy::read(&mut files),
        Dialect::Caddy => caddy::read(&mut files),
    };
    draft.settle();
    let notes = draft.count_notes();
    let written = write::policy(&draft, &files, dialect.word());
    let name = Path::new("imported.toml");
    let (text, left_out) = repair::passing(written, name);
    let text = pointsman_config::format::format(&text, name).unwrap_or(text);
    Made {
        refused: Policy::from_toml(&text, name).err(),
        text,
        notes: notes + left_out,
    }
}
