use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml_parser::Source as Lexer;
use toml_parser::lexer::TokenKind;

use super::{Node, Place, Table, Value};

/// The deepest dotted key (`a.b.c`) that is read. The language needs five; without a limit a long
/// row of dots would make a tree too deep to walk.
const MAX_KEY_DEPTH: usize = 32;

/// One error of syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Reads TOML as far as it can be understood, with all errors of syntax.
pub(crate) fn parse(source: u32, text: &str) -> (Table, Vec<SyntaxError>) {
    if let Some(span) = too_deep_key(text) {
        let message = format!("a key of more than {MAX_KEY_DEPTH} parts");
        return (
            Table::empty(Place::whole(source)),
            vec![SyntaxError {
                span,
                message,
                help: None,
            }],
        );
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| SyntaxError {
        span: error.span().unwrap_or(text.len()..text.len()),
        message: error.message().to_owned(),
        help: None,
    });
    (
        Table::from_toml(source, Place::whole(source), tree.into_inner()),
        errors.collect(),
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
