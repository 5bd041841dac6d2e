use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Place;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

impl Node {
    pub(crate) fn from_toml(source: u32, value: Spanned<DeValue<'_>>) -> Self {
        let place = Place::new(source, value.span());
        Self {
            place,
            value: Value::from_toml(source, place, value.into_inner()),
        }
    }

    pub(crate) fn string(place: Place, text: impl Into<String>) -> Self {
        Self {
            place,
            value: Value::String(text.into()),
        }
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

/// What a TOML file can hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    String(String),
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
    /// A string of which a variable is not set; that is reported already.
    Unset,
}

impl Value {
    /// The kind of value with its article, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Unset => "nothing",
        }
    }

    fn from_toml(source: u32, place: Place, value: DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.into_owned()),
            DeValue::Integer(digits) => {
                Self::Integer(i64::from_str_radix(digits.as_str(), digits.radix()).ok())
            }
            DeValue::Float(digits) => Self::Float(digits.to_string()),
            DeValue::Boolean(value) => Self::Boolean(value),
            DeValue::Datetime(value) => Self::Datetime(value.to_string()),
            DeValue::Array(items) => Self::Array(
                items
                    .into_iter()
                    .map(|item| Node::from_toml(source, item))
                    .collect(),
            ),
            DeValue::Table(table) => Self::Table(Table::from_toml(source, place, table)),
        }
    }
}

/// A table, its entries in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) place: Place,
    pub(crate) entries: Vec<Entry>,
}

impl Table {
    pub(crate) fn empty(place: Place) -> Self {
        Self {
            place,
            entries: Vec::new(),
        }
    }

    pub(crate) fn from_toml(source: u32, place: Place, table: DeTable<'_>) -> Self {
        let entries = table
            .into_iter()
            .map(|(key, node)| Entry::from_toml(source, key, node));
        Self {
            place,
            entries: entries.collect(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// For tables that the program makes itself.
    pub(crate) fn with(mut self, key: &str, node: Node) -> Self {
        self.entries.push(Entry {
            key: key.to_owned(),
            key_place: node.place,
            node,
        });
        self
    }
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

impl Entry {
    fn from_toml(source: u32, key: Spanned<DeString<'_>>, node: Spanned<DeValue<'_>>) -> Self {
        let key_place = Place::new(source, key.span());
        Self {
            key: key.into_inner().into_owned(),
            key_place,
            node: Node::from_toml(source, node),
        }
    }
}
