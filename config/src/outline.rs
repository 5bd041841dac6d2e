//! What a policy says, thing by thing and key by key, in the words of the file: what is compared to
//! tell what a reload would change. It is made from the tree and the table of keys, so that every
//! key of the language is in it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::keys::{Key, Kind, ROOT, Section};
use crate::policy::{Contact, Pool, Route};
use crate::source::{Node, Sources, Table, Value};

/// Keys whose values are shown to nobody: section and key.
const SECRETS: [(&str, &str); 3] = [
    ("contact", "secret"),
    ("admin", "token"),
    ("agents", "secret"),
];
/// What stands for their values.
const HIDDEN: &str = "(secret)";
/// Tables that stand for nothing by themselves.
const LEFT_OUT: [&str; 2] = ["include", "defaults"];

/// Everything that a policy says, what it inherits included. Secrets, and what stands in files that
/// it takes in, are not in it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outline {
    /// Listeners, routes, pools, backends, contacts, and the single tables, in the order of the file.
    pub things: Vec<Thing>,
}

/// A listener, a route, a pool, a backend, a contact, or a table such as `process`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thing {
    /// `listener`, `route`, `pool`, `backend`, `contact`, or the table's name.
    pub kind: String,
    /// Its name; a backend's is `POOL/BACKEND`, a contact's its first address.
    pub name: String,
    /// What is written or inherited, such as `health.interval`, as TOML.
    pub settings: BTreeMap<String, String>,
}

/// What one policy has otherwise than another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// As in [`Thing::kind`].
    pub kind: String,
    /// As in [`Thing::name`].
    pub name: String,
    /// How.
    pub change: How,
    /// The keys in question.
    pub settings: Vec<Setting>,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
}

/// A key whose value differs; `None` where nothing is written and there is no default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Such as `health.interval`.
    pub key: String,
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

impl Outline {
    /// What `new` has otherwise. To write a key's default makes no difference.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let index = |outline: &Self| -> BTreeMap<(String, String), Thing> {
            let key = |thing: &Thing| (thing.kind.clone(), thing.name.clone());
            let things = outline.things.iter();
            things.map(|thing| (key(thing), thing.clone())).collect()
        };
        let (before, after) = (index(self), index(new));
        let nothing = BTreeMap::new();
        let mut changes = Vec::new();
        for ((kind, name), thing) in &before {
            let (how, settings) = match after.get(&(kind.clone(), name.clone())) {
                Some(other) => (How::Changed, &other.settings),
                None => (How::Removed, &nothing),
            };
            let settings = differences(kind, &thing.settings, settings);
            if how == How::Removed || !settings.is_empty() {
                changes.push(Change::of(kind, name, how, settings));
            }
        }
        for ((kind, name), thing) in &after {
            if !before.contains_key(&(kind.clone(), name.clone())) {
                let settings = differences(kind, &nothing, &thing.settings);
                changes.push(Change::of(kind, name, How::Added, settings));
            }
        }
        changes
    }
}

/// It is long, and of no use where a policy is shown.
impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outline(..)")
    }
}

impl Change {
    fn of(kind: &str, name: &str, change: How, settings: Vec<Setting>) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            change,
            settings,
        }
    }
}

fn differences(
    kind: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Setting> {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let setting = |key: &String| {
        let default = || default_of(kind, key).map(str::to_owned);
        let from = before.get(key).cloned().or_else(default);
        let to = after.get(key).cloned().or_else(default);
        (from != to).then(|| Setting {
            key: key.clone(),
            from,
            to,
        })
    };
    keys.into_iter().filter_map(setting).collect()
}

/// The default of a key, as TOML.
fn default_of(kind: &str, path: &str) -> Option<&'static str> {
    let of = |name: &str| ROOT.key(name)?.kind.sections().into_iter().next();
    let mut section = match kind {
        "backend" => of("pool")?
            .key("backends")?
            .kind
            .sections()
            .into_iter()
            .next(),
        kind => of(kind),
    };
    let mut found = None;
    for part in path.split('.') {
        let key = section?.key(part)?;
        found = Some(key);
        section = key.kind.sections().into_iter().next();
    }
    found?.default
}

