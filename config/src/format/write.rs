//! From lines and values to a text.

use super::read::{Document, Entry, Line, List, Value};

/// A list that would reach beyond this column is broken.
const COLUMNS: usize = 100;
/// Of one level within a list.
const INDENT: usize = 4;

/// A line as it will be written, its comment apart.
struct Written {
    text: String,
    comment: Option<String>,
    /// Comments of lines that follow each other stand in one column.
    aligns: bool,
}

pub(super) fn document(document: &Document) -> String {
    let mut lines: Vec<Written> = Vec::new();
    for line in &document.0 {
        match line {
            Line::Blank => blank(&mut lines),
            Line::Comment(text) => lines.push(Written::plain(text.clone())),
            Line::Header { text, comment } => {
                blank_above_comments(&mut lines);
                lines.push(Written {
                    text: text.clone(),
                    comment: comment.clone(),
                    aligns: false,
                });
            }
            Line::Entry(written) => lines.extend(entry(written, 0, "")),
        }
    }
    while lines.last().is_some_and(Written::is_blank) {
        lines.pop();
    }
    join(&lines)
}

impl Written {
    fn plain(text: String) -> Self {
        Self {
            text,
            comment: None,
            aligns: false,
        }
    }

    fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    fn is_comment(&self) -> bool {
        self.text.starts_with('#')
    }
}

/// One empty line, and none at the beginning.
fn blank(lines: &mut Vec<Written>) {
    if lines.last().is_some_and(|last| !last.is_blank()) {
        lines.push(Written::plain(String::new()));
    }
}

/// One empty line above the comments that stand last: they belong to what follows.
fn blank_above_comments(lines: &mut Vec<Written>) {
    let comments = lines.iter().rev().take_while(|line| line.is_comment());
    let place = lines.len() - comments.count();
    if place > 0 && !lines[place - 1].is_blank() {
        lines.insert(place, Written::plain(String::new()));
    }
}

fn join(lines: &[Written]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < lines.len() {
        let group = lines[at..].iter().take_while(|line| line.aligns).count();
        let group = &lines[at..at + group.max(1)];
        let with_comment = group.iter().filter(|line| line.comment.is_some());
        let column = with_comment.map(|line| width(&line.text)).max();
        for line in group {
            text.push_str(&line.text);
            if let Some(comment) = &line.comment {
                let gap = column.unwrap_or(0).saturating_sub(width(&line.text)) + 2;
                text.extend(std::iter::repeat_n(' ', gap));
                text.push_str(comment);
            }
            text.push('\n');
        }
        at += group.len();
    }
    text
}

/// In characters, of the last line.
fn width(text: &str) -> usize {
    let last = text.rsplit('\n').next().unwrap_or_default();
    last.chars().count()
}

/// A value with its key, `indent` columns from the left; `tail` stands behind it.
fn entry(entry: &Entry, indent: usize, tail: &str) -> Vec<Written> {
    let margin = " ".repeat(indent);
    let key = entry.key.as_ref().map(|key| format!("{key} = "));
    let head = format!("{margin}{}", key.unwrap_or_default());
    let line = format!("{head}{}{tail}", flat(&entry.value));
    let fits = !is_broken(&entry.value) && width(&line) <= COLUMNS;
    let lines = match &entry.value {
        Value::List(list) if may_break(list) && !fits => broken(list, &head, indent, tail),
        _ => Vec::new(),
    };
    if lines.is_empty() {
        return vec![Written {
            aligns: !line.contains('\n'),
            text: line,
            comment: entry.comment.clone(),
        }];
    }
    with_comment(lines, entry.comment.clone())
}

fn with_comment(mut lines: Vec<Written>, comment: Option<String>) -> Vec<Written> {
    if let Some(last) = lines.last_mut() {
        last.comment = comment;
    }
    lines
}

/// An array with something in it, and what was broken before: an inline table on one line is one
/// that every version of TOML reads.
fn may_break(list: &List) -> bool {
    let something = !list.items.is_empty() || !list.below.is_empty();
    let inside = list.items.iter().any(|item| is_broken(&item.value));
    something && (!list.is_table || list.broken || inside)
}

/// Whether it is, or holds, a list that stays broken.
fn is_broken(value: &Value) -> bool {
    match value {
        Value::Scalar(_) => false,
        Value::List(list) => {
            let something = !list.items.is_empty() || !list.below.is_empty();
            (list.broken && something) || list.items.iter().any(|item| is_broken(&item.value))
        }
    }
}

/// One item per line. An inline table that only holds something broken stays on its lines:
/// `{ a = [`, items, `] }`.
fn broken(list: &List, head: &str, indent: usize, tail: &str) -> Vec<Written> {
    let (open, close) = brackets(list);
    if list.is_table && !list.broken {
        return hugging(list, head, indent, tail);
    }
    let mut lines = vec![Written::plain(format!("{head}{open}"))];
    let inner = indent + INDENT;
    let margin = " ".repeat(inner);
    for item in &list.items {
        if item.blank {
            lines.push(Written::plain(String::new()));
        }
        let above = item.above.iter();
        lines.extend(above.map(|text| Written::plain(format!("{margin}{text}"))));
        lines.extend(entry(item, inner, ","));
    }
    let below = list.below.iter();
    lines.extend(below.map(|text| Written::plain(format!("{margin}{text}"))));
    lines.push(Written::plain(format!(
        "{}{close}{tail}",
        " ".repeat(indent)
    )));
    lines
}

/// An inline table whose items are broken and that is not broken between them.
fn hugging(list: &List, head: &str, indent: usize, tail: &str) -> Vec<Written> {
    let mut lines: Vec<Written> = Vec::new();
    let mut open = format!("{head}{{ ");
    let last = list.items.len().saturating_sub(1);
    for (place, item) in list.items.iter().enumerate() {
        let tail = if place == last {
            format!(" }}{tail}")
        } else {
            ", ".to_owned()
        };
        let key = item.key.as_ref().map(|key| format!("{key} = "));
        open += &key.unwrap_or_default();
        match &item.value {
            Value::List(inner) if is_broken(&item.value) => {
                let mut more = broken(inner, &open, indent, &tail);
                let end = more.pop().map(|end| end.text).unwrap_or_default();
                lines.extend(more);
                open = end;
            }
            value => open += &format!("{}{tail}", flat(value)),
        }
    }
    lines.push(Written::plain(open));
    lines
}

fn brackets(list: &List) -> (&'static str, &'static str) {
    if list.is_table {
        ("{", "}")
    } else {
        ("[", "]")
    }
}

/// On one line.
fn flat(value: &Value) -> String {
    let list = match value {
        Value::Scalar(text) => return text.clone(),
        Value::List(list) => list,
    };
    let (open, close) = brackets(list);
    let item = |item: &Entry| match &item.key {
        Some(key) => format!("{key} = {}", flat(&item.value)),
        None => flat(&item.value),
    };
    let items: Vec<String> = list.items.iter().map(item).collect();
    let space = if list.is_table && !items.is_empty() {
        " "
    } else {
        ""
    };
    format!("{open}{space}{}{space}{close}", items.join(", "))
}
