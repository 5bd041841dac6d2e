//! How a policy is laid out: one form for all, comments kept, meaning untouched. Only blanks, line
//! breaks and the last comma of a list are changed, and whether that is so is looked at before the
//! result is given out.
//!
//! - `key = value`, `{ a = 1, b = 2 }`, `[1, 2]`; no blanks at the beginning or end of a line;
//! - one empty line before a table, never two in a row, one line break at the end;
//! - a list that is broken, or does not fit into 100 columns, has one item per line;
//! - comments behind values stand in one column as long as their lines follow each other.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

use crate::diagnostics::Diagnostics;
use crate::load::report_syntax;
use crate::report::Report;
use crate::source::{MAX_POLICY_BYTES, Place, Table, Value, parse};

/// Why a text was not laid out.
#[derive(Debug, Clone)]
pub enum FormatError {
    /// It is not TOML.
    Syntax(Report),
    /// The result would not mean the same; that is a mistake of this program.
    Unfaithful,
}

/// Lays out a text, which stands in a file of this name. To do it twice changes nothing more.
///
/// # Errors
/// The text is not TOML, or is larger than 4 MiB.
pub fn format(text: &str, name: &Path) -> Result<String, FormatError> {
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.sources.add(name, text);
    if text.len() as u64 > MAX_POLICY_BYTES {
        let message = format!("the file is larger than {} KiB", MAX_POLICY_BYTES / 1024);
        diagnostics.error(Place::whole(source), "unreadable-file", message);
        return Err(FormatError::Syntax(diagnostics.into_report()));
    }
    let (before, errors) = parse(source, text);
    if !errors.is_empty() {
        report_syntax(source, errors, &mut diagnostics);
        return Err(FormatError::Syntax(diagnostics.into_report()));
    }
    let document = read::document(text);
    let laid_out = write::document(&document);
    let (after, errors) = parse(source, &laid_out);
    let comments = |text: &str| read::comments(text);
    let same = same_table(&before, &after) && comments(text) == comments(&laid_out);
    match errors.is_empty() && same {
        true => Ok(laid_out),
        false => Err(FormatError::Unfaithful),
    }
}

fn same_table(one: &Table, other: &Table) -> bool {
    let same = |(a, b): (&_, &_)| same_entry(a, b);
    one.entries.len() == other.entries.len() && one.entries.iter().zip(&other.entries).all(same)
}

fn same_entry(one: &crate::source::Entry, other: &crate::source::Entry) -> bool {
    one.key == other.key && same_value(&one.node.value, &other.node.value)
}

/// Whether they mean the same, wherever they stand.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Table(one), Value::Table(other)) => same_table(one, other),
        (Value::Array(one), Value::Array(other)) => {
            let mut both = one.iter().zip(other);
            one.len() == other.len() && both.all(|(a, b)| same_value(&a.value, &b.value))
        }
        _ => one == other,
    }
}