/// The outline of a sound policy.
pub(crate) fn outline(
    root: &Table,
    (routes, pools, contacts): (&[Route], &[Pool], &[Contact]),
    sources: &Sources,
) -> Outline {
    let mut maker = Maker {
        root,
        sources,
        things: Vec::new(),
    };
    for key in ROOT.keys.iter().filter(|key| !LEFT_OUT.contains(&key.name)) {
        let Some(entry) = root.get(key.name) else {
            continue;
        };
        let sections = key.kind.sections();
        let Some(section) = sections.into_iter().next() else {
            maker.thing(key.name, "", |maker, settings| {
                maker.leaf(&ROOT, key, &entry.node, key.name, settings);
            });
            continue;
        };
        match (&entry.node.value, &key.kind) {
            (Value::Table(table), Kind::Named(_)) => {
                for child in &table.entries {
                    let Some(own) = child.node.as_table() else {
                        continue;
                    };
                    maker.table(key.name, &child.key, section, own);
                    let mut pools = pools.iter().filter(|_| key.name == "pool");
                    if let Some(pool) = pools.find(|pool| pool.name == child.key) {
                        maker.backends(pool, section, own);
                    }
                }
            }
            (Value::Array(items), _) => {
                let tables = items.iter().filter_map(Node::as_table);
                for (place, own) in tables.enumerate() {
                    let name = match key.name {
                        "route" => routes.get(place).map(|route| route.name.clone()),
                        "contact" => contacts.get(place).and_then(contact_name),
                        _ => None,
                    };
                    let name = name.unwrap_or_else(|| place.to_string());
                    maker.table(key.name, &name, section, own);
                }
            }
            (Value::Table(own), Kind::TableOrList(_)) => {
                let name = contacts.first().and_then(contact_name);
                maker.table(key.name, &name.unwrap_or_default(), section, own);
            }
            (Value::Table(own), _) => maker.table(key.name, "", section, own),
            _ => {}
        }
    }
    Outline {
        things: maker.things,
    }
}

fn contact_name(contact: &Contact) -> Option<String> {
    contact.addresses.first().map(ToString::to_string)
}

struct Maker<'a> {
    root: &'a Table,
    sources: &'a Sources,
    things: Vec<Thing>,
}

impl<'a> Maker<'a> {
    fn thing(
        &mut self,
        kind: &str,
        name: &str,
        fill: impl FnOnce(&Self, &mut BTreeMap<String, String>),
    ) {
        let mut settings = BTreeMap::new();
        fill(self, &mut settings);
        self.things.push(Thing {
            kind: kind.to_owned(),
            name: name.to_owned(),
            settings,
        });
    }

    fn table(&mut self, kind: &str, name: &str, section: &'static Section, own: &Table) {
        let base = self.defaults(kind);
        self.thing(kind, name, |maker, settings| {
            maker.settings(section, (Some(own), base), "", settings);
        });
    }

    fn defaults(&self, kind: &str) -> Option<&'a Table> {
        let defaults = self.root.get("defaults")?.node.as_table()?;
        defaults.get(kind)?.node.as_table()
    }

    fn backends(&mut self, pool: &Pool, section: &'static Section, own: &Table) {
        let key = section.key("backends");
        let nodes = own.get("backends").map(|entry| &entry.node.value);
        let (Some(key), Some(Value::Array(nodes))) = (key, nodes) else {
            return;
        };
        let Some(section) = key.kind.sections().into_iter().next() else {
            return;
        };
        for (backend, node) in pool.backends.iter().zip(nodes) {
            let name = format!("{}/{}", pool.name, backend.name);
            self.thing("backend", &name, |maker, settings| match node.as_table() {
                Some(own) => maker.settings(section, (Some(own), None), "", settings),
                None => {
                    settings.insert("addr".to_owned(), maker.text("pool", "addr", node));
                }
            });
        }
    }

    /// What is written in `own` or inherited from `base`.
    fn settings(
        &self,
        section: &'static Section,
        (own, base): (Option<&Table>, Option<&Table>),
        prefix: &str,
        into: &mut BTreeMap<String, String>,
    ) {
        for key in section.keys {
            // Backends are things of their own.
            if section.name == "pool" && key.name == "backends" {
                continue;
            }
            let find = |table: Option<&'_ Table>| -> Option<Node> {
                Some(table?.get(key.name)?.node.clone())
            };
            let inherits = key.inherited || !prefix.is_empty();
            let (mine, theirs) = (find(own), find(base.filter(|_| inherits)));
            let path = format!("{prefix}{}", key.name);
            let below = key.kind.sections().into_iter().next();
            let tables = [&mine, &theirs].map(|node| node.as_ref().and_then(Node::as_table));
            match (below, mine.as_ref().or(theirs.as_ref())) {
                (_, None) => {}
                (Some(below), Some(node)) if node.as_table().is_some() => {
                    let both = (tables[0], tables[1]);
                    self.settings(below, both, &format!("{path}."), into);
                }
                (_, Some(node)) => self.leaf(section, key, node, &path, into),
            }
        }
    }

    fn leaf(
        &self,
        section: &Section,
        key: &Key,
        node: &Node,
        path: &str,
        into: &mut BTreeMap<String, String>,
    ) {
        let text = self.text(section.name, key.name, node);
        // One value and an array of one mean the same.
        let single = !matches!(node.value, Value::Array(_));
        let text = match key.kind {
            Kind::OneOrMany(_) if single => format!("[{text}]"),
            _ => text,
        };
        into.insert(path.to_owned(), text);
    }

    /// As TOML; what came from a file is only told apart.
    fn text(&self, section: &str, key: &str, node: &Node) -> String {
        if SECRETS.contains(&(section, key)) {
            return HIDDEN.to_owned();
        }
        match &node.value {
            Value::String(text) => {
                let written = self.sources.text_at(node.place);
                match written.contains("${file:") {
                    true => format!("{written} (content {})", tag(text)),
                    false => format!("{text:?}"),
                }
            }
            Value::Integer(number) => number.unwrap_or_default().to_string(),
            Value::Float(text) | Value::Datetime(text) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.text(section, key, item));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Value::Table(table) => {
                let entries = table.entries.iter().map(|entry| {
                    let value = self.text(section, &entry.key, &entry.node);
                    format!("{} = {value}", entry.key)
                });
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
            Value::Unset => String::new(),
        }
    }
}

