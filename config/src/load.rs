//! From the main file to one tree: reading, variables, includes, joining.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::diagnostics::Diagnostics;
use crate::digest::Digest;
use crate::source::{
    Entry, ExpandError, MAX_POLICY_BYTES, Node, Pattern, Place, SyntaxError, Table, Value, expand,
    matching_files, parse, read_text,
};
use crate::suggest::quoted;

/// Everything that the operator wrote, as one tree.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) root: Table,
    /// The files that were read, the main one first.
    pub(crate) files: Vec<PathBuf>,
    /// Folders in which wildcard includes looked.
    pub(crate) folders: Vec<PathBuf>,
    /// 64 bits of all that was read, in hexadecimal.
    pub(crate) digest: String,
    /// Whether every file is well-formed TOML.
    pub(crate) well_formed: bool,
}

/// Reads a file and its includes.
pub(crate) fn load_path(path: &Path, diagnostics: &mut Diagnostics) -> Option<Loaded> {
    match read_text(path, MAX_POLICY_BYTES) {
        Ok(text) => load_text(&text, path, diagnostics),
        Err(message) => {
            let source = diagnostics.sources.add(path, "");
            diagnostics.error(Place::whole(source), "unreadable-file", message);
            None
        }
    }
}

/// Reads a text under the name of a file, and its includes.
pub(crate) fn load_text(text: &str, name: &Path, diagnostics: &mut Diagnostics) -> Option<Loaded> {
    if text.len() as u64 > MAX_POLICY_BYTES {
        let source = diagnostics.sources.add(name, "");
        let message = format!("the policy is larger than {} KiB", MAX_POLICY_BYTES / 1024);
        diagnostics.error(Place::whole(source), "unreadable-file", message);
        return None;
    }
    let mut loader = Loader::new(diagnostics);
    let root = loader.read_tree(text, name);
    let patterns = loader.include_patterns(&root);
    let mut joined = Joined::default();
    joined.join(root, loader.diagnostics);
    loader.read_includes(name, &patterns, &mut joined);
    Some(Loaded {
        root: joined.root,
        files: loader.files,
        folders: loader.folders,
        digest: loader.digest.text(),
        well_formed: loader.well_formed,
    })
}

/// Records errors of syntax.
pub(crate) fn report_syntax(source: u32, errors: Vec<SyntaxError>, d: &mut Diagnostics) {
    for error in errors {
        let place = Place::new(source, error.span);
        let found = d.error(place, "syntax", error.message);
        if let Some(help) = error.help {
            found.help(help);
        }
        if let Some(first) = error.first {
            found.also(Place::new(source, first), "first defined here");
        }
    }
}

struct Loader<'d> {
    diagnostics: &'d mut Diagnostics,
    files: Vec<PathBuf>,
    inserted: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    digest: Digest,
    well_formed: bool,
}

impl<'d> Loader<'d> {
    fn new(diagnostics: &'d mut Diagnostics) -> Self {
        Self {
            diagnostics,
            files: Vec::new(),
            inserted: Vec::new(),
            folders: Vec::new(),
            digest: Digest::default(),
            well_formed: true,
        }
    }

    fn read_tree(&mut self, text: &str, path: &Path) -> Table {
        let source = self.diagnostics.sources.add(path, text);
        self.files.push(path.to_owned());
        self.digest.feed(text);
        let (mut root, errors) = parse(source, text);
        self.well_formed &= errors.is_empty();
        report_syntax(source, errors, self.diagnostics);
        self.expand_table(&mut root);
        root
    }

    fn expand_table(&mut self, table: &mut Table) {
        for entry in &mut table.entries {
            self.expand_node(&mut entry.node);
        }
    }

