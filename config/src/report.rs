//! Reports: every problem of a policy with its place and remedy.

use std::path::PathBuf;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy stands, but something is probably not meant.
    Warning,
    /// The policy is refused.
    Error,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// 1-based line; 0 when the whole file is meant.
    pub line: usize,
    /// 1-based column in characters.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// A stable kebab-case word for the kind of problem, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All problems of one policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By file, line and column.
    pub problems: Vec<Problem>,
}