/// Eight bits: enough to see a change as a rule, too little to guess a secret by.
fn tag(text: &str) -> String {
    let mut digest = Digest::default();
    digest.feed(text);
    digest.text().split_off(14)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::Policy;

    fn read(text: &str) -> Outline {
        let policy = Policy::from_toml(text, Path::new("/test.toml"));
        policy.expect("the policy is right").outline
    }

    const FIRST: &str = r#"
        [admin]
        token = "0123456789abcdef"
        [defaults.pool]
        health = { path = "/up", interval = "2s" }
        [listener.web]
        bind = ":80"
        [[route]]
        match = { host = "a.example" }
        pool = "app"
        [pool.app]
        backends = ["10.0.0.1:80", { addr = "10.0.0.2:80", weight = 2 }]
    "#;

    #[test]
    fn a_policy_does_not_differ_from_itself_or_from_what_means_the_same() {
        let first = read(FIRST);
        assert_eq!(first.changes(&first), []);
        let same = FIRST
            .replace("\":80\"\n", "[\":80\"]\n")
            .replace("[pool.app]", "[pool.app]\nbalance = \"round-robin\"")
            .replace(
                "\"10.0.0.1:80\",",
                "{ weight = 1, addr = \"10.0.0.1:80\" },",
            );
        assert_eq!(first.changes(&read(&same)), []);
    }

    #[test]
    fn what_differs_is_told_by_thing_and_key() {
        let first = read(FIRST);
        let other = FIRST
            .replace("weight = 2", "weight = 5")
            .replace("10.0.0.1:80", "10.0.0.9:80")
            .replace("interval = \"2s\"", "interval = \"5s\"")
            .replace("a.example", "b.example");
        let changes = first.changes(&read(&other));
        let told: Vec<String> = changes
            .iter()
            .map(|one| format!("{:?} {} {}", one.change, one.kind, one.name))
            .collect();
        let expected = [
            "Removed backend app/10.0.0.1:80",
            "Changed backend app/10.0.0.2:80",
            "Changed pool app",
            "Removed route a.example",
            "Added backend app/10.0.0.9:80",
            "Added route b.example",
        ];
        assert_eq!(told, expected);
        let setting = |key: &str, from: &str, to: &str| Setting {
            key: key.to_owned(),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
        };
        assert_eq!(changes[1].settings, [setting("weight", "2", "5")]);
        let interval = setting("health.interval", "\"2s\"", "\"5s\"");
        assert_eq!(changes[2].settings, [interval]);
    }

    #[test]
    fn secrets_and_what_stands_in_files_are_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "hush-hush").expect("written");
        let text = FIRST.replace(
            "pool = \"app\"",
            &format!(
                "pool = \"app\"\nrequest_headers = {{ set = {{ authorization = \"${{file:{}}}\" }} }}",
                file.display()
            ),
        );
        let before = read(&text);
        let shown = serde_json::to_string(&before).expect("plain data");
        assert!(
            !shown.contains("hush") && !shown.contains("0123456789abcdef"),
            "{shown}"
        );
        assert!(
            shown.contains("(secret)") && shown.contains("${file:"),
            "{shown}"
        );
        std::fs::write(&file, "other").expect("written");
        assert_eq!(before.changes(&read(&text)).len(), 1, "it is told apart");
    }
}
