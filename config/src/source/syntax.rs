use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;
use toml_parser::parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{Expected, ParseError, Source as Lexer, Span};

use super::{Node, Place, Table, Value};

/// The deepest dotted key (`a.b.c`) that is read. The language needs five; without a limit a long
/// row of dots would make a tree too deep to walk.
const MAX_KEY_DEPTH: usize = 32;

/// The deepest nesting of arrays and inline tables.
const MAX_NESTING: u32 = 32;

/// The most errors of one file that are looked into.
const MAX_ERRORS: usize = 1000;

/// How far back the first of two definitions is searched for, in bytes.
const MAX_LOOK_BACK: usize = 64 * 1024;

/// One error of syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Where a key that is defined twice stands first.
    pub(crate) first: Option<Range<usize>>,
}

/// Reads TOML with all errors of syntax. Lines that have one are left out of the tree, so that the
/// rest can still be looked at.
pub(crate) fn parse(source: u32, text: &str) -> (Table, Vec<SyntaxError>) {
    if let Some(span) = too_deep_key(text) {
        let message = format!("a key of more than {MAX_KEY_DEPTH} parts");
        let error = SyntaxError {
            span,
            message,
            help: None,
            first: None,
        };
        return (Table::empty(Place::whole(source)), vec![error]);
    }
    let mut errors = malformed(text);
    let blanked = (!errors.is_empty()).then(|| without_lines_of(text, &errors));
    let (tree, found) = DeTable::parse_recoverable(blanked.as_deref().unwrap_or(text));
    for error in found.into_iter().take(MAX_ERRORS) {
        let span = error.span().unwrap_or(text.len()..text.len());
        // What else is found in the blanked text may only follow from what was left out.
        if error.message() == "duplicate key" {
            errors.push(duplicate(text, span));
        } else if blanked.is_none() {
            let message = error.message().to_owned();
            errors.push(SyntaxError {
                span,
                message,
                help: None,
                first: None,
            });
        }
    }
    (
        Table::from_toml(source, Place::whole(source), tree.into_inner()),
        errors,
    )
}

/// Reads one of the program's own literals, such as a default; `None` when it is not TOML.
pub(crate) fn parse_literal(text: &str) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let mut node = Node::from_toml(Place::BUILT_IN.source, value);
    forget_places(&mut node);
    Some(node)
}

fn forget_places(node: &mut Node) {
    node.place = Place::BUILT_IN;
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(forget_places),
        Value::Table(table) => {
            table.place = Place::BUILT_IN;
            for entry in &mut table.entries {
                entry.key_place = Place::BUILT_IN;
                forget_places(&mut entry.node);
            }
        }
        _ => {}
    }
}

/// Everything that is not well-formed by itself; keys defined twice are another matter.
fn malformed(text: &str) -> Vec<SyntaxError> {
    let source = Lexer::new(text);
    let tokens = source.lex().into_vec();
    let mut errors: Vec<ParseError> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(tokens.len());
    let mut receiver = ValidateWhitespace::new(&mut events, source);
    let mut receiver = RecursionGuard::new(&mut receiver, MAX_NESTING);
    parse_document(&tokens, &mut receiver, &mut errors);
    for event in &events {
        let Some(raw) = source.get(event) else {
            continue;
        };
        match event.kind() {
            EventKind::SimpleKey => raw.decode_key(&mut (), &mut errors),
            EventKind::Scalar => drop(raw.decode_scalar(&mut (), &mut errors)),
            _ => {}
        }
    }
    let mut errors: Vec<_> = errors.iter().map(|error| described(text, error)).collect();
    errors.sort_by_key(|error| error.span.start);
    errors.dedup();
    errors
}

fn described(text: &str, error: &ParseError) -> SyntaxError {
    let span = error.unexpected().map_or(text.len()..text.len(), range);
    let mut message = error.description().to_owned();
    let mut help = None;
    if message.starts_with("string values must be quoted") {
        let written = text.get(span.clone()).unwrap_or_default();
        message = match written.trim() {
            "" => "a value is missing".to_owned(),
            word => {
                help = Some(format!("write {word:?}"));
                "a string must be in quotes".to_owned()
            }
        };
    } else if let Some(expected) = error.expected().filter(|expected| !expected.is_empty()) {
        let expected: Vec<_> = expected.iter().map(expectation).collect();
        message = format!("{message}, expected {}", expected.join(" or "));
    }
    SyntaxError {
        span,
        message,
        help,
        first: None,
    }
}

