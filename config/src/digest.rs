//! Digests: what tells one policy from another.

use crate::policy::{Announce, Contact};
use crate::source::{Table, Value};

/// Top-level tables that each switch has for itself; of contacts, what is shared is fed apart.
const OWN: [&str; 7] = [
    "process",
    "admin",
    "access_log",
    "trace",
    "agents",
    "include",
    "contact",
];

/// FNV-1a, 64 bits: tells versions of a policy apart, nothing more.
#[derive(Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn feed(&mut self, text: &str) {
        // 0xff never occurs in UTF-8 and so keeps texts apart.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// In hexadecimal, 16 digits.
    pub(crate) fn text(&self) -> String {
        format!("{:016x}", self.0)
    }

    /// What comes out does not depend on the order of the parts.
    fn feed_unordered(&mut self, parts: impl Iterator<Item = Digest>) {
        let mut parts: Vec<_> = parts.map(|part| part.0).collect();
        parts.sort_unstable();
        for part in parts {
            self.feed(&format!("{part:016x}"));
        }
    }

    /// A word for the kind of value keeps `"1"` and `1` apart, and closing words the nesting.
    fn feed_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.feed_both("string", text),
            Value::Integer(number) => {
                self.feed_both("integer", &number.unwrap_or_default().to_string());
            }
            Value::Float(digits) => self.feed_both("float", digits),
            Value::Boolean(value) => self.feed(if *value { "true" } else { "false" }),
            Value::Datetime(text) => self.feed_both("datetime", text),
            Value::Array(items) => {
                self.feed("array");
                items.iter().for_each(|item| self.feed_value(&item.value));
                self.feed("end");
            }
            Value::Table(table) => self.feed_table(table, &[]),
            Value::Unset => self.feed("unset"),
        }
    }

    fn feed_table(&mut self, table: &Table, without: &[&str]) {
        let mut entries: Vec<_> = table
            .entries
            .iter()
            .filter(|entry| !without.contains(&entry.key.as_str()))
            .collect();
        entries.sort_by_key(|entry| &entry.key);
        self.feed("table");
        for entry in entries {
            self.feed_both("key", &entry.key);
            self.feed_value(&entry.node.value);
        }
        self.feed("end");
    }

    fn feed_both(&mut self, kind: &str, text: &str) {
        self.feed(kind);
        self.feed(text);
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

/// The digest of what the switches of a group must have in common; see
/// [`Policy::shared_digest`](crate::policy::Policy::shared_digest). All but contacts
/// counts as it is written and not as it is understood: a new version of the program makes the same.
pub(crate) fn shared(root: &Table, contacts: &[Contact]) -> String {
    let mut digest = Digest::default();
    let mut entries: Vec<_> = root
        .entries
        .iter()
        .filter(|entry| !OWN.contains(&entry.key.as_str()))
        .collect();
    entries.sort_by_key(|entry| &entry.key);
    for entry in entries {
        match (entry.key.as_str(), &entry.node.value) {
            ("route", Value::Array(routes)) => {
                digest.feed("route");
                digest.feed_unordered(routes.iter().map(|route| of_value(&route.value)));
            }
            ("defaults", Value::Table(table)) => {
                if table.entries.iter().any(|entry| entry.key != "contact") {
                    digest.feed("defaults");
                    digest.feed_table(table, &["contact"]);
                }
            }
            (key, value) => {
                digest.feed(key);
                digest.feed_value(value);
            }
        }
    }
    digest.feed("contact");
    digest.feed_unordered(contacts.iter().map(of_contact));
    digest.text()
}

fn of_value(value: &Value) -> Digest {
    let mut digest = Digest::default();
    digest.feed_value(value);
    digest
}

fn of_contact(contact: &Contact) -> Digest {
    let mut digest = Digest::default();
    digest.feed(match contact.announce {
        Announce::Vrrp => "vrrp",
        Announce::Bgp => "bgp",
    });
    digest.feed(&contact.group.to_string());
    let mut addresses: Vec<_> = contact.addresses.iter().map(ToString::to_string).collect();
    addresses.sort_unstable();
    addresses.iter().for_each(|address| digest.feed(address));
    digest
}
