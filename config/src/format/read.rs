//! From a text to its lines and values, as they are written.

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, parse_document};

/// A text without errors of syntax.
#[derive(Debug, Default)]
pub(super) struct Document(pub(super) Vec<Line>);

/// What stands by itself in a document.
#[derive(Debug)]
pub(super) enum Line {
    Blank,
    Comment(String),
    /// `[a.b]` or `[[a.b]]`
    Header {
        text: String,
        comment: Option<String>,
    },
    Entry(Entry),
}

/// A value with its key, if it has one, and what is said about it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whether an empty line stands before it, and the comments above it; in lists alone.
    pub(super) blank: bool,
    pub(super) above: Vec<String>,
    pub(super) key: Option<String>,
    pub(super) value: Value,
    pub(super) comment: Option<String>,
}

#[derive(Debug)]
pub(super) enum Value {
    /// As it is written.
    Scalar(String),
    List(List),
}

/// An array or an inline table.
#[derive(Debug)]
pub(super) struct List {
    pub(super) is_table: bool,
    pub(super) items: Vec<Entry>,
    /// Comments behind the last item.
    pub(super) below: Vec<String>,
    /// A line break stands in it.
    pub(super) broken: bool,
}

/// Every comment, in order.
pub(super) fn comments(text: &str) -> Vec<String> {
    let events = events(text);
    let comments = events
        .iter()
        .filter(|event| event.kind() == EventKind::Comment);
    comments.map(|event| of(text, event)).collect()
}

pub(super) fn document(text: &str) -> Document {
    let events = events(text);
    let mut reader = Reader {
        text,
        events: &events,
        at: 0,
    };
    let mut lines = Vec::new();
    // Whether the present line holds something: a line break ends it then.
    let mut holds = false;
    while let Some(event) = reader.next() {
        match event.kind() {
            EventKind::Newline => {
                if !holds {
                    lines.push(Line::Blank);
                }
                holds = false;
            }
            EventKind::Comment => {
                let text = of(text, event);
                match lines.last_mut().filter(|_| holds) {
                    Some(Line::Header { comment, .. }) => *comment = Some(text),
                    Some(Line::Entry(entry)) => entry.comment = Some(text),
                    _ => lines.push(Line::Comment(text)),
                }
                holds = true;
            }
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                lines.push(Line::Header {
                    text: reader.header(event),
                    comment: None,
                });
                holds = true;
            }
            EventKind::SimpleKey => {
                let (key, value) = reader.entry(event);
                lines.push(Line::Entry(Entry::of(Some(key), value)));
                holds = true;
            }
            _ => {}
        }
    }
    Document(lines)
}

fn events(text: &str) -> Vec<Event> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut events = Vec::with_capacity(tokens.len());
    parse_document(&tokens, &mut |event| events.push(event), &mut ());
    events.retain(|event| event.kind() != EventKind::Whitespace);
    events
}

/// What is written there, without blanks at the end.
fn of(text: &str, event: &Event) -> String {
    let span = event.span();
    let written = text.get(span.start()..span.end()).unwrap_or_default();
    written.trim_end().to_owned()
}

impl Entry {
    fn of(key: Option<String>, value: Value) -> Self {
        Self {
            blank: false,
            above: Vec::new(),
            key,
            value,
            comment: None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    events: &'a [Event],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Event> {
        let event = self.events.get(self.at)?;
        self.at += 1;
        Some(event)
    }

    /// Up to the closing bracket.
    fn header(&mut self, open: &Event) -> String {
        let (begin, end) = match open.kind() {
            EventKind::ArrayTableOpen => ("[[", "]]"),
            _ => ("[", "]"),
        };
        let mut keys = Vec::new();
        while let Some(event) = self.next() {
            match event.kind() {
                EventKind::SimpleKey => keys.push(of(self.text, event)),
                EventKind::StdTableClose | EventKind::ArrayTableClose => break,
                _ => {}
            }
        }
        format!("{begin}{}{end}", keys.join("."))
    }

    /// From the first part of a key to the end of its value.
    fn entry(&mut self, first: &Event) -> (String, Value) {
        let mut keys = vec![of(self.text, first)];
        while let Some(event) = self.next() {
            match event.kind() {
                EventKind::SimpleKey => keys.push(of(self.text, event)),
                EventKind::KeyValSep => break,
                _ => {}
            }
        }
        let value = match self.next() {
            Some(event) => self.value(event),
            None => Value::Scalar(String::new()),
        };
        (keys.join("."), value)
    }

    fn value(&mut self, first: &Event) -> Value {
        match first.kind() {
            EventKind::ArrayOpen => Value::List(self.list(false)),
            EventKind::InlineTableOpen => Value::List(self.list(true)),
            _ => Value::Scalar(of(self.text, first)),
        }
    }

    /// Up to the closing bracket.
    fn list(&mut self, is_table: bool) -> List {
        let mut list = List {
            is_table,
            items: Vec::new(),
            below: Vec::new(),
            broken: false,
        };
        // What stands above the next item.
        let (mut above, mut blank): (Vec<String>, bool) = (Vec::new(), false);
        // Line breaks since the last item or comment; none yet counts as one.
        let mut breaks = 1;
        while let Some(event) = self.next() {
            match event.kind() {
                EventKind::ArrayClose | EventKind::InlineTableClose => break,
                EventKind::Newline => {
                    list.broken = true;
                    breaks += 1;
                    blank |= breaks > 1 && above.is_empty() && !list.items.is_empty();
                }
                EventKind::Comment => {
                    let text = of(self.text, event);
                    list.broken = true;
                    match list.items.last_mut().filter(|_| breaks == 0) {
                        Some(item) if item.comment.is_none() => item.comment = Some(text),
                        _ => above.push(text),
                    }
                    breaks = 0;
                }
                EventKind::ValueSep | EventKind::KeySep | EventKind::KeyValSep => {}
                kind => {
                    let mut item = match kind {
                        EventKind::SimpleKey => {
                            let (key, value) = self.entry(event);
                            Entry::of(Some(key), value)
                        }
                        _ => Entry::of(None, self.value(event)),
                    };
                    item.above = std::mem::take(&mut above);
                    item.blank = std::mem::take(&mut blank);
                    list.items.push(item);
                    breaks = 0;
                }
            }
        }
        list.below = above;
        list
    }
}