    fn expand_node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::String(text) => {
                if let Some(value) = self.expand_text(node.place, text) {
                    node.value = value;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.expand_node(item)),
            Value::Table(table) => self.expand_table(table),
            _ => {}
        }
    }

    /// The new value; `None` when there is nothing to expand.
    fn expand_text(&mut self, place: Place, text: &str) -> Option<Value> {
        let folder = self.diagnostics.sources.folder(place).to_owned();
        match expand(text, &folder, &|name| std::env::var(name).ok()) {
            Ok(expanded) => {
                let expanded = expanded?;
                self.digest.feed(&expanded.text);
                self.inserted.extend(expanded.files);
                Some(Value::String(expanded.text))
            }
            Err(error) => {
                self.report_reference(place, &error);
                Some(Value::Unset)
            }
        }
    }

    /// At the reference itself where it can be found in the source as it is.
    fn report_reference(&mut self, place: Place, error: &ExpandError) {
        let written = self.diagnostics.sources.text_at(place);
        let place = match written.find(&error.reference) {
            Some(at) => {
                let start = place.range().start + at;
                Place::new(place.source, start..start + error.reference.len())
            }
            None => place,
        };
        self.well_formed = false;
        self.diagnostics
            .error(place, error.code, error.message.as_str())
            .help(error.help.as_str());
    }

    fn include_patterns(&mut self, root: &Table) -> Vec<(Place, String)> {
        let Some(entry) = root.get("include") else {
            return Vec::new();
        };
        let nodes = match &entry.node.value {
            Value::Array(nodes) => nodes.iter().collect(),
            _ => vec![&entry.node],
        };
        // What is not a string is reported when the tree is decoded.
        let text = |node: &Node| node.as_str().map(|text| (node.place, text.to_owned()));
        nodes.into_iter().filter_map(text).collect()
    }

    fn read_includes(&mut self, main: &Path, patterns: &[(Place, String)], joined: &mut Joined) {
        let identity = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let main_identity = identity(main);
        let mut seen = HashSet::new();
        for (place, text) in patterns {
            for path in self.included_files(*place, text) {
                let identity = identity(&path);
                if identity == main_identity {
                    self.diagnostics
                        .error(*place, "include-cycle", "this file includes itself")
                        .help("keep included files in a folder of their own: \"conf.d/*.toml\"");
                } else if seen.insert(identity) {
                    self.read_include(*place, &path, joined);
                }
            }
        }
        let inserted: HashSet<_> = self.inserted.drain(..).collect();
        self.files.extend(inserted);
    }

    fn included_files(&mut self, place: Place, text: &str) -> Vec<PathBuf> {
        let folder = self.diagnostics.sources.folder(place).to_owned();
        let found = Pattern::parse(text).and_then(|pattern| matching_files(&pattern, &folder));
        match found {
            Ok(matches) => {
                self.folders.extend(matches.folders);
                matches.files
            }
            Err(message) => {
                self.well_formed = false;
                self.diagnostics.error(place, "bad-include", message);
                Vec::new()
            }
        }
    }

    fn read_include(&mut self, place: Place, path: &Path, joined: &mut Joined) {
        let text = match read_text(path, MAX_POLICY_BYTES) {
            Ok(text) => text,
            Err(message) => {
                self.well_formed = false;
                self.diagnostics.error(place, "unreadable-file", message);
                return;
            }
        };
        let mut root = self.read_tree(&text, path);
        if let Some(at) = root.entries.iter().position(|entry| entry.key == "include") {
            let entry = root.entries.remove(at);
            self.diagnostics
                .error(
                    entry.key_place,
                    "nested-include",
                    "an included file cannot include others",
                )
                .help("name the files in the main file's `include`");
        }
        joined.join(root, self.diagnostics);
    }
}

/// The files' trees, joined into one.
#[derive(Debug)]
struct Joined {
    root: Table,
    /// Where each top-level key, and each table below `listener`, `pool` and `defaults`, came from.
    places: HashMap<(String, Option<String>), Place>,
}

impl Default for Joined {
    fn default() -> Self {
        Self {
            root: Table::empty(Place::whole(0)),
            places: HashMap::new(),
        }
    }
}

impl Joined {
    fn join(&mut self, tree: Table, diagnostics: &mut Diagnostics) {
        for entry in tree.entries {
            // A file of thousands of unknown keys must not be searched for each of them.
            let known = self.places.contains_key(&(entry.key.clone(), None));
            let mut entries = self.root.entries.iter();
            let index = known.then(|| entries.position(|known| known.key == entry.key));
            let Some(index) = index.flatten() else {
                self.remember(&entry);
                self.root.entries.push(entry);
                continue;
            };
            let Entry {
                key,
                key_place,
                node,
            } = entry;
            let joined = &mut self.root.entries[index].node;
            if key == "contact" && is_list(joined) && is_list(&node) {
                join_lists(joined, node);
                continue;
            }
            let joined = &mut joined.value;
            match (joined, node.value) {
                (Value::Table(joined), Value::Table(table)) if is_joined(&key) => {
                    for child in table.entries {
                        let place = (key.clone(), Some(child.key.clone()));
                        match self.places.get(&place) {
                            Some(first) => {
                                let title = format!("{key}.{}", child.key);
                                report_twice(&title, child.key_place, *first, diagnostics);
                            }
                            None => {
                                self.places.insert(place, child.key_place);
                                joined.entries.push(child);
                            }
                        }
                    }
                }
                (Value::Array(joined), Value::Array(items)) if key == "route" => {
                    joined.extend(items);
                }
                _ => {
                    if let Some(first) = self.places.get(&(key.clone(), None)) {
                        report_twice(&key, key_place, *first, diagnostics);
                    }
                }
            }
        }
    }

    fn remember(&mut self, entry: &Entry) {
        self.places
            .insert((entry.key.clone(), None), entry.key_place);
        let children = entry.node.as_table().filter(|_| is_joined(&entry.key));
        for child in children.into_iter().flat_map(|table| &table.entries) {
            let key = (entry.key.clone(), Some(child.key.clone()));
            self.places.insert(key, child.key_place);
        }
    }
}

fn is_joined(key: &str) -> bool {
    matches!(key, "listener" | "pool" | "defaults")
}

/// Whether it is one table or an array, of tables as a rule.
fn is_list(node: &Node) -> bool {
    matches!(node.value, Value::Table(_) | Value::Array(_))
}

/// Joins two arrays, where a table stands for an array of that table.
fn join_lists(joined: &mut Node, other: Node) {
    if let Value::Table(_) = joined.value {
        let value = Value::Array(vec![joined.clone()]);
        joined.value = value;
    }
    let Value::Array(items) = &mut joined.value else {
        return;
    };
    match other.value {
        Value::Array(others) => items.extend(others),
        _ => items.push(other),
    }
}

fn report_twice(title: &str, place: Place, first: Place, diagnostics: &mut Diagnostics) {
    let other = diagnostics.sources.describe(first);
    let message = format!("{} is already defined in {other}", quoted(title));
    diagnostics
        .error(place, "duplicate-key", message)
        .also(first, "first defined here");
}
