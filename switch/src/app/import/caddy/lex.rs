//! Words, quotes and braces as a Caddyfile has them: a line is a statement, a brace is one when it stands
//! alone.

use super::super::tree::{Directive, Token, tree};

pub(super) fn directives(text: &str, file: usize) -> Vec<Directive> {
    tree(tokens(text), file)
}

fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(c) = chars.next() {
        let began = line;
        match c {
            '\n' => {
                line += 1;
                tokens.push((began, Token::End));
            }
            // The next line goes on with this one.
            '\\' if chars.peek() == Some(&'\n') => {
                chars.next();
                line += 1;
            }
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '`' => {
                let mut word = String::new();
                while let Some(inner) = chars.next() {
                    line += usize::from(inner == '\n');
                    match inner {
                        inner if inner == c => break,
                        '\\' if c == '"' && chars.peek() == Some(&'"') => word.extend(chars.next()),
                        inner => word.push(inner),
                    }
                }
                tokens.push((began, Token::Word(word, true)));
            }
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
                tokens.push((began, plain(word)));
            }
        }
    }
    tokens
}

fn plain(word: String) -> Token {
    match word.as_str() {
        "{" => Token::Open,
        "}" => Token::Close,
        _ => Token::Word(word.trim_end_matches(',').to_owned(), false),
    }
}
