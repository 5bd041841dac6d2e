//! What the three dialects have in common: words, and blocks of them.

use super::draft::At;

/// How deep blocks may stand in each other.
pub(super) const MAX_DEPTH: usize = 32;

/// A line or statement, and its block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) at: At,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub(super) fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The argument of that number, from 0 on, or nothing.
    pub(super) fn arg(&self, number: usize) -> &str {
        self.args().get(number).map_or("", String::as_str)
    }

    pub(super) fn block(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// As it was written, more or less.
    pub(super) fn text(&self) -> String {
        let words = self.words.join(" ");
        match &self.block {
            Some(_) => words + " { ... }",
            None => words,
        }
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, and whether it was quoted.
    Word(String, bool),
    Open,
    Close,
    /// The end of a statement.
    End,
}

/// Blocks from tokens. What is wrong with the braces is passed over.
pub(super) fn tree(tokens: Vec<(usize, Token)>, file: usize) -> Vec<Directive> {
    let mut open: Vec<Directive> = Vec::new();
    let mut done: Vec<Directive> = Vec::new();
    let mut current = Directive::default();
    for (line, token) in tokens {
        match token {
            Token::Word(word, _) => {
                if current.words.is_empty() {
                    current.at = At { file, line };
                }
                current.words.push(word);
            }
            Token::End => push(&mut open, &mut done, std::mem::take(&mut current)),
            Token::Open => {
                if current.words.is_empty() {
                    current.at = At { file, line };
                }
                current.block = Some(Vec::new());
                let opened = std::mem::take(&mut current);
                match open.len() < MAX_DEPTH {
                    true => open.push(opened),
                    // What is deeper is read as if it stood here.
                    false => push(&mut open, &mut done, opened),
                }
            }
            Token::Close => {
                push(&mut open, &mut done, std::mem::take(&mut current));
                if let Some(closed) = open.pop() {
                    push(&mut open, &mut done, closed);
                }
            }
        }
    }
    push(&mut open, &mut done, current);
    while let Some(closed) = open.pop() {
        push(&mut open, &mut done, closed);
    }
    done
}

fn push(open: &mut [Directive], done: &mut Vec<Directive>, directive: Directive) {
    if directive.words.is_empty() && directive.block.is_none() {
        return;
    }
    match open.last_mut() {
        Some(parent) => parent.block.get_or_insert_default().push(directive),
        None => done.push(directive),
    }
}
