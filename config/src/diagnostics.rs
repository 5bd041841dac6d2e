//! The collector of findings. Findings name places; a [`Report`] names lines and columns.

use std::collections::HashSet;

use crate::report::{Also, Problem, Report, Severity};
use crate::source::{Place, Sources};

/// The most problems that one report holds.
const MAX_PROBLEMS: usize = 1000;

/// One finding.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    place: Place,
    severity: Severity,
    code: &'static str,
    message: String,
    help: Option<String>,
    also: Option<(Place, &'static str)>,
}

impl Finding {
    /// What to do about it.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// A second place that has to do with it, and what it is.
    pub(crate) fn also(&mut self, place: Place, label: &'static str) -> &mut Self {
        self.also = Some((place, label));
        self
    }
}

/// All that was read and found so far.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    pub(crate) sources: Sources,
    findings: Vec<Finding>,
    seen: HashSet<(Place, &'static str, String)>,
    errors: usize,
    /// Findings of which no more is kept, so that callers always have one to add to.
    spare: Option<Finding>,
    left_out: usize,
}

impl Diagnostics {
    /// Records an error.
    pub(crate) fn error(
        &mut self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.errors += 1;
        self.add(place, Severity::Error, code, message.into())
    }

    /// Records a warning.
    pub(crate) fn warning(
        &mut self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.add(place, Severity::Warning, code, message.into())
    }

    /// How many errors were recorded, those that repeat an earlier one included: equal before and
    /// after a step means that the step found nothing wrong.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether no more findings are kept: then nobody reads a costly suggestion.
    pub(crate) fn is_full(&self) -> bool {
        self.findings.len() >= MAX_PROBLEMS
    }

    /// Drops errors that probably only follow from errors of syntax: those on a line that has one,
    /// and keys that are missing.
    pub(crate) fn drop_echoes_of_syntax_errors(&mut self) {
        let line = |place: Place| {
            let source = self.sources.get(place.source)?;
            Some((place.source, source.position(place.start as usize).0))
        };
        let syntax = self
            .findings
            .iter()
            .filter(|finding| finding.code == "syntax");
        let lines: HashSet<_> = syntax.map(|finding| line(finding.place)).collect();
        let echo = |finding: &Finding| {
            finding.code != "syntax"
                && (finding.code == "missing-key" || lines.contains(&line(finding.place)))
        };
        let kept: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| !echo(finding))
            .cloned()
            .collect();
        self.findings = kept;
    }

    /// The report: by file in the order of reading, line and column.
    pub(crate) fn into_report(mut self) -> Report {
        self.findings
            .sort_by_key(|finding| (finding.place, std::cmp::Reverse(finding.severity)));
        let mut problems: Vec<_> = self
            .findings
            .iter()
            .map(|finding| self.problem(finding))
            .collect();
        if self.left_out > 0 {
            problems.push(Problem {
                message: format!("{} more problems are not shown", self.left_out),
                ..self.problem_at(Place::whole(0), "too-many-problems")
            });
        }
        let named: HashSet<_> = problems
            .iter()
            .flat_map(|problem| {
                std::iter::once(&problem.file).chain(problem.also.as_ref().map(|also| &also.file))
            })
            .collect();
        let texts = self
            .sources
            .iter()
            .filter(|source| named.contains(&source.path));
        let texts = texts
            .map(|source| (source.path.clone(), source.text.clone()))
            .collect();
        Report::new(problems, texts)
    }

    fn add(
        &mut self,
        place: Place,
        severity: Severity,
        code: &'static str,
        message: String,
    ) -> &mut Finding {
        let full = self.is_full();
        let repeated = !full && !self.seen.insert((place, code, message.clone()));
        let finding = Finding {
            place,
            severity,
            code,
            message,
            help: None,
            also: None,
        };
        if repeated || full {
            self.left_out += usize::from(full && !repeated);
            return self.spare.insert(finding);
        }
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn problem(&self, finding: &Finding) -> Problem {
        let also = finding.also.and_then(|(place, label)| {
            let source = self.sources.get(place.source)?;
            let (line, column) = source.position(place.start as usize);
            let width = self.width(place);
            Some(Also {
                file: source.path.clone(),
                line,
                column,
                width,
                label: label.to_owned(),
            })
        });
        Problem {
            severity: finding.severity,
            message: finding.message.clone(),
            help: finding.help.clone(),
            also,
            ..self.problem_at(finding.place, finding.code)
        }
    }

    fn problem_at(&self, place: Place, code: &'static str) -> Problem {
        let source = self.sources.get(place.source);
        let (line, column) = match source {
            Some(source) if place.end > 0 => source.position(place.start as usize),
            _ => (0, 0),
        };
        Problem {
            file: source.map(|source| source.path.clone()).unwrap_or_default(),
            line,
            column,
            width: self.width(place),
            severity: Severity::Error,
            code,
            message: String::new(),
            help: None,
            also: None,
        }
    }

    /// Characters of a place on its first line.
    fn width(&self, place: Place) -> usize {
        let text = self.sources.text_at(place);
        text.lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            .max(1)
    }
}
