//! Reports: every problem of a policy with its place and remedy.

mod github;
mod json;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// All problems of one policy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By file, line and column.
    pub problems: Vec<Problem>,
    /// The texts of the files that problems are in, for excerpts.
    texts: HashMap<PathBuf, Arc<str>>,
}

impl Report {
    pub(crate) fn new(problems: Vec<Problem>, texts: HashMap<PathBuf, Arc<str>>) -> Self {
        Self { problems, texts }
    }

    /// Whether a problem stands against the policy.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many problems of this severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// `2 errors, 1 warning`; `no problems` when there are none.
    pub fn summary(&self) -> String {
        let parts = [(Severity::Error, "error"), (Severity::Warning, "warning")];
        let parts = parts.map(|(severity, word)| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            count => Some(format!("{count} {word}s")),
        });
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            "no problems".to_owned()
        } else {
            parts.join(", ")
        }
    }

    /// In one line: the first error with its place and remedy, and how many follow; the summary when
    /// there is none.
    pub fn headline(&self) -> String {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        let mut errors = self.problems.iter().filter(is_error);
        let Some(first) = errors.next() else {
            return self.summary();
        };
        let file = first.file.display();
        let mut line = match first.line {
            // Such a message names the file itself.
            0 => first.message.clone(),
            number => format!("{file}:{number}:{}: {}", first.column, first.message),
        };
        if let Some(help) = &first.help {
            line.push_str(&format!(" ({help})"));
        }
        match errors.count() {
            0 => line,
            more => format!("{line}; {more} more"),
        }
    }

    /// For people: each problem with an excerpt in the manner of rustc, then the summary. Colours
    /// are ANSI escape sequences.
    pub fn render_text(&self, color: bool) -> String {
        text::render(self, color)
    }

    /// For programs: an array of `{file, line, column, severity, code, message, help}`.
    pub fn render_json(&self) -> String {
        json::render(self)
    }

    /// For workflows: one annotation command (`::error file=...`) per problem.
    pub fn render_github(&self) -> String {
        github::render(self)
    }
}

/// Without the texts, which may hold secrets.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render_text(false))
    }
}

impl std::error::Error for Report {}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// 1-based line; 0 when the whole file is meant.
    pub line: usize,
    /// 1-based column in characters; 0 when the whole file is meant.
    pub column: usize,
    /// How many characters from there on are meant; at least 1.
    pub width: usize,
    /// How bad it is.
    pub severity: Severity,
    /// A stable kebab-case word for the kind of problem, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// A second place that has to do with it.
    pub also: Option<Also>,
}

/// A second place that has to do with a problem, such as the first of two equal routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Also {
    /// The file it is in.
    pub file: PathBuf,
    /// 1-based line.
    pub line: usize,
    /// 1-based column in characters.
    pub column: usize,
    /// How many characters from there on are meant; at least 1.
    pub width: usize,
    /// What is there.
    pub label: String,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy stands, but something is probably not meant.
    Warning,
    /// The policy is refused.
    Error,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
