//! Reading: files, includes and variables, up to one tree of values that know their places.

mod expand;
mod include;
mod read;
mod syntax;
mod tree;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use expand::{ExpandError, expand};
pub(crate) use include::{Pattern, matching_files};
pub(crate) use read::{MAX_POLICY_BYTES, read_text};
pub(crate) use syntax::{SyntaxError, parse, parse_literal};
pub(crate) use tree::{Entry, Node, Table, Value};

/// A stretch of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index into [`Sources`].
    pub(crate) source: u32,
    /// Byte offset of its first character.
    pub(crate) start: u32,
    /// Byte offset behind its last character.
    pub(crate) end: u32,
}

impl Place {
    /// The place of values that no operator wrote: the built-in defaults.
    pub(crate) const BUILT_IN: Self = Self {
        source: u32::MAX,
        start: 0,
        end: 0,
    };

    pub(crate) fn new(source: u32, span: Range<usize>) -> Self {
        Self {
            source,
            start: clamped(span.start),
            end: clamped(span.end),
        }
    }

    /// The whole of a source.
    pub(crate) fn whole(source: u32) -> Self {
        Self {
            source,
            start: 0,
            end: 0,
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One text that was read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// As the operator named it, or as an include found it.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) text: Arc<str>,
    line_starts: Vec<u32>,
}

impl Source {
    fn new(path: PathBuf, text: Arc<str>) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| clamped(at + 1)))
            .collect();
        Self {
            path,
            text,
            line_starts,
        }
    }

    /// 1-based line and 1-based column in characters of a byte offset.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self
            .line_starts
            .partition_point(|start| *start as usize <= offset);
        let start = self.line_starts[line - 1] as usize;
        let column = self.text[start..offset]
            .trim_start_matches('\u{feff}')
            .chars()
            .count()
            + 1;
        (line, column)
    }
}

/// All texts that were read, the main one first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    list: Vec<Source>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> u32 {
        self.list.push(Source::new(path.into(), text.into()));
        clamped(self.list.len() - 1)
    }

    pub(crate) fn get(&self, source: u32) -> Option<&Source> {
        self.list.get(source as usize)
    }

    pub(crate) fn text_at(&self, place: Place) -> &str {
        self.get(place.source)
            .and_then(|source| source.text.get(place.range()))
            .unwrap_or_default()
    }

    /// The folder that relative paths written at this place start from.
    pub(crate) fn folder(&self, place: Place) -> &Path {
        self.get(place.source)
            .and_then(|source| source.path.parent())
            .unwrap_or(Path::new(""))
    }

    /// `path:line` of a place, for messages that name a second place.
    pub(crate) fn describe(&self, place: Place) -> String {
        match self.get(place.source) {
            Some(source) => {
                format!(
                    "{}:{}",
                    source.path.display(),
                    source.position(place.start as usize).0
                )
            }
            None => "the built-in defaults".to_owned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }
}

/// Sources are limited to sizes far below `u32::MAX`.
fn clamped(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
