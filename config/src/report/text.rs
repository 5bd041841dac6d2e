use std::collections::HashMap;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Problem, Report, Severity};

/// The widest stretch of a line that an excerpt shows, in characters.
const WINDOW: usize = 160;

/// The lines of every file that is shown.
type Lines<'a> = HashMap<&'a Path, Vec<&'a str>>;

pub(super) fn render(report: &Report, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    let lines: Lines<'_> = report
        .texts
        .iter()
        .map(|(path, text)| (path.as_path(), text.lines().collect()))
        .collect();
    for problem in &report.problems {
        text.push_str(&render_problem(&lines, problem, &renderer));
        text.push_str("\n\n");
    }
    text.push_str(&report.summary());
    text.push('\n');
    text
}

fn render_problem(lines: &Lines<'_>, problem: &Problem, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(problem.message.as_str())
        .id(problem.code);
    let mut group = Group::with_title(title);
    let spots = spots(problem);
    if spots.is_empty() {
        group = group.element(Origin::path(problem.file.display().to_string()));
    }
    for spot in spots {
        group = with_excerpt(group, lines, &spot);
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// A place to show.
struct Spot<'a> {
    file: &'a Path,
    line: usize,
    column: usize,
    width: usize,
    label: Option<&'a str>,
}

fn spots(problem: &Problem) -> Vec<Spot<'_>> {
    let first = (problem.line > 0).then_some(Spot {
        file: &problem.file,
        line: problem.line,
        column: problem.column,
        width: problem.width,
        label: None,
    });
    let second = problem.also.as_ref().map(|also| Spot {
        file: &also.file,
        line: also.line,
        column: also.column,
        width: also.width,
        label: Some(&also.label),
    });
    first.into_iter().chain(second).collect()
}

fn with_excerpt<'a>(group: Group<'a>, lines: &Lines<'_>, spot: &Spot<'a>) -> Group<'a> {
    let path = spot.file.display().to_string();
    let line = lines
        .get(spot.file)
        .and_then(|lines| lines.get(spot.line - 1));
    let Some(line) = line else {
        return group.element(Origin::path(path).line(spot.line).char_column(spot.column));
    };
    let excerpt = Excerpt::new(line.trim_start_matches('\u{feff}'), spot.column, spot.width);
    let kind = match spot.label {
        None => AnnotationKind::Primary,
        Some(_) => AnnotationKind::Context,
    };
    let annotation = kind.span(excerpt.start..excerpt.end).label(spot.label);
    let snippet = Snippet::source(excerpt.text)
        .line_start(spot.line)
        .annotation(annotation);
    if excerpt.cut {
        let origin = Origin::path(path).line(spot.line).char_column(spot.column);
        group.element(origin).element(snippet)
    } else {
        group.element(snippet.path(path))
    }
}

/// A line, cut around the place when it is very long, with the place in bytes.
struct Excerpt {
    text: String,
    start: usize,
    end: usize,
    cut: bool,
}

impl Excerpt {
    fn new(line: &str, column: usize, width: usize) -> Self {
        let first = if column > WINDOW {
            column - WINDOW / 2
        } else {
            1
        };
        let text: String = line.chars().skip(first - 1).take(WINDOW).collect();
        let cut = text.len() < line.len();
        let offset = |column: usize| {
            text.char_indices()
                .nth(column - first)
                .map_or(text.len(), |(offset, _)| offset)
        };
        let start = offset(column);
        let end = offset(column + width);
        Self {
            start,
            end,
            cut,
            text,
        }
    }
}
