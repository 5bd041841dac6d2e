use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Problem, Report, Severity};

/// The longest line, in bytes, that is handed to the renderer as it is; of longer ones a stretch
/// around the place is shown.
const MAX_LINE: usize = 4096;

/// How many characters of a longer line are shown.
const STRETCH: usize = 120;

/// How far apart two places may be, in lines, to be shown in one excerpt.
const MAX_APART: usize = 100;

/// The lines of every file that is shown.
type Lines<'a> = HashMap<&'a Path, Vec<&'a str>>;

pub(super) fn render(report: &Report, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let lines_of = |text| str::lines(str::trim_start_matches(text, '\u{feff}')).collect();
    let texts = report.texts.iter();
    let lines: Lines<'_> = texts
        .map(|(path, text)| (path.as_path(), lines_of(text)))
        .collect();
    let mut text = String::new();
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
    } else if let Some(snippet) = common_excerpt(lines, &spots) {
        group = group.element(snippet);
    } else {
        for spot in &spots {
            group = with_excerpt(group, lines, spot);
        }
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

impl<'a> Spot<'a> {
    fn line<'l>(&self, lines: &Lines<'l>) -> Option<&'l str> {
        lines.get(self.file)?.get(self.line - 1).copied()
    }

    /// The bytes of the line that are meant.
    fn range(&self, line: &str) -> Range<usize> {
        let offset = |characters: usize| {
            line.char_indices()
                .nth(characters)
                .map_or(line.len(), |(offset, _)| offset)
        };
        offset(self.column - 1)..offset(self.column - 1 + self.width)
    }

    fn annotation(&self, range: Range<usize>) -> Annotation<'a> {
        let kind = match self.label {
            None => AnnotationKind::Primary,
            Some(_) => AnnotationKind::Context,
        };
        kind.span(range).label(self.label)
    }
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

/// One excerpt that shows all places; `None` when they are too far apart or not in one file.
fn common_excerpt<'a>(
    lines: &Lines<'_>,
    spots: &[Spot<'a>],
) -> Option<Snippet<'a, Annotation<'a>>> {
    let file = spots.first()?.file;
    let first = spots.iter().map(|spot| spot.line).min()?;
    let last = spots.iter().map(|spot| spot.line).max()?;
    let shown = lines.get(file)?.get(first - 1..last)?;
    let fits = shown.len() <= MAX_APART && shown.iter().all(|line| line.len() <= MAX_LINE);
    if !fits || spots.iter().any(|spot| spot.file != file) {
        return None;
    }
    let annotations = spots.iter().map(|spot| {
        let before: usize = shown[..spot.line - first]
            .iter()
            .map(|line| line.len() + 1)
            .sum();
        let range = spot.range(shown[spot.line - first]);
        spot.annotation(before + range.start..before + range.end)
    });
    let annotations: Vec<_> = annotations.collect();
    let snippet = Snippet::source(shown.join("\n"))
        .line_start(first)
        .annotations(annotations);
    Some(snippet.path(file.display().to_string()))
}

fn with_excerpt<'a>(group: Group<'a>, lines: &Lines<'_>, spot: &Spot<'a>) -> Group<'a> {
    let path = spot.file.display().to_string();
    let Some(line) = spot.line(lines) else {
        return group.element(Origin::path(path).line(spot.line).char_column(spot.column));
    };
    let range = spot.range(line);
    if line.len() <= MAX_LINE {
        let snippet = Snippet::source(line.to_owned()).line_start(spot.line);
        return group.element(snippet.path(path).annotation(spot.annotation(range)));
    }
    let origin = Origin::path(path).line(spot.line).char_column(spot.column);
    let stretch: String = line[range.start..].chars().take(STRETCH).collect();
    let end = stretch.len().min(range.len());
    let snippet = Snippet::source(stretch)
        .line_start(spot.line)
        .annotation(spot.annotation(0..end));
    group.element(origin).element(snippet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize, width: usize) -> Problem {
        Problem {
            file: "a.toml".into(),
            line,
            column,
            width,
            severity: Severity::Error,
            code: "bad-value",
            message: "wrong".to_owned(),
            help: None,
            also: None,
        }
    }

    fn rendered(problem: Problem, text: &str) -> String {
        let texts = HashMap::from([(problem.file.clone(), text.into())]);
        Report::new(vec![problem], texts).render_text(false)
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = rendered(problem(2, 3, 2), "x\näöüß\n");
        assert!(text.contains("a.toml:2:3"), "{text}");
        assert!(text.contains("2 | äöüß\n  |   ^^"), "{text}");
    }

    #[test]
    fn of_an_endless_line_only_a_stretch_is_shown() {
        let line = "x".repeat(1_000_000);
        let text = rendered(problem(1, 500_000, 3), &line);
        assert!(text.len() < 1000, "{}", text.len());
        assert!(text.contains("a.toml:1:500000"), "{text}");
    }

    #[test]
    fn places_beyond_the_text_are_still_named() {
        let text = rendered(problem(7, 9, 1), "short\n");
        assert!(text.contains("a.toml:7:9"), "{text}");
    }
}
