use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::scalar;
use crate::diagnostics::Diagnostics;
use crate::keys::{Key, Kind, ROOT, Section, foreign_name, later_key};
use crate::source::{Entry, Node, Place, Table, Value, parse_literal};
use crate::suggest::{closest, listed, quoted};
use crate::value::Unfit;

/// Reads one table by its section of the table of keys: what is written in it first, then what
/// `[defaults.*]` says, then the built-in default.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    section: &'static Section,
    /// How messages call the table: `[pool.shop]`.
    title: String,
    /// Where missing keys are reported.
    place: Place,
    own: Option<&'a Table>,
    base: Option<&'a Table>,
    /// Below the first level everything in `base` is inherited.
    nested: bool,
    /// The table is `[defaults.*]` itself: nothing is required in it.
    partial: bool,
    /// Keys that unknown keys in the table were probably meant to be.
    meant: Vec<&'static str>,
}

/// A value that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) key: &'static Key,
    pub(super) key_place: Place,
    pub(super) node: &'a Node,
    /// It comes from `[defaults.*]`.
    pub(super) inherited: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a whole table; reports the keys that do not belong there.
    pub(super) fn new(
        d: &mut Diagnostics,
        section: &'static Section,
        title: String,
        place: Place,
        own: &'a Table,
    ) -> Self {
        let mut reader = Self {
            section,
            title,
            place,
            own: Some(own),
            base: None,
            nested: false,
            partial: false,
            meant: Vec::new(),
        };
        reader.check_keys(d);
        reader
    }

    /// The same with `[defaults.*]` behind it.
    pub(super) fn with_base(mut self, base: Option<&'a Table>) -> Self {
        self.base = base;
        self
    }

    /// A reader of `[defaults.*]` itself.
    pub(super) fn of_defaults(
        d: &mut Diagnostics,
        section: &'static Section,
        place: Place,
        own: &'a Table,
    ) -> Self {
        let title = format!("[defaults.{}]", section.name);
        let reader = Self {
            partial: true,
            ..Self::new(d, section, title, place, own)
        };
        for entry in &own.entries {
            if section.key(&entry.key).is_some_and(|key| !key.inherited) {
                let inherited = section.keys.iter().filter(|key| key.inherited);
                let message = format!("`{}` cannot be given in {}", entry.key, reader.title);
                d.error(entry.key_place, "not-inherited", message)
                    .help(format!(
                        "allowed here: {}",
                        listed(inherited.map(|key| key.name))
                    ));
            }
        }
        reader
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// What is written or inherited.
    pub(super) fn find(&self, name: &str) -> Option<Found<'a>> {
        self.find_own(name).or_else(|| self.find_inherited(name))
    }

    /// What is written in the table itself.
    pub(super) fn find_own(&self, name: &str) -> Option<Found<'a>> {
        let key = self.key(name)?;
        let Entry {
            key_place, node, ..
        } = self.own?.get(name)?;
        Some(Found {
            key,
            key_place: *key_place,
            node,
            inherited: false,
        })
    }

    /// What `[defaults.*]` says of a key that is also written in the table itself.
    pub(super) fn find_hidden(&self, name: &str) -> Option<Found<'a>> {
        self.find_own(name).and_then(|_| self.find_inherited(name))
    }

    fn find_inherited(&self, name: &str) -> Option<Found<'a>> {
        let key = self.key(name).filter(|key| key.inherited || self.nested)?;
        let Entry {
            key_place, node, ..
        } = self.base?.get(name)?;
        Some(Found {
            key,
            key_place: *key_place,
            node,
            inherited: true,
        })
    }

    /// Reports a required key that is neither written nor inherited.
    pub(super) fn require(&self, d: &mut Diagnostics, name: &str) {
        let Some(key) = self.key(name) else { return };
        if self.partial || self.find(name).is_some() || self.may_be_meant(name) {
            return;
        }
        let message = format!("{} needs `{name}`", self.title);
        d.error(self.place, "missing-key", message)
            .help(format!("for example {name} = {}", key.example));
    }

    /// Whether an unknown key in the table was probably meant to be this one: then it is not also
    /// reported as missing.
    pub(super) fn may_be_meant(&self, name: &str) -> bool {
        self.meant.contains(&name)
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// A table below this one. A table here and one in the defaults are merged key by key; anything
    /// else here hides what the defaults say.
    pub(super) fn table(
        &self,
        d: &mut Diagnostics,
        name: &str,
        section: &'static Section,
    ) -> Option<Reader<'a>> {
        let found = self.find(name)?;
        let Some(table) = found.node.as_table() else {
            return scalar::wrong_type(d, found.key, &found.key.kind, found.node);
        };
        let inherited = self
            .find_inherited(name)
            .and_then(|found| found.node.as_table());
        let (own, base) = match found.inherited {
            true => (None, Some(table)),
            false => (Some(table), inherited),
        };
        let mut reader = Reader {
            section,
            title: match self.title.as_str() {
                "" => format!("[{name}]"),
                title => format!("`{name}` of {title}"),
            },
            place: found.key_place,
            own,
            base,
            nested: true,
            partial: self.partial,
            meant: Vec::new(),
        };
        reader.check_keys(d);
        Some(reader)
    }

    /// A table below this one of which every key has a default: also read when it is not there.
    pub(super) fn settings(&self, d: &mut Diagnostics, name: &str) -> Reader<'a> {
        let sections = self.key(name).map(|key| key.kind.sections());
        let section = sections.and_then(|all| all.into_iter().next());
        let section = section.unwrap_or(self.section);
        self.table(d, name, section).unwrap_or(Reader {
            section,
            title: String::new(),
            place: self.place,
            own: None,
            base: None,
            nested: true,
            partial: true,
            meant: Vec::new(),
        })
    }

    pub(super) fn boolean(&self, d: &mut Diagnostics, name: &str) -> Option<bool> {
        self.value(d, name, scalar::boolean)
    }

    pub(super) fn integer(&self, d: &mut Diagnostics, name: &str) -> Option<i64> {
        self.value(d, name, scalar::integer)
    }

    /// An integer that the table of keys limits to the target's range.
    pub(super) fn count<T: TryFrom<i64>>(&self, d: &mut Diagnostics, name: &str) -> Option<T> {
        self.integer(d, name)
            .and_then(|value| T::try_from(value).ok())
    }

    /// A duration; zero only where neither the operator nor the table of keys gives one.
    pub(super) fn duration(&self, d: &mut Diagnostics, name: &str) -> Duration {
        self.optional_duration(d, name).unwrap_or_default()
    }

    pub(super) fn optional_duration(&self, d: &mut Diagnostics, name: &str) -> Option<Duration> {
        self.value(d, name, scalar::duration)
    }

    pub(super) fn size(&self, d: &mut Diagnostics, name: &str) -> Option<u64> {
        self.value(d, name, scalar::size)
    }

    pub(super) fn rate(&self, d: &mut Diagnostics, name: &str) -> Option<crate::policy::Rate> {
        self.value(d, name, scalar::rate)
    }

    pub(super) fn byte_rate(&self, d: &mut Diagnostics, name: &str) -> Option<u64> {
        self.value(d, name, scalar::byte_rate)
    }

    pub(super) fn share(&self, d: &mut Diagnostics, name: &str) -> Option<f64> {
        self.value(d, name, scalar::share)
    }

    pub(super) fn word(&self, d: &mut Diagnostics, name: &str) -> Option<&'static str> {
        self.value(d, name, scalar::word)
    }

    /// A text with a parser of its own.
    pub(super) fn text<T>(
        &self,
        d: &mut Diagnostics,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Unfit>,
    ) -> Option<T> {
        self.value(d, name, |d, key, node| scalar::text(d, key, node, &parse))
    }

    /// A single text or an array of them, each with its place.
    pub(super) fn texts<T>(
        &self,
        d: &mut Diagnostics,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Unfit>,
    ) -> Vec<(T, Place)> {
        self.items(d, name, |d, key, node| match &key.kind {
            Kind::OneOrMany(kind) | Kind::Many(kind) => match &node.value {
                Value::String(text) => scalar::parsed(d, node.place, text, &parse),
                _ => scalar::wrong_type(d, key, kind, node),
            },
            _ => None,
        })
    }

    /// A single value or an array of them, each with its place. An empty array is an error where
    /// it would say something else than leaving the key out.
    pub(super) fn items<T>(
        &self,
        d: &mut Diagnostics,
        name: &str,
        read: impl Fn(&mut Diagnostics, &Key, &Node) -> Option<T>,
    ) -> Vec<(T, Place)> {
        let Some(key) = self.key(name) else {
            return Vec::new();
        };
        let written = self.find(name).map(|found| found.node);
        let Some(node) = written.or_else(|| built_in(key)) else {
            return Vec::new();
        };
        let nodes = match (&node.value, &key.kind) {
            (Value::Array(nodes), _) => nodes.as_slice(),
            (_, Kind::OneOrMany(_)) => std::slice::from_ref(node),
            _ => {
                scalar::wrong_type::<()>(d, key, &key.kind, node);
                &[]
            }
        };
        nodes
            .iter()
            .filter_map(|node| Some((read(d, key, node)?, node.place)))
            .collect()
    }

    fn value<T>(
        &self,
        d: &mut Diagnostics,
        name: &str,
        read: impl Fn(&mut Diagnostics, &Key, &Node) -> Option<T>,
    ) -> Option<T> {
        let key = self.key(name)?;
        let written = self.find(name).and_then(|found| read(d, key, found.node));
        written.or_else(|| built_in(key).and_then(|node| read(d, key, node)))
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.section.key(name);
        debug_assert!(key.is_some(), "`{name}` is not in the table of keys");
        key
    }

    fn check_keys(&mut self, d: &mut Diagnostics) {
        for entry in self.own.iter().flat_map(|table| &table.entries) {
            if self.section.key(&entry.key).is_none() {
                let meant = report_unknown_key(d, self.section, &self.title, entry);
                self.meant.extend(meant);
            }
        }
    }
}

