//! Values as the policy language writes them.

use std::fmt::Write as _;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Text(String),
    Number(u64),
    Bool(bool),
    List(Vec<Word>),
    Table(Keys),
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Word {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Word {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Word {
    /// A list, or its one item.
    pub(super) fn few(mut words: Vec<String>) -> Self {
        match (words.len(), words.pop()) {
            (1, Some(only)) => Self::Text(only),
            (_, last) => Self::List(words.into_iter().chain(last).map(Self::Text).collect()),
        }
    }

    fn render(&self, out: &mut String) {
        match self {
            Self::Text(text) => string(text, out),
            Self::Number(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Bool(value) => {
                let _ = write!(out, "{value}");
            }
            Self::List(words) => {
                out.push('[');
                for (place, word) in words.iter().enumerate() {
                    out.push_str(if place > 0 { ", " } else { "" });
                    word.render(out);
                }
                out.push(']');
            }
            Self::Table(keys) => {
                out.push_str("{ ");
                for (place, (key, word)) in keys.0.iter().enumerate() {
                    out.push_str(if place > 0 { ", " } else { "" });
                    name(key, out);
                    out.push_str(" = ");
                    word.render(out);
                }
                out.push_str(" }");
            }
        }
    }
}

/// Keys and values in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Keys(pub(super) Vec<(String, Word)>);

impl Keys {
    /// Sets a value at a path of keys, in the place of one that is there.
    pub(super) fn set(&mut self, path: &[&str], word: impl Into<Word>) {
        let Some((last, before)) = path.split_last() else {
            return;
        };
        let mut keys = self;
        for key in before {
            keys = keys.table(key);
        }
        let word = word.into();
        match keys.0.iter_mut().find(|(key, _)| key == last) {
            Some((_, value)) => *value = word,
            None => keys.0.push(((*last).to_owned(), word)),
        }
    }

    /// The value at a path of keys.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Word> {
        let (first, rest) = path.split_first()?;
        let (_, word) = self.0.iter().find(|(key, _)| key == first)?;
        match word {
            word if rest.is_empty() => Some(word),
            Word::Table(keys) => keys.get(rest),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `key = value` lines.
    pub(super) fn lines(&self) -> String {
        let mut out = String::new();
        for (key, word) in &self.0 {
            name(key, &mut out);
            out.push_str(" = ");
            word.render(&mut out);
            out.push('\n');
        }
        out
    }

    fn table(&mut self, name: &str) -> &mut Self {
        let place = self.0.iter().position(|(key, _)| key == name);
        let place = place.unwrap_or_else(|| {
            self.0.push((name.to_owned(), Word::Table(Self::default())));
            self.0.len() - 1
        });
        let word = &mut self.0[place].1;
        if !matches!(word, Word::Table(_)) {
            *word = Word::Table(Self::default());
        }
        match word {
            Word::Table(keys) => keys,
            _ => unreachable!("it was made one"),
        }
    }
}

fn name(key: &str, out: &mut String) {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !key.is_empty() && key.chars().all(is_bare) {
        true => out.push_str(key),
        false => quoted(key, out),
    }
}

/// `${` would be a variable.
fn string(text: &str, out: &mut String) {
    quoted(&text.replace("${", "$${"), out);
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
