//! Lines and words as HAProxy reads them: quotes, backslashes, comments.

use super::super::draft::At;
use super::super::tree::Directive;

pub(super) fn lines(text: &str) -> Vec<Directive> {
    let lines = text.lines().enumerate().map(|(number, line)| Directive {
        at: At {
            file: 0,
            line: number + 1,
        },
        words: words(line),
        block: None,
    });
    lines.filter(|line| !line.words.is_empty()).collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('#', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