/// Reports a key that the section does not have; returns the one that was probably meant.
fn report_unknown_key(
    d: &mut Diagnostics,
    section: &Section,
    title: &str,
    entry: &Entry,
) -> Option<&'static str> {
    let key = quoted(&entry.key);
    if let Some(instead_of) = later_key(section.name, &entry.key) {
        let message = format!("{key} is not supported by this version");
        d.error(entry.key_place, "not-supported", message)
            .help("leave it out for now");
        return instead_of;
    }
    if d.is_full() {
        d.error(entry.key_place, "unknown-key", format!("unknown key {key}"));
        return None;
    }
    let place = if title.is_empty() {
        String::new()
    } else {
        format!(" in {title}")
    };
    let names = || section.keys.iter().map(|key| key.name);
    let foreign = foreign_name(section.name, &entry.key);
    let close = closest(&entry.key, names());
    let help = match (foreign, close) {
        (Some(ours), _) => format!("write `{ours}`"),
        (None, Some(close)) => format!("did you mean `{close}`?"),
        (None, None) => format!("allowed here: {}", listed(names())),
    };
    d.error(
        entry.key_place,
        "unknown-key",
        format!("unknown key {key}{place}"),
    )
    .help(help);
    foreign.or(close)
}

/// The built-in default of a key.
pub(super) fn built_in(key: &Key) -> Option<&'static Node> {
    static LITERALS: LazyLock<HashMap<&'static str, Node>> = LazyLock::new(|| {
        let mut literals = HashMap::new();
        collect_literals(&ROOT, &mut literals);
        literals
    });
    LITERALS.get(key.default?)
}

fn collect_literals(section: &'static Section, literals: &mut HashMap<&'static str, Node>) {
    for key in section.keys {
        if let Some(text) = key.default
            && let Some(node) = parse_literal(text)
        {
            literals.insert(text, node);
        }
        for below in key.kind.sections() {
            collect_literals(below, literals);
        }
    }
}
