use serde::Serialize;

use super::{Problem, Report};

/// What one problem looks like to a program.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    line: usize,
    column: usize,
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

impl<'a> From<&'a Problem> for Line<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            file: problem.file.display().to_string(),
            line: problem.line,
            column: problem.column,
            severity: problem.severity.word(),
            code: problem.code,
            message: &problem.message,
            help: problem.help.as_deref(),
        }
    }
}

pub(super) fn render(report: &Report) -> String {
    let lines: Vec<_> = report.problems.iter().map(Line::from).collect();
    // Strings and numbers always serialize.
    let mut json = serde_json::to_string_pretty(&lines).unwrap_or_else(|_| "[]".to_owned());
    json.push('\n');
    json
}