fn expectation(expected: &Expected) -> String {
    match expected {
        Expected::Literal("\n") => "a line break".to_owned(),
        Expected::Literal(literal) => format!("`{literal}`"),
        Expected::Description(description) => (*description).to_owned(),
        _ => "something else".to_owned(),
    }
}

fn range(span: Span) -> Range<usize> {
    span.start()..span.end()
}

/// The text with spaces in place of every line that has an error. Of a table whose header has one,
/// all lines go, or its keys would fall to the table before.
fn without_lines_of(text: &str, errors: &[SyntaxError]) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut starts = errors.iter().map(|error| error.span.start).peekable();
    let mut in_broken_table = false;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let mut broken = false;
        while starts
            .next_if(|start| *start < end || end == text.len())
            .is_some()
        {
            broken = true;
        }
        if line.trim_start().starts_with('[') {
            in_broken_table = broken;
        }
        if broken || in_broken_table {
            blanked.extend(
                line.bytes()
                    .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
            );
        } else {
            blanked.push_str(line);
        }
    }
    blanked
}

fn duplicate(text: &str, span: Range<usize>) -> SyntaxError {
    let key = text.get(span.clone()).unwrap_or_default();
    SyntaxError {
        message: format!("{} is defined twice", crate::suggest::quoted(key)),
        help: None,
        first: first_definition(text, &span),
        span,
    }
}

/// The same header further up; or, for a key on a line of its own, the same key further up in the
/// same table.
fn first_definition(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[span.start..]
        .find('\n')
        .map_or(text.len(), |at| span.start + at);
    let line = text.get(line_start..line_end)?.trim();
    let is_header = line.starts_with('[');
    let key = text.get(span.clone())?;
    let mut end = line_start;
    let near = text.floor_char_boundary(line_start.saturating_sub(MAX_LOOK_BACK));
    for other in text[near..line_start].split_inclusive('\n').rev() {
        end -= other.len();
        let trimmed = other.trim();
        let indent = other.len() - other.trim_start().len();
        if is_header && trimmed == line {
            let at = end + other.find(key)?;
            return Some(at..at + key.len());
        }
        if !is_header {
            if trimmed.starts_with('[') {
                return None;
            }
            let rest = trimmed.strip_prefix(key).map(str::trim_start);
            if rest.is_some_and(|rest| rest.starts_with(['=', '.'])) {
                return Some(end + indent..end + indent + key.len());
            }
        }
    }
    None
}

fn too_deep_key(text: &str) -> Option<Range<usize>> {
    let mut dots = 0;
    for token in Lexer::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Atom
            | TokenKind::Whitespace
            | TokenKind::LiteralString
            | TokenKind::BasicString => {}
            _ => dots = 0,
        }
        if dots >= MAX_KEY_DEPTH {
            return Some(token.span().start()..token.span().end());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(&str, String)> {
        let (_, errors) = parse(0, text);
        errors
            .into_iter()
            .map(|error| (&text[error.span], error.message))
            .collect()
    }

    #[test]
    fn every_malformed_line_is_reported_and_the_others_are_read() {
        let text = "a 1\nb = \nc = \"x\nd = word\n[t\ne = 1\n[u]\nf = 2\n";
        let (tree, errors) = parse(0, text);
        let lines: Vec<_> = errors
            .iter()
            .map(|error| text[..error.span.start].matches('\n').count() + 1)
            .collect();
        assert_eq!(lines, [1, 2, 3, 4, 5], "{errors:?}");
        let keys: Vec<_> = tree
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        assert_eq!(keys, ["u"]);
    }

    #[test]
    fn a_key_defined_twice_names_the_first_place() {
        let text = "[a]\n  x = 1\nx = 2\n[b]\nx = 3\n[a]\n";
        let (_, errors) = parse(0, text);
        let firsts: Vec<_> = errors.iter().map(|error| error.first.clone()).collect();
        assert_eq!(firsts, [Some(6..7), Some(1..2)]);
        assert_eq!(errors[0].message, "`x` is defined twice");
    }

    #[test]
    fn nesting_and_dotted_keys_have_a_limit() {
        let dots = format!("{}a = 1", "a.".repeat(1_000_000));
        assert!(errors(&dots)[0].1.contains("more than"));
        let nested = format!("a = {}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(!errors(&nested).is_empty());
        let inline = format!("a = {}", "{a=".repeat(100_000));
        assert!(!errors(&inline).is_empty());
    }

    #[test]
    fn points_in_strings_and_numbers_are_no_keys() {
        let text = format!("a = \"{}\"\nb = [{}]", ".".repeat(99), "1.5, ".repeat(99));
        assert_eq!(errors(&text), []);
    }
}
