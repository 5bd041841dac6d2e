//! Words, quotes and braces as nginx reads them (ngx_conf_file.c), but for mistakes: those are read as
//! what they look like.

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
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => tokens.push((began, Token::End)),
            '{' => tokens.push((began, Token::Open)),
            '}' => tokens.push((began, Token::Close)),
            '"' | '\'' => {
                let word = quoted(&mut chars, c, &mut line);
                tokens.push((began, Token::Word(word, true)));
            }
            first => {
                let word = bare(&mut chars, first);
                tokens.push((began, Token::Word(word, false)));
            }
        }
    }
    tokens
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(chars: &mut Chars<'_>, quote: char, line: &mut usize) -> String {
    let mut word = String::new();
    while let Some(c) = chars.next() {
        *line += usize::from(c == '\n');
        match c {
            c if c == quote => break,
            '\\' => match chars.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some('r') => word.push('\r'),
                Some(c @ ('"' | '\'' | '\\')) => word.push(c),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            c => word.push(c),
        }
    }
    word
}

fn bare(chars: &mut Chars<'_>, first: char) -> String {
    let mut word = String::from(first);
    loop {
        let ends = |c: &char| c.is_whitespace() || matches!(c, ';' | '{' | '}');
        match chars.peek() {
            // A variable in braces.
            Some('{') if word.ends_with('$') => {
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            None => break,
            Some(c) if ends(c) => break,
            Some('\\') => {
                word.extend(chars.next());
                word.extend(chars.next_if(|c| *c != '\n'));
            }
            Some(_) => word.extend(chars.next()),
        }
    }
    word
}
